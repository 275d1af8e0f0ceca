//! A file that lines are appended to, and that is opened anew when somebody moved it away (logrotate).
//!
//! Several threads may write to it: what one writes with [`Write::write_all`] stays together. Where it
//! takes no more (a full disk), lines are left out and counted until it does again.

use std::{
    fs::File,
    io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use nix::unistd::{AccessFlags, User, access};

use crate::{
    openfile::{self, Begin, Opened},
    privileges,
    wholewrite::{Failed, cut_back, write_whole},
};

/// Clones share the file.
#[derive(Clone, Debug)]
pub struct LineFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// Held only to look at it or to change it: a write may take its time.
    file: Mutex<Arc<File>>,
    /// Whose turn it is to write, and whether lines are being left out.
    turn: Mutex<bool>,
    /// This run made it.
    is_new: bool,
    lost: AtomicU64,
}

impl LineFile {
    /// Opens a file, made if it is not there; what it holds stays.
    ///
    /// # Errors
    /// It cannot be written to. A pipe needs a reader.
    pub fn open(path: &Path) -> io::Result<Self> {
        let Opened { file, is_new } = open(path)?;
        Ok(Self(Arc::new(Inner {
            path: path.to_owned(),
            file: Mutex::new(Arc::new(file)),
            turn: Mutex::new(false),
            is_new,
            lost: AtomicU64::new(0),
        })))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// How many lines it did not take.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Gives it, if this run made it, to the user who is to open it anew.
    pub fn hand_over(&self, user: &User) {
        if self.0.is_new {
            privileges::hand_over(&self.file(), user);
        }
    }

    /// Whether the process, as who it is now, could open it anew.
    #[must_use]
    pub fn can_be_reopened(&self) -> bool {
        access(&self.0.path, AccessFlags::W_OK).is_ok()
    }

    /// Goes on with the file that has the name now, made if there is none. What is no file of a disk, such
    /// as a pipe, stays as it is.
    ///
    /// # Errors
    /// It cannot be written to; lines go where they went before.
    pub fn reopen(&self) -> io::Result<()> {
        let old = self.file().metadata()?;
        if !old.is_file() {
            return Ok(());
        }
        if let Ok(new) = self.0.path.metadata()
            && (new.dev(), new.ino()) == (old.dev(), old.ino())
        {
            return Ok(());
        }
        let Opened { file, .. } = open(&self.0.path)?;
        let kind = file.metadata()?.file_type();
        if !kind.is_file() {
            let what = if kind.is_fifo() { "a pipe" } else { "no file" };
            return Err(io::Error::other(format!("it is {what} now")));
        }
        *self.0.file.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(file);
        Ok(())
    }

    fn file(&self) -> Arc<File> {
        Arc::clone(&self.0.file.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn turn(&self) -> MutexGuard<'_, bool> {
        self.0.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(path: &Path) -> io::Result<Opened> {
    let opened =
        openfile::open(path, Begin::Append, false).map_err(|error| match error.raw_os_error() {
            Some(libc::ENXIO) => io::Error::other("it is a pipe that nobody reads"),
            _ => error,
        })?;
    if !opened.is_new {
        end_line(path, &opened.file);
    }
    Ok(opened)
}

/// Ends a line that whoever wrote before had to leave, if that can be seen.
fn end_line(path: &Path, mut file: &File) {
    let is_left = || -> io::Result<bool> {
        if !file.metadata()?.is_file() {
            return Ok(false);
        }
        let mut last = [b'\n'];
        let mut reader = File::open(path)?;
        if reader.seek(SeekFrom::End(0))? > 0 {
            reader.seek(SeekFrom::End(-1))?;
            reader.read_exact(&mut last)?;
        }
        Ok(last != *b"\n")
    };
    if is_left().unwrap_or(false) {
        // What cannot be written now is said with the first line.
        let _ = file.write_all(b"\n");
    }
}

impl Write for LineFile {
    /// Takes whole lines as a whole.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut leaves_out = self.turn();
        let file = self.file();
        match write_whole(&file, bytes) {
            Ok(()) => {
                if std::mem::take(&mut *leaves_out) {
                    log::warn!("{} takes lines again", self.0.path.display());
                }
            }
            Err(Failed { error, .. }) if error.kind() == ErrorKind::BrokenPipe => {
                return Err(error);
            }
            Err(Failed { written, error }) => {
                let (taken, rest) = bytes.split_at_checked(written).unwrap_or((bytes, &[]));
                let excess = taken.iter().rev().take_while(|byte| **byte != b'\n').count();
                if let Err(error) = cut_back(&file, excess) {
                    log::debug!("{}: a line stays cut: {error}", self.0.path.display());
                }
                let lost = rest.iter().filter(|byte| **byte == b'\n').count() as u64;
                self.0.lost.fetch_add(lost, Ordering::Relaxed);
                if !std::mem::replace(&mut *leaves_out, true) {
                    let path = self.0.path.display();
                    log::error!(
                        "cannot write to {path}: {error}; lines are left out until it works"
                    );
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn lines_go_to_the_file_that_has_the_name() {
        let folder = std::env::temp_dir().join(format!("tcpkit-lines-{}", std::process::id()));
        fs::create_dir(&folder).expect("room");
        let (path, moved) = (folder.join("a"), folder.join("b"));
        // Whoever wrote before did not come to the end.
        fs::write(&path, "before\nhalf").expect("room");
        let mut file = LineFile::open(&path).expect("it can be written");
        let mut other = file.clone();
        let read = |path: &Path| fs::read_to_string(path).expect("it is there");
        file.write_all(b"1\n").expect("room");
        file.reopen().expect("it is the same");
        fs::rename(&path, &moved).expect("it is there");
        other.write_all(b"2\n").expect("room");
        file.reopen().expect("it can be made");
        other.write_all(b"3\n").expect("room");
        assert_eq!((read(&moved), read(&path)), ("before\nhalf\n1\n2\n".into(), "3\n".into()));
        // Where it cannot be made, lines go where they went.
        fs::rename(&path, &moved).expect("it is there");
        fs::create_dir(&path).expect("room");
        assert!(file.reopen().is_err());
        file.write_all(b"4\n").expect("room");
        assert_eq!(read(&moved), "3\n4\n");
        fs::remove_dir_all(&folder).expect("it is there");
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let mut file = LineFile::open(Path::new("/dev/full")).expect("it can be opened");
        file.write_all(b"1\n2\n3\n").expect("it is left out");
        assert_eq!(file.lost(), 3);
    }
}
