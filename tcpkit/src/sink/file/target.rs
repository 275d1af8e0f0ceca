//! A file, pipe or standard output that whole packets are written to.

use std::{
    fs::{self, File},
    io::{self, Seek, Write},
    os::fd::AsFd,
    path::Path,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::User,
};

use crate::{
    openfile::{self, Begin, Opened},
    privileges,
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

/// A write that failed on its way.
#[derive(Debug)]
pub(super) struct Failed {
    /// How many bytes had been written before, of those that were to be.
    pub(super) written: usize,
    pub(super) error: io::Error,
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
        let mut rest = bytes;
        while !rest.is_empty() {
            let result = match self.file.write(rest) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.len = self.len.saturating_add(count as u64);
                    rest = rest.get(count..).unwrap_or(&[]);
                    Ok(())
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
                // Somebody made the pipe non-blocking; the packets wait all the same.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)];
                    match poll(&mut fds, PollTimeout::NONE) {
                        Ok(_) | Err(Errno::EINTR) => Ok(()),
                        Err(error) => Err(error.into()),
                    }
                }
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                return Err(Failed { written: bytes.len() - rest.len(), error });
            }
        }
        Ok(())
    }

    /// Takes back the last `excess` bytes that were written, where the target is a file, and closes
    /// it. On a failure the file ends with a part of a packet, which readers know how to take.
    pub(super) fn cut_back(mut self, excess: usize) -> io::Result<()> {
        if excess > 0 && self.file.metadata()?.is_file() {
            // Standard output may have been written to before by others.
            let end = self.file.stream_position()?;
            self.file.set_len(end.saturating_sub(excess as u64))?;
        }
        Ok(())
    }
}

fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|it| it.is_file())
}
