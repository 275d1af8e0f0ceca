//! A file, pipe or standard output that whole packets are written to.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, Write},
    os::fd::AsFd,
    path::Path,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::User,
};

use crate::privileges;

/// Where packets are written to. Every write is one system call, where the target takes it whole.
#[derive(Debug)]
pub(super) struct Target {
    file: File,
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
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        Ok(Self { file, len: 0 })
    }

    /// Standard output, without the buffer that the standard library puts in front of it.
    pub(super) fn stdout() -> io::Result<Self> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Self { file, len: 0 })
    }

    /// Makes it a user's, who is to write it again later.
    pub(super) fn hand_over(&self, user: &User) {
        privileges::hand_over(&self.file, user);
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
