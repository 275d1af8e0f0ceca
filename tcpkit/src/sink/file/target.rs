//! A file, pipe or standard output that whole packets are written to.

use std::{
    fs::{self, File},
    io,
    os::fd::AsFd as _,
    path::Path,
};

use nix::unistd::User;

use crate::{
    openfile::{self, Begin, Opened},
    privileges,
    wholewrite::{Failed, cut_back, write_whole},
};

/// Where packets are written to. Every write is one system call, where the target takes it whole.
#[derive(Debug)]
pub(super) struct Target {
    file: File,
    /// It was not there before.
    is_new: bool,
    /// What was written, in bytes.
    len: u64,
}

impl Target {
    /// Creates a file, or empties the one that is there.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        // A pipe's reader is waited for, as tcpdump does.
        let opened = match openfile::open(path, Begin::Truncate, true) {
            // Another user left it: its content is to go, and its name will do.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && is_file(path) => {
                fs::remove_file(path).map_err(|_| error)?;
                openfile::open(path, Begin::Truncate, true)
            }
            opened => opened,
        };
        let Opened { file, is_new } = opened?;
        Ok(Self { file, is_new, len: 0 })
    }

    /// Standard output, without the buffer that the standard library puts in front of it.
    pub(super) fn stdout() -> io::Result<Self> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Self { file, is_new: false, len: 0 })
    }

    /// Makes it a user's, who is to write it again later, if it was not there before.
    pub(super) fn hand_over(&self, user: &User) {
        if self.is_new {
            privileges::hand_over(&self.file, user);
        }
    }

    /// What was written so far, in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Writes all of it.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        let result = write_whole(&self.file, bytes);
        let written = result.as_ref().map_or_else(|failed| failed.written, |()| bytes.len());
        self.len = self.len.saturating_add(written as u64);
        result
    }

    /// Takes back the last `excess` bytes that were written, where the target is a file, and closes
    /// it. On a failure the file ends with a part of a packet, which readers know how to take.
    pub(super) fn cut_back(self, excess: usize) -> io::Result<()> {
        cut_back(&self.file, excess)
    }
}

fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|it| it.is_file())
}
