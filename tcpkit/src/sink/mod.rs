//! Where packets and transactions go: the [`Sink`] trait, and the registry that `--format` walks.

mod decimal;
pub mod file;
pub mod json;
pub(crate) mod localtime;
pub mod packets;
pub mod text;
#[cfg(test)]
pub(crate) mod written;

use std::io::{self, Write};

use crate::{
    capture::Frame,
    ledger::{Ledger, ScriptCounts},
    reload::Reload,
    transaction::Transaction,
};

/// Something that takes packets, transactions or both.
pub trait Sink {
    /// Takes one transaction.
    ///
    /// # Errors
    /// The output took no more.
    fn on_transaction(&mut self, transaction: &Transaction<'_>) -> Result<(), SinkError> {
        let _ = transaction;
        Ok(())
    }

    /// Takes one packet, of which `unix_ns` says when it passed, in ns since the Unix epoch. A packet
    /// that was captured at several places comes once.
    ///
    /// # Errors
    /// The output took no more.
    fn on_packet(&mut self, frame: &Frame<'_>, unix_ns: u64) -> Result<(), SinkError> {
        let _ = (frame, unix_ns);
        Ok(())
    }

    /// Nothing waits to be read for now: makes visible what was buffered.
    ///
    /// # Errors
    /// The output took no more.
    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// About once a second and at the end: what was counted so far.
    ///
    /// # Errors
    /// The output took no more.
    fn on_ledger(&mut self, ledger: &Ledger) -> Result<(), SinkError> {
        let _ = ledger;
        Ok(())
    }

    /// Nothing more will come: ends the output in an orderly way, and flushes it.
    ///
    /// # Errors
    /// The output took no more.
    fn finish(&mut self) -> Result<(), SinkError> {
        self.flush()
    }

    /// Whether this output is complete by what the user asked for, so that the run is over.
    fn is_done(&self) -> bool {
        false
    }

    /// Time passed, whether packets came or not: about once a second, `unix_ns` is now, in ns since the
    /// Unix epoch (of the packets, where they come from a file), and `now_ns` the same on the clock of
    /// frames.
    ///
    /// # Errors
    /// The output took no more.
    fn on_time(&mut self, unix_ns: u64, now_ns: u64) -> Result<(), SinkError> {
        let _ = (unix_ns, now_ns);
        Ok(())
    }

    /// Somebody changed what is wanted while the run goes on.
    ///
    /// # Errors
    /// The output took no more.
    fn on_reload(&mut self, reload: &Reload) -> Result<(), SinkError> {
        let _ = reload;
        Ok(())
    }

    /// What the user's script was given, if this is one.
    fn script(&self) -> ScriptCounts {
        ScriptCounts::default()
    }

    /// Packets that it was given after it had taken all.
    fn late(&self) -> u64 {
        0
    }

    /// Packets that this output was given and could not keep.
    fn unwritten(&self) -> u64 {
        0
    }
}

/// A kind of output that `--format` names.
pub struct SinkKind {
    /// What `--format` takes.
    pub name: &'static str,
    /// What it is, for the help text.
    pub summary: &'static str,
    /// Whether it shows the fields of messages, so that decoders have to write them down.
    pub shows_fields: bool,
    /// Makes one that writes to `output`.
    pub make: fn(output: Box<dyn Write>, style: Style) -> Box<dyn Sink>,
}

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// They are coloured by how slow a request was.
    pub colour: bool,
    /// Each names its protocol, as there are several.
    pub protocol: bool,
}

/// Every kind of output, the default first.
pub static SINKS: &[SinkKind] = &[text::KIND, json::KIND];

/// The kind of this name, if there is one.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static SinkKind> {
    SINKS.iter().find(|kind| kind.name == name)
}

/// Why an output takes no more.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Whoever read the output went away (`| head`); a quiet end.
    #[error("the output was closed")]
    Closed,
    /// The user's script failed, and was to end the run then.
    #[error("{0}")]
    Script(String),
    /// Writing failed.
    #[error("cannot write the output: {0}; what was captured since is lost")]
    Write(#[source] io::Error),
}

impl From<io::Error> for SinkError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Write(error),
        }
    }
}

/// Lines on their way to an output: written when there are many, or when nothing else waits.
pub(crate) struct Lines {
    output: Box<dyn Write>,
    buffer: Vec<u8>,
}

/// A write is worth its system call from this many bytes on.
const WRITE_BYTES: usize = 64 * 1024;

impl Lines {
    pub(crate) fn new(output: Box<dyn Write>) -> Self {
        Self { output, buffer: Vec::with_capacity(WRITE_BYTES + 4096) }
    }

    /// Goes on with another output; what is in the buffer goes there, too.
    pub(crate) fn redirect(&mut self, output: Box<dyn Write>) {
        self.output = output;
    }

    /// Appends bytes, of lines or parts of them.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.buffer.extend_from_slice(bytes);
        self.flush_if_much()
    }

    /// Ends a line that was appended to the buffer.
    fn end_line(&mut self) -> Result<(), SinkError> {
        self.buffer.push(b'\n');
        self.flush_if_much()
    }

    fn flush_if_much(&mut self) -> Result<(), SinkError> {
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    pub(crate) fn flush(&mut self) -> Result<(), SinkError> {
        if !self.buffer.is_empty() {
            let result = self.output.write_all(&self.buffer).and_then(|()| self.output.flush());
            self.buffer.clear();
            result?;
        }
        Ok(())
    }
}
