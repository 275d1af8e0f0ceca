//! Standard output without the line buffer of [`io::Stdout`], which would write each line apart.
//! Several threads may write to it: what one writes with [`Write::write_all`] stays together.

use std::{
    io::{self, Write},
    os::fd::AsFd,
    sync::{Mutex, PoisonError},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::capture::Screen;

/// Writes to standard output at once.
#[derive(Clone, Debug, Default)]
pub struct Stdout {
    screen: Option<Screen>,
}

impl Stdout {
    /// Standard output on a terminal where a bar may be drawn.
    #[must_use]
    pub fn beside(screen: Screen) -> Self {
        Self { screen: Some(screen) }
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.screen {
            Some(screen) => screen.print(|| write(bytes)),
            None => write(bytes),
        }
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        while !bytes.is_empty() {
            match self.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => bytes = bytes.get(len..).unwrap_or(&[]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(bytes: &[u8]) -> io::Result<usize> {
    let stdout = io::stdout();
    loop {
        match nix::unistd::write(&stdout, bytes) {
            // Somebody made the terminal or pipe non-blocking; the lines wait all the same.
            Err(Errno::EAGAIN) => {
                poll(&mut [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE)?;
            }
            result => return result.map_err(io::Error::from),
        }
    }
}
