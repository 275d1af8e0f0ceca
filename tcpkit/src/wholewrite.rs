//! Writes to files whole, and takes back what was written by halves.

use std::{
    fs::File,
    io::{self, ErrorKind, Seek as _, Write as _},
    os::fd::AsFd as _,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

/// A write that failed on its way.
#[derive(Debug)]
pub(crate) struct Failed {
    /// How many bytes had been written before, of those that were to be.
    pub(crate) written: usize,
    pub(crate) error: io::Error,
}

/// Writes all of it; one system call, where the file takes it whole.
pub(crate) fn write_whole(mut file: &File, bytes: &[u8]) -> Result<(), Failed> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let result = match file.write(rest) {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Ok(count) => {
                rest = rest.get(count..).unwrap_or(&[]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            // Somebody made the pipe non-blocking; what is to be written waits all the same.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
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

/// Takes back the last `excess` bytes that were written, where it is a file of a disk.
pub(crate) fn cut_back(mut file: &File, excess: usize) -> io::Result<()> {
    if excess > 0 && file.metadata()?.is_file() {
        // It may have been written to before by others.
        let end = file.stream_position()?;
        file.set_len(end.saturating_sub(excess as u64))?;
    }
    Ok(())
}
