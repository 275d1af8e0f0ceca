//! Opens files that are written, so that nobody can lead root astray.
//!
//! A folder of logs belongs to the user that the process becomes, who reads hostile traffic. What he leaves
//! there must not make the next start, which is root's, write to or give away another file: links of
//! others are not followed (as `fs.protected_symlinks` has it for sticky folders), and only a file that did
//! not exist is ever given to him.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{self, FcntlArg, OFlag},
    sys::stat::Mode,
    unistd::geteuid,
};

/// A link may lead to another; not for ever (the kernel's `MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

/// Where the kernel's own links are, which lead to what may have no name.
const KERNELS: &str = "/proc";

/// How a file is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Behind what it holds.
    Append,
    /// Anew.
    Truncate,
}

/// A file that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The file.
    pub file: File,
    /// It was not there before.
    pub is_new: bool,
}

/// Opens a file, made if it is not there. A pipe has to have a reader, unless this `waits` for one.
///
/// # Errors
/// It cannot be written to, or the way to it leads over somebody else's link.
pub fn open(path: &Path, begin: Begin, waits: bool) -> io::Result<Opened> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let follows = path.starts_with(KERNELS);
        match open_once(&path, begin, waits, follows) {
            Err(error) if error.raw_os_error() == Some(libc::ELOOP) && !follows => {
                path = target(&path)?;
            }
            opened => return opened,
        }
    }
    Err(io::Error::from_raw_os_error(libc::ELOOP))
}

fn open_once(path: &Path, begin: Begin, waits: bool, follows: bool) -> io::Result<Opened> {
    let mut flags = OFlag::empty();
    flags.set(OFlag::O_NOFOLLOW, !follows);
    flags.set(OFlag::O_NONBLOCK, !waits);
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(flags.bits()).append(begin == Begin::Append);
    // In this order, since opening another user's file with O_CREAT is refused in sticky folders
    // (`fs.protected_regular`).
    let existing = options.truncate(begin == Begin::Truncate).open(path);
    let (file, is_new) = match existing {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            (options.truncate(false).create_new(true).open(path)?, true)
        }
        file => (file?, false),
    };
    if !waits {
        // It was for opening alone.
        let flags = OFlag::from_bits_retain(fcntl::fcntl(&file, FcntlArg::F_GETFL)?);
        fcntl::fcntl(&file, FcntlArg::F_SETFL(flags.difference(OFlag::O_NONBLOCK)))?;
    }
    Ok(Opened { file, is_new })
}

/// Where a link leads, if it is root's or one's own.
fn target(path: &Path) -> io::Result<PathBuf> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let link = File::from(fcntl::open(path, flags, Mode::empty())?);
    let owner = link.metadata()?.uid();
    if owner != 0 && owner != geteuid().as_raw() {
        return Err(io::Error::other("it is a link that another user made"));
    }
    // Of what was looked at, and not of what may have its name by now.
    let target = PathBuf::from(fcntl::readlinkat(&link, "")?);
    Ok(path.parent().map_or(target.clone(), |folder| folder.join(target)))
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, os::unix::fs::symlink};

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("tcpkit-open-{}-{name}", std::process::id()));
        fs::create_dir(&folder).expect("room");
        folder
    }

    #[test]
    fn files_are_appended_to_or_begun_anew() {
        let folder = folder("begin");
        let path = folder.join("a");
        let write = |begin, text: &str| {
            let mut opened = open(&path, begin, false).expect("it can be written");
            opened.file.write_all(text.as_bytes()).expect("room");
            (opened.is_new, fs::read_to_string(&path).expect("it is there"))
        };
        assert_eq!(write(Begin::Append, "1"), (true, "1".to_owned()));
        assert_eq!(write(Begin::Append, "2"), (false, "12".to_owned()));
        assert_eq!(write(Begin::Truncate, "3"), (false, "3".to_owned()));
        fs::remove_file(&path).expect("it is there");
        assert_eq!(write(Begin::Truncate, "4"), (true, "4".to_owned()));
        fs::remove_dir_all(&folder).expect("it is there");
    }

    #[test]
    fn ones_own_links_are_followed_but_not_round_and_round() {
        let folder = folder("links");
        let at = |name: &str| folder.join(name);
        symlink("b", at("a")).expect("room");
        symlink(at("c"), at("b")).expect("room");
        fs::write(at("c"), "x").expect("room");
        open(&at("a"), Begin::Append, false)
            .expect("own links")
            .file
            .write_all(b"y")
            .expect("room");
        assert_eq!(fs::read(at("c")).expect("it is there"), b"xy");
        symlink("round", at("round")).expect("room");
        let error = open(&at("round"), Begin::Append, false).expect_err("no end");
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
        open(Path::new("/dev/stderr"), Begin::Append, false).expect("the kernel's links");
        fs::remove_dir_all(&folder).expect("it is there");
    }

    #[test]
    fn a_pipe_without_a_reader_is_not_waited_for() {
        let folder = folder("pipe");
        let path = folder.join("a");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).expect("room");
        let error = open(&path, Begin::Append, false).expect_err("nobody reads");
        assert_eq!(error.raw_os_error(), Some(libc::ENXIO));
        fs::remove_dir_all(&folder).expect("it is there");
    }
}
