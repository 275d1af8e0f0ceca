//! What a script prints: one buffer behind `print`, `io.write` and `tcpkit.emit`.

use std::{cell::RefCell, io::Write, rc::Rc};

use crate::sink::{Lines, SinkError};

struct Printing {
    lines: Lines,
    /// Why the output takes no more; told to the agent when it asks.
    error: Option<SinkError>,
}

/// Writes to a buffer that all clones share.
#[derive(Clone)]
pub(super) struct Printer(Rc<RefCell<Printing>>);

impl Printer {
    pub(super) fn new(output: Box<dyn Write>) -> Self {
        Self(Rc::new(RefCell::new(Printing { lines: Lines::new(output), error: None })))
    }

    /// Writes to another output from now on.
    pub(super) fn redirect(&self, output: Box<dyn Write>) {
        self.0.borrow_mut().lines.redirect(output);
    }

    /// Appends bytes; whether the output still takes them.
    pub(super) fn write(&self, bytes: &[u8]) -> bool {
        self.work(|lines| lines.write(bytes))
    }

    /// Makes visible what was written.
    pub(super) fn flush(&self) -> bool {
        self.work(Lines::flush)
    }

    fn work(&self, work: impl FnOnce(&mut Lines) -> Result<(), SinkError>) -> bool {
        let mut printing = self.0.borrow_mut();
        if printing.error.is_some() {
            return false;
        }
        printing.error = work(&mut printing.lines).err();
        printing.error.is_none()
    }

    /// Whether the output takes no more, and nobody was told.
    #[inline]
    pub(super) fn has_failed(&self) -> bool {
        self.0.borrow().error.is_some()
    }

    /// Why the output takes no more; only once.
    pub(super) fn take_error(&self) -> Option<SinkError> {
        self.0.borrow_mut().error.take()
    }
}
