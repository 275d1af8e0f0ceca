//! What the thread of the view is told by others, who never wait for it.

use std::{
    os::fd::{AsFd, BorrowedFd},
    sync::{Mutex, MutexGuard, PoisonError},
};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::ledger::Ledger;

/// News that have not been looked at.
#[derive(Debug, Default)]
pub(super) struct News {
    /// What was counted of packets, connections and messages.
    pub(super) ledger: Option<Ledger>,
    /// The process was stopped, and goes on.
    pub(super) has_resumed: bool,
    /// The terminal has another size.
    pub(super) has_resized: bool,
    /// There is nothing more to be read, and this is the whole ledger.
    pub(super) complete: Option<Ledger>,
    /// The view has to end.
    pub(super) ends: bool,
}

/// Where news lie, and what wakes whoever waits for them.
#[derive(Debug)]
pub struct Mailbox {
    news: Mutex<News>,
    bell: EventFd,
}

impl Mailbox {
    /// An empty one.
    ///
    /// # Errors
    /// The system has no more file descriptors.
    pub fn new() -> nix::Result<Self> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self { news: Mutex::default(), bell })
    }

    /// Makes the view look at what is new, here and elsewhere.
    pub fn wake(&self) {
        // It fails where it has rung often enough.
        let _ = self.bell.write(1);
    }

    /// Leaves something.
    pub(super) fn leave(&self, put: impl FnOnce(&mut News)) {
        put(&mut self.lock());
        self.wake();
    }

    /// Takes what is there. That the view has to end stays.
    pub(super) fn take(&self) -> News {
        // It fails where it has not rung.
        let _ = self.bell.read();
        let mut news = self.lock();
        let ends = news.ends;
        std::mem::replace(&mut *news, News { ends, ..News::default() })
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Mailbox {
    /// Can be read when there are news.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
