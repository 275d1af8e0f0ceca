//! When a capture file ends and what the next one is called, as tcpdump has it (`-C`, `-G`, `-W`).
//!
//! Before a packet is written, first its time and then the file's size say whether it begins a new
//! file. Time goes by the packets, in whole seconds.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use jiff::{
    Timestamp,
    fmt::strtime::{BrokenDownTime, Config, PosixCustom},
    tz::TimeZone,
};

const NS_PER_S: u64 = 1_000_000_000;

/// What a packet's coming does to the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It goes into the file that is open.
    Stay,
    /// It begins a new file.
    Next,
    /// The last file is complete; it goes nowhere.
    Done,
}

/// The files' names and ends.
#[derive(Debug)]
pub(super) struct Rotation {
    path: PathBuf,
    zone: TimeZone,
    max_bytes: Option<u64>,
    seconds: Option<u64>,
    count: Option<u32>,
    /// Of the file that is open, among those that size parts.
    number: u32,
    /// How many files time has ended.
    ended: u32,
    /// When the file that is open began, in s since the Unix epoch; `None` before the first packet
    /// when nobody said it.
    started_s: Option<u64>,
}

impl Rotation {
    pub(super) fn new(
        path: PathBuf,
        max_bytes: Option<u64>,
        seconds: Option<u64>,
        count: Option<u32>,
        start_unix_ns: Option<u64>,
    ) -> Self {
        Self {
            path,
            zone: TimeZone::system(),
            max_bytes,
            seconds,
            count,
            number: 0,
            ended: 0,
            started_s: start_unix_ns.map(|ns| ns / NS_PER_S),
        }
    }

    /// Whether there may be more than one file.
    pub(super) fn is_rotating(&self) -> bool {
        self.max_bytes.is_some() || self.seconds.is_some()
    }

    /// Whether the first file's name depends on a time that is not known yet.
    pub(super) fn waits_for_time(&self) -> bool {
        self.started_s.is_none()
            && self.seconds.is_some()
            && self.path.as_os_str().as_bytes().contains(&b'%')
    }

    /// What the user typed as the files' name.
    pub(super) fn form(&self) -> &Path {
        &self.path
    }

    /// Says when the first file begins, unless that is known.
    pub(super) fn start(&mut self, unix_ns: u64) {
        self.started_s.get_or_insert(unix_ns / NS_PER_S);
    }

    /// A packet of this time comes, and the file that is open has `file_bytes`.
    pub(super) fn turn(&mut self, unix_ns: u64, file_bytes: u64) -> Turn {
        if let Some(seconds) = self.seconds {
            let now_s = unix_ns / NS_PER_S;
            let started_s = *self.started_s.get_or_insert(now_s);
            // Packets of several interfaces may come a little out of order.
            if now_s.saturating_sub(started_s) >= seconds {
                self.started_s = Some(now_s);
                self.ended = self.ended.saturating_add(1);
                self.number = 0;
                let is_last = self.count.is_some_and(|count| self.ended >= count);
                // With a size as well, the count is only a width of the names.
                return if is_last && self.max_bytes.is_none() { Turn::Done } else { Turn::Next };
            }
        }
        if self.max_bytes.is_some_and(|max| file_bytes > max) {
            self.number = self.number.saturating_add(1);
            if self.count.is_some_and(|count| self.number >= count) {
                self.number = 0;
            }
            return Turn::Next;
        }
        Turn::Stay
    }

    /// The name of the file that is to be opened.
    pub(super) fn path(&self) -> PathBuf {
        let mut name = match self.seconds {
            Some(_) => expand(&self.path, self.started_s.unwrap_or(0), &self.zone),
            None => self.path.as_os_str().as_bytes().to_vec(),
        };
        if self.max_bytes.is_some() {
            let width = self.count.map_or(0, number_width);
            if self.number > 0 || width > 0 {
                let number = self.number;
                name.extend_from_slice(format!("{number:0width$}").as_bytes());
            }
        }
        OsString::from_vec(name).into()
    }
}

/// How many digits the last of so many files' numbers has, counted from 0; none for a single file.
fn number_width(count: u32) -> usize {
    match count.saturating_sub(1) {
        0 => 0,
        last => last.to_string().len(),
    }
}

/// Puts a time into a name, as strftime(3) does. What it does not know stays as it is.
fn expand(path: &Path, unix_s: u64, zone: &TimeZone) -> Vec<u8> {
    let time = i64::try_from(unix_s).ok().and_then(|s| Timestamp::from_second(s).ok());
    let time = time.unwrap_or_default().to_zoned(zone.clone());
    let time = BrokenDownTime::from(&time);
    let config = Config::new().custom(PosixCustom::new()).lenient(true);
    let mut name = Vec::new();
    // A name need not be text; what is not is kept.
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        match time.to_string_with_config(&config, chunk.valid()) {
            Ok(text) => name.extend_from_slice(text.as_bytes()),
            Err(_) => name.extend_from_slice(chunk.valid().as_bytes()),
        }
        name.extend_from_slice(chunk.invalid());
    }
    name
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use jiff::tz;

    use super::*;

    const START_NS: u64 = 1_583_695_386_900_000_000;

    fn rotation(path: &str, c: Option<u64>, g: Option<u64>, w: Option<u32>) -> Rotation {
        let mut rotation = Rotation::new(path.into(), c, g, w, Some(START_NS));
        rotation.zone = TimeZone::fixed(tz::offset(1));
        rotation
    }

    /// Feeds packets (s after the start, size of the file before), and gives the names in turn.
    fn names(mut rotation: Rotation, packets: &[(u64, u64)]) -> Vec<String> {
        let mut names = vec![rotation.path().to_str().unwrap().to_owned()];
        for &(after_s, bytes) in packets {
            match rotation.turn(START_NS + after_s * NS_PER_S, bytes) {
                Turn::Stay => names.push("-".to_owned()),
                Turn::Next => names.push(rotation.path().to_str().unwrap().to_owned()),
                Turn::Done => names.push("done".to_owned()),
            }
        }
        names
    }

    #[test]
    fn size_numbers_the_files_from_the_second_on() {
        let packets = [(0, 100), (0, 101), (0, 100), (9, 200), (9, 101)];
        assert_eq!(
            names(rotation("f", Some(100), None, None), &packets),
            ["f", "-", "f1", "-", "f2", "f3"]
        );
        assert_eq!(names(rotation("%H", None, None, Some(2)), &packets)[0], "%H");
    }

    #[test]
    fn a_count_begins_anew_with_padded_numbers() {
        let check = |count, expect: &[&str]| {
            let packets = vec![(0, 101); expect.len() - 1];
            assert_eq!(names(rotation("f", Some(100), None, Some(count)), &packets), expect);
        };
        check(1, &["f", "f", "f"]);
        check(2, &["f0", "f1", "f0", "f1"]);
        check(10, &["f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f0"]);
        check(11, &["f00", "f01", "f02"]);
        check(101, &["f000", "f001"]);
    }

    #[test]
    fn time_names_the_files_and_the_count_ends_them() {
        let packets = [(0, 0), (9, 0), (10, 0), (19, 0), (45, 0), (54, 0), (55, 0)];
        assert_eq!(
            names(rotation("d/%H%M%S.x", None, Some(10), None), &packets),
            ["d/202306.x", "-", "-", "d/202316.x", "-", "d/202351.x", "-", "d/202401.x"]
        );
        assert_eq!(
            names(rotation("f", None, Some(10), Some(2)), &packets),
            ["f", "-", "-", "f", "-", "done", "-", "done"]
        );
    }

    #[test]
    fn time_and_size_together_number_anew_and_never_end() {
        let packets = [(0, 101), (1, 101), (10, 101), (11, 101), (12, 50), (30, 0)];
        assert_eq!(
            names(rotation("%S-", Some(100), Some(10), None), &packets),
            ["06-", "06-1", "06-2", "16-", "16-1", "-", "36-"]
        );
        assert_eq!(
            names(rotation("%S-", Some(100), Some(10), Some(2)), &packets),
            ["06-0", "06-1", "06-0", "16-0", "16-1", "-", "36-0"]
        );
    }

    #[test]
    fn time_may_begin_with_the_first_packet_and_step_back() {
        let mut rotation = Rotation::new("%s".into(), None, Some(2), None, None);
        assert!(rotation.waits_for_time());
        rotation.start(7_000_000_001);
        assert_eq!(rotation.path(), Path::new("7"));
        assert_eq!(rotation.turn(6_000_000_000, 0), Turn::Stay);
        assert_eq!(rotation.turn(9_000_000_000, 0), Turn::Next);
        assert_eq!(rotation.path(), Path::new("9"));
        assert_eq!(rotation.turn(u64::MAX, 0), Turn::Next);
        assert!(!Rotation::new("%s".into(), Some(1), None, None, None).waits_for_time());
        assert!(!Rotation::new("f".into(), None, Some(1), None, None).waits_for_time());
    }

    #[test]
    fn names_are_strftimes() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        // What `date` of the C library makes of them.
        for form in [
            "%Y-%m-%d_%H:%M:%S",
            "%F %T %z %Z",
            "%a %A %b %B %h",
            "%C %D %e %g %G %I %j",
            "%k %l",
            "%p %P %r %R %s",
            "%u %U %V %w %W %y",
            "%c|%x|%X",
            "%n%t%%",
            "%-d%_d%5Y",
        ] {
            for unix_s in [0, 1_583_695_386, 1_751_234_567, 1_767_225_599] {
                let date = std::process::Command::new("date")
                    .env("LC_ALL", "C")
                    .env("TZ", "Europe/Berlin")
                    .args(["-d", &format!("@{unix_s}"), &format!("+{form}")])
                    .output()
                    .unwrap();
                let expect = date.stdout.strip_suffix(b"\n").unwrap();
                let found = expand(Path::new(form), unix_s, &zone);
                assert_eq!(
                    String::from_utf8_lossy(&found),
                    String::from_utf8_lossy(expect),
                    "{form} at {unix_s}"
                );
            }
        }
    }

    #[test]
    fn names_need_not_be_text() {
        let odd = Path::new(OsStr::from_bytes(b"\xff%Y\xfe%"));
        assert_eq!(expand(odd, 0, &TimeZone::UTC), b"\xff1970\xfe%");
    }
}
