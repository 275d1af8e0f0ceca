//! What the agent says on stderr: its log, and what it reports.
//!
//! In systemd's journal each message has its level (sd-daemon(3)). While something else has the screen,
//! messages are kept back.

use std::{
    collections::VecDeque,
    env,
    io::{self, IsTerminal, Write},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use env_logger::{Builder, Target, WriteStyle, fmt::Formatter};
use log::{Level, LevelFilter, Record};
use nix::sys::stat::fstat;

/// How many messages are kept back at most; of more, the latest.
const MAX_KEPT: usize = 1000;

/// Where messages go while they are not to be seen.
static KEPT: Mutex<Option<Kept>> = Mutex::new(None);

#[derive(Debug, Default)]
struct Kept {
    latest: VecDeque<Vec<u8>>,
    /// How many were there before.
    forgotten: u64,
}

/// Opens the log, for messages of `level` and worse, unless `RUST_LOG` says otherwise.
pub fn open_log(level: LevelFilter) {
    let mut builder = Builder::new();
    builder.filter_level(level).target(Target::Pipe(Box::new(Stderr)));
    if is_journal() {
        builder.format(for_journal);
    } else if allows_colour(io::stderr().is_terminal()) {
        builder.write_style(WriteStyle::Always);
    }
    builder.parse_default_env().init();
}

/// Whether what goes to a terminal (or not) is to be coloured where nobody said so (no-color.org).
#[must_use]
pub fn allows_colour(is_terminal: bool) -> bool {
    is_terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether stderr goes to systemd's journal (systemd.exec(5), `JOURNAL_STREAM`).
fn is_journal() -> bool {
    static IS_JOURNAL: OnceLock<bool> = OnceLock::new();
    *IS_JOURNAL.get_or_init(finds_journal)
}

fn finds_journal() -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else { return false };
    fstat(io::stderr()).is_ok_and(|it| stream == format!("{}:{}", it.st_dev, it.st_ino))
}

/// A line for each line of a message, with the level in front as the journal takes it; it has the time
/// already.
fn for_journal(formatter: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    formatter.write_all(with_level(record.level(), &record.args().to_string()).as_bytes())
}

/// A level as syslog(3) counts.
fn number(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Says lines, in one piece.
pub fn say(lines: &str) {
    write(format!("{lines}\n").as_bytes());
}

/// Says lines that tell of something bad, in one piece.
pub fn say_at(level: Level, lines: &str) {
    write(with_level(level, lines).as_bytes());
}

/// Says a report, in one piece, of which some lines are `warnings`.
pub fn say_report(report: &str, warnings: &[String]) {
    let lines = report.lines().map(|line| match warnings.iter().any(|it| it == line) {
        true => with_level(Level::Warn, line),
        false => format!("{line}\n"),
    });
    write(lines.collect::<String>().as_bytes());
}

/// Lines as the journal wants them, or as they are.
fn with_level(level: Level, lines: &str) -> String {
    match is_journal() {
        true => lines.lines().map(|line| format!("<{}>{line}\n", number(level))).collect(),
        false => format!("{lines}\n"),
    }
}

/// Says bytes as they are, in one piece.
pub fn write(message: &[u8]) {
    // Nobody is left to be told if stderr is gone.
    let _ = Stderr.write_all(message);
}

/// Keeps messages back from now on.
pub fn keep() {
    kept().get_or_insert_default();
}

/// Says what was kept back, and from now on everything at once.
pub fn release() {
    let mut kept = kept();
    let Some(Kept { latest, forgotten }) = kept.take() else { return };
    if forgotten > 0 {
        // As above.
        let _ = writeln!(io::stderr(), "tcpkit: {forgotten} earlier messages were forgotten");
    }
    for message in latest {
        let _ = io::stderr().write_all(&message);
    }
}

/// The latest line that was kept back; `None` when there is none.
#[must_use]
pub fn latest_kept() -> Option<String> {
    let kept = kept();
    let message = String::from_utf8_lossy(kept.as_ref()?.latest.back()?);
    message.lines().last().map(str::to_owned)
}

fn kept() -> MutexGuard<'static, Option<Kept>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stderr, unless messages are kept back.
struct Stderr;

impl Write for Stderr {
    /// Takes a message as a whole.
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        match &mut *kept() {
            Some(Kept { latest, forgotten }) => {
                latest.push_back(message.to_vec());
                if latest.len() > MAX_KEPT {
                    latest.pop_front();
                    *forgotten = forgotten.saturating_add(1);
                }
            }
            None => io::stderr().lock().write_all(message)?,
        }
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_back_is_bounded() {
        keep();
        for number in 0..MAX_KEPT + 2 {
            say(&format!("first {number}\nlast {number}"));
        }
        assert_eq!(latest_kept(), Some(format!("last {}", MAX_KEPT + 1)));
        let kept = kept().take().expect("it was begun");
        assert_eq!((kept.latest.len(), kept.forgotten), (MAX_KEPT, 2));
        assert_eq!(latest_kept(), None);
    }
}
