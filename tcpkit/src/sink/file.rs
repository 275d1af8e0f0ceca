//! Capture files (`-w`): what was captured, for tcpdump and Wireshark to read.
//!
//! Packets are written in one piece, so that a file ends with a whole one whenever the process does.
//! When a file cannot be written any more, the capture goes on without it.

mod encoding;
mod rotation;
mod size;
mod target;
#[cfg(test)]
mod tests;

use std::{
    io, mem,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use nix::unistd::{AccessFlags, User, access};

use self::{
    encoding::Encoding,
    rotation::{Rotation, Turn},
    target::Target,
};
pub use self::{
    encoding::FileLink,
    size::{FileSizeError, parse_file_size},
};
use super::{Sink, SinkError};
use crate::{
    capture::{Frame, InterfaceCounters, InterfaceNames},
    ledger::Ledger,
    privileges,
    wholewrite::Failed,
};

/// A write is worth its system call from this many bytes on.
const WRITE_BYTES: usize = 256 * 1024;

/// The name that stands for standard output.
const STDOUT: &str = "-";

/// What the names of pcapng files end in.
const PCAPNG: &[u8] = b".pcapng";

/// What is written where.
#[derive(Clone, Debug)]
pub struct FileSinkConfig {
    /// The file's name: pcapng when it ends in `.pcapng`, else pcap with ns. `-` is standard output.
    /// With `seconds` it is a form for strftime(3), in local time.
    pub path: PathBuf,
    /// Whether every packet is written at once (`-U`).
    pub per_packet_flush: bool,
    /// The next file begins with the first packet after the file got longer than this, in bytes
    /// (`-C`).
    pub max_bytes: Option<u64>,
    /// The next file begins with the first packet at least so many seconds after the file began
    /// (`-G`).
    pub seconds: Option<u64>,
    /// With `max_bytes`: after so many files the first is overwritten. With `seconds` alone: the
    /// sink is done after so many files (`-W`).
    pub count: Option<u32>,
    /// When the first file begins, in ns since the Unix epoch: now, or `None` for the first packet's
    /// time when that is of the past. A first file whose name depends on that is created then.
    pub start_unix_ns: Option<u64>,
    /// The link type of a pcap file, and of a pcapng file without packets.
    pub link: FileLink,
    /// The names of the interfaces, for a pcapng file.
    pub names: InterfaceNames,
}

/// Why no capture file can be written.
#[derive(Debug, thiserror::Error)]
pub enum FileSinkError {
    /// The first file cannot be created.
    #[error(
        "cannot create the capture file '{}': {error}; -w needs a directory that is there and may be \
         written to, with room",
        .path.display()
    )]
    Create {
        /// The file, or the form of its name.
        path: PathBuf,
        /// The system's reason.
        #[source]
        error: io::Error,
    },
    /// Files that are begun later would be another user's, who may not begin them.
    #[error(
        "capture files such as '{}' are begun later, as the user {user}, who may not do that there \
         ({error}): name one who may with -Z, or keep root (--keep-root)",
        .path.display()
    )]
    CreateLater {
        /// The form of their names.
        path: PathBuf,
        /// Who will begin them.
        user: String,
        /// The system's reason.
        #[source]
        error: io::Error,
    },
    /// Standard output was to be more than one file.
    #[error("-C and -G begin new files, and standard output is one; give -w a file's name")]
    RotatedStdout,
}

/// Writes packets to capture files.
#[derive(Debug)]
pub struct FileSink {
    rotation: Rotation,
    encoding: Encoding,
    state: State,
    per_packet_flush: bool,
    takes_first_link: bool,
    /// The first file, while it is not known what it begins with.
    early: Option<Target>,
    /// Whole packets that wait to be written.
    buffer: Vec<u8>,
    /// How many those are.
    waiting: u64,
    /// When the last packet of the file that is open passed.
    last_unix_ns: u64,
    /// What the ledger said last.
    counters: Vec<InterfaceCounters>,
    has_warned: bool,
    written: u64,
    unwritten: u64,
    late: u64,
}

#[derive(Debug)]
enum State {
    /// The first file's name or link type is not known yet.
    Unnamed,
    Open {
        target: Target,
        path: PathBuf,
    },
    /// A file could not be written.
    Failed,
    /// The last file is complete.
    Done,
}

impl FileSink {
    /// Makes a sink and its first file.
    ///
    /// # Errors
    /// The file cannot be created or written to, or standard output was to be rotated.
    pub fn create(config: FileSinkConfig) -> Result<Self, FileSinkError> {
        let is_pcapng = config.path.as_os_str().as_bytes().ends_with(PCAPNG);
        let encoding = if is_pcapng {
            Encoding::pcapng(config.names, config.link)
        } else {
            Encoding::pcap(config.link)
        };
        let is_stdout = config.path.as_os_str() == STDOUT;
        let rotation = Rotation::new(
            config.path,
            config.max_bytes,
            config.seconds,
            config.count,
            config.start_unix_ns,
        );
        if is_stdout && rotation.is_rotating() {
            return Err(FileSinkError::RotatedStdout);
        }
        let mut sink = Self {
            rotation,
            encoding,
            state: State::Unnamed,
            per_packet_flush: config.per_packet_flush,
            takes_first_link: config.link == FileLink::First,
            early: None,
            buffer: Vec::with_capacity(WRITE_BYTES + 4096),
            waiting: 0,
            last_unix_ns: 0,
            counters: Vec::new(),
            has_warned: false,
            written: 0,
            unwritten: 0,
            late: 0,
        };
        let failed = |(path, error)| FileSinkError::Create { path, error };
        if sink.rotation.waits_for_time() {
            let form = sink.rotation.form();
            may_create(form).map_err(|error| failed((form.to_owned(), error)))?;
        } else if sink.takes_first_link {
            let (_, target) = sink.create_target().map_err(failed)?;
            sink.early = Some(target);
        } else {
            sink.open().map_err(failed)?;
        }
        Ok(sink)
    }

    /// Gives the first file to the user who will begin the others, if there may be others.
    pub fn hand_over(&self, user: &User) {
        let first = match &self.state {
            State::Open { target, .. } => Some(target),
            _ => self.early.as_ref(),
        };
        if let Some(first) = first.filter(|_| self.rotation.is_rotating()) {
            first.hand_over(user);
        }
    }

    /// Looks whether files may be begun later, by the user that the process is now.
    ///
    /// # Errors
    /// There may be such files, and the user may not begin them.
    pub fn check_later_files(&self) -> Result<(), FileSinkError> {
        if !self.rotation.is_rotating() {
            return Ok(());
        }
        let path = self.rotation.form();
        may_create(path).map_err(|error| FileSinkError::CreateLater {
            path: path.to_owned(),
            user: privileges::user_name(),
            error,
        })
    }

    /// Packets written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Creates the file whose turn it is.
    fn create_target(&self) -> Result<(PathBuf, Target), (PathBuf, io::Error)> {
        let path = self.rotation.path();
        let target =
            if path.as_os_str() == STDOUT { Target::stdout() } else { Target::create(&path) };
        match target {
            Ok(target) => Ok((path, target)),
            Err(error) => Err((path, error)),
        }
    }

    /// Opens the file whose turn it is, and writes what it begins with: a file without packets is
    /// one that readers know.
    fn open(&mut self) -> Result<(), (PathBuf, io::Error)> {
        let (path, mut target) = match self.early.take() {
            Some(target) => (self.rotation.path(), target),
            None => self.create_target()?,
        };
        self.encoding.begin(&mut self.buffer);
        let result = target.write(&self.buffer);
        self.buffer.clear();
        self.last_unix_ns = 0;
        match result {
            Ok(()) => {
                self.state = State::Open { target, path };
                Ok(())
            }
            Err(Failed { written, error }) => {
                // What is left is a part of a header, or an empty file.
                let _ = target.cut_back(written);
                Err((path, error))
            }
        }
    }

    /// Opens a further file; without it the capture goes on.
    fn open_next(&mut self) {
        if let Err((path, error)) = self.open() {
            self.state = State::Failed;
            warn_failed(&path, &error);
        }
    }

    /// Sees to it that the file of a packet is open; returns whether it is.
    fn is_open_for(&mut self, frame: &Frame<'_>, unix_ns: u64) -> Result<bool, SinkError> {
        if matches!(self.state, State::Unnamed) {
            if self.takes_first_link {
                self.encoding.set_link(frame.link);
            }
            self.rotation.start(unix_ns);
            self.open_next();
        }
        let State::Open { target, .. } = &self.state else { return Ok(false) };
        if self.rotation.is_rotating() {
            let len = target.len().saturating_add(self.buffer.len() as u64);
            match self.rotation.turn(unix_ns, len) {
                Turn::Stay => {}
                Turn::Next => {
                    self.end_file()?;
                    // Ending the file may have failed, and a sink that failed stays so.
                    if matches!(self.state, State::Open { .. }) {
                        self.open_next();
                    }
                }
                Turn::Done => {
                    self.end_file()?;
                    self.state = State::Done;
                }
            }
        }
        Ok(matches!(self.state, State::Open { .. }))
    }

    /// Writes what belongs at a file's end; the file stays open.
    fn end_file(&mut self) -> Result<(), SinkError> {
        self.encoding.end(&mut self.buffer, &self.counters, self.last_unix_ns);
        self.write()
    }

    /// Writes what waits.
    fn write(&mut self) -> Result<(), SinkError> {
        let State::Open { target, .. } = &mut self.state else { return Ok(()) };
        if self.buffer.is_empty() {
            return Ok(());
        }
        let result = target.write(&self.buffer);
        match result {
            Ok(()) => {
                self.written = self.written.saturating_add(mem::take(&mut self.waiting));
                self.buffer.clear();
                Ok(())
            }
            Err(failed) => self.fail(failed),
        }
    }

    /// Closes the file behind its last whole packet, and says so.
    #[cold]
    fn fail(&mut self, failed: Failed) -> Result<(), SinkError> {
        let Failed { written, error } = failed;
        let (whole, packets) = self.encoding.whole(self.buffer.get(..written).unwrap_or(&[]));
        self.buffer.clear();
        let waiting = mem::take(&mut self.waiting);
        self.written = self.written.saturating_add(packets);
        self.unwritten = self.unwritten.saturating_add(waiting.saturating_sub(packets));
        let State::Open { target, path } = mem::replace(&mut self.state, State::Failed) else {
            return Ok(());
        };
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Err(SinkError::Closed);
        }
        warn_failed(&path, &error);
        if let Err(error) = target.cut_back(written.saturating_sub(whole)) {
            log::debug!("{}: its last packet stays cut: {error}", path.display());
        }
        Ok(())
    }

    #[cold]
    fn warn_unwritable(&mut self, frame: &Frame<'_>) {
        if !mem::replace(&mut self.has_warned, true) {
            log::warn!(
                "a packet with link type {:?} does not fit into the capture file, nor will others \
                 like it; a file with a name in .pcapng takes all",
                frame.link
            );
        }
    }
}

fn warn_failed(path: &Path, error: &io::Error) {
    log::warn!(
        "cannot write the capture file '{}': {error}; capture goes on without the file",
        path.display()
    );
}

/// Whether a file could be created whose name has no time yet.
fn may_create(form: &Path) -> io::Result<()> {
    let directory = match form.parent() {
        // The directory's name has no time either.
        Some(parent) if parent.as_os_str().as_bytes().contains(&b'%') => return Ok(()),
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    Ok(access(directory, AccessFlags::W_OK | AccessFlags::X_OK)?)
}

impl Sink for FileSink {
    fn on_packet(&mut self, frame: &Frame<'_>, unix_ns: u64) -> Result<(), SinkError> {
        let is_open = self.is_open_for(frame, unix_ns);
        if !matches!(is_open, Ok(true)) {
            match self.state {
                State::Done => self.late = self.late.saturating_add(1),
                _ => self.unwritten = self.unwritten.saturating_add(1),
            }
            return is_open.map(drop);
        }
        if !self.encoding.push(&mut self.buffer, frame, unix_ns) {
            self.unwritten = self.unwritten.saturating_add(1);
            self.warn_unwritable(frame);
            return Ok(());
        }
        self.waiting += 1;
        self.last_unix_ns = unix_ns;
        if self.per_packet_flush || self.buffer.len() >= WRITE_BYTES {
            self.write()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.write()
    }

    fn on_ledger(&mut self, ledger: &Ledger) -> Result<(), SinkError> {
        self.counters.clone_from(&ledger.interfaces);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        if matches!(self.state, State::Unnamed) {
            // No packet ever said what time it is.
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.rotation.start(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
            self.open_next();
        }
        if matches!(self.state, State::Open { .. }) {
            self.end_file()?;
        }
        if matches!(self.state, State::Open { .. }) {
            self.state = State::Done;
        }
        Ok(())
    }

    fn late(&self) -> u64 {
        self.late
    }

    fn unwritten(&self) -> u64 {
        self.unwritten
    }

    fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }
}
