//! A file that lines are appended to, and that is opened anew when somebody moved it away (logrotate).
//! Several threads may write to it: what one writes with [`Write::write_all`] stays together.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nix::unistd::User;

use crate::privileges;

/// Clones share the file.
#[derive(Clone, Debug)]
pub struct LineFile {
    path: Arc<PathBuf>,
    file: Arc<Mutex<File>>,
}

impl LineFile {
    /// Opens a file, made if it is not there; what it holds stays.
    ///
    /// # Errors
    /// It cannot be written to.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        Ok(Self { path: Arc::new(path.to_owned()), file: Arc::new(Mutex::new(file)) })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it to the user who is to open it anew.
    pub fn hand_over(&self, user: &User) {
        privileges::hand_over(&self.lock(), user);
    }

    /// Goes on with the file that has the name now, made if there is none. What is no file of a disk, such
    /// as a pipe, stays as it is.
    ///
    /// # Errors
    /// It cannot be written to; lines go where they went before.
    pub fn reopen(&self) -> io::Result<()> {
        if self.lock().metadata()?.is_file() {
            let file = open(&self.path)?;
            *self.lock() = file;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

impl Write for LineFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.lock().write_all(bytes)
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
        fs::write(&path, "before\n").expect("room");
        let mut file = LineFile::open(&path).expect("it can be written");
        let mut other = file.clone();
        let read = |path: &Path| fs::read_to_string(path).expect("it is there");
        file.write_all(b"1\n").expect("room");
        fs::rename(&path, &moved).expect("it is there");
        other.write_all(b"2\n").expect("room");
        file.reopen().expect("it can be made");
        other.write_all(b"3\n").expect("room");
        assert_eq!((read(&moved), read(&path)), ("before\n1\n2\n".into(), "3\n".into()));
        // Where it cannot be made, lines go where they went.
        fs::rename(&path, &moved).expect("it is there");
        fs::create_dir(&path).expect("room");
        assert!(file.reopen().is_err());
        file.write_all(b"4\n").expect("room");
        assert_eq!(read(&moved), "3\n4\n");
        fs::remove_dir_all(&folder).expect("it is there");
    }
}
