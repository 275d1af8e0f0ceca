//! Which requests wait, and which of them a response is for.
//!
//! Responses come in the order of the requests. A *loud* request is answered in any case. A *quiet* one
//! (`mg … q`, `GETKQ`) is answered if something was found. A *muted* one (`noreply`, `ms … q`) is answered
//! if it fails, and is not paired. So a response is for one of the quiet and muted requests in front of
//! the first loud one, or for that. It is paired when only one of these comes into question, by the kind
//! of response and by what it sends back. When several do and a loud one is among them, nobody knows what
//! the next response is for: then the connection is given up until it can be begun anew.

use std::collections::VecDeque;

use super::answer::{Answer, Echo};

/// The most requests that may wait. A client that has more under way is given up on.
const MAX_WAITING: usize = 64 * 1024;

/// … and of quiet ones one behind another.
const MAX_QUIET: u16 = 2048;

/// A request that waits for its response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// What its response can be, of [`super::answer::class`].
    pub(super) classes: u16,
    /// What muted requests in front of it may still be answered with.
    pub(super) muted_before: u16,
    /// It may get no answer.
    pub(super) quiet: bool,
    /// What it does to the connection.
    pub(super) role: Role,
    /// How many keys it asks for.
    pub(super) keys: u32,
    /// What its response sends back.
    pub(super) echo: Echo,
}

/// What a request does to the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing.
    #[default]
    Ordinary,
    /// `watch`: log lines follow.
    Watch,
    /// A store that some servers refuse without reading its value, so that they take the value for
    /// commands, and others read.
    Doubtful,
}

/// What a response is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// This request. So many quiet ones in front of it got no answer.
    Request(Asked, u32),
    /// A request that is not known, or not paired.
    Unpaired,
    /// No request waits.
    Nobody,
}

/// The requests of a connection that wait.
#[derive(Debug, Default)]
pub(super) struct Link {
    first: Option<Asked>,
    /// Those behind the first; none at rest.
    #[expect(
        clippy::box_collection,
        reason = "most connections never have one, and it is small then"
    )]
    more: Option<Box<VecDeque<Asked>>>,
    /// What muted requests behind all that wait may be answered with.
    muted: u16,
    /// How many quiet requests came last, one behind another.
    quiet_run: u16,
    watching: bool,
    /// A doubtful request was answered.
    spent: bool,
    /// The server answered something other than an error.
    greeted: bool,
}

impl Link {
    /// Whether the server sends log lines, and nothing else.
    #[inline]
    pub(super) fn is_watching(&self) -> bool {
        self.watching
    }

    /// Whether nothing can be said of what follows in either direction.
    #[inline]
    pub(super) fn is_spent(&self) -> bool {
        self.spent
    }

    /// Whether the server has taken what the client said, so that the client need not say who it is.
    #[inline]
    pub(super) fn is_greeted(&self) -> bool {
        self.greeted
    }

    /// Notes that the server takes what the client says.
    pub(super) fn greet(&mut self) {
        self.greeted = true;
    }

    /// Notes a request that waits for its response.
    #[inline]
    pub(super) fn push(&mut self, mut asked: Asked) -> Result<(), &'static str> {
        asked.muted_before = std::mem::take(&mut self.muted);
        if self.first.is_none() {
            self.first = Some(asked);
            return Ok(());
        }
        let more = self.more.get_or_insert_default();
        // Each answer is looked for among the quiet ones.
        let is_quiet = more.back().is_some_and(|last| last.quiet) && asked.quiet;
        self.quiet_run = if is_quiet { self.quiet_run.saturating_add(1) } else { 0 };
        if more.len() >= MAX_WAITING || self.quiet_run > MAX_QUIET {
            return Err("too many requests under way");
        }
        more.push_back(asked);
        Ok(())
    }

    /// The oldest request that waits, which then waits no longer.
    pub(super) fn take(&mut self) -> Option<Asked> {
        let asked = self.first;
        self.pop();
        asked
    }

    /// Notes a request that is answered with one of these classes at most, and not paired.
    pub(super) fn mute(&mut self, classes: u16) {
        self.muted |= classes;
    }

    /// Finds what a response is for, or says why that cannot be told.
    #[inline]
    pub(super) fn answer(&mut self, answer: Answer) -> Result<For, &'static str> {
        match self.first {
            Some(asked) if !asked.quiet && asked.muted_before & answer.muted_class() == 0 => {
                if !asked.admits(answer) {
                    return Err("no answer to what was asked");
                }
                self.settle(asked, answer);
                self.pop();
                Ok(For::Request(asked, 0))
            }
            _ => self.search(answer),
        }
    }

    fn search(&mut self, answer: Answer) -> Result<For, &'static str> {
        let more = self.more.iter().flat_map(|more| more.iter());
        let mut found: Option<(Asked, u32)> = None;
        let (mut count, mut fence) = (0_u32, false);
        for (index, asked) in (0_u32..).zip(self.first.iter().chain(more)) {
            if asked.muted_before & answer.muted_class() != 0 {
                count = count.saturating_add(1);
            }
            fence = !asked.quiet;
            if asked.admits(answer) {
                count = count.saturating_add(1);
                found = Some((*asked, index));
            } else if fence && found.is_none() && count == 0 {
                return Err("no answer to what was asked");
            }
            if fence {
                break;
            }
        }
        if !fence && self.muted & answer.muted_class() != 0 {
            count = count.saturating_add(1);
        }
        match (found, count) {
            (Some((asked, index)), 1) => {
                self.settle(asked, answer);
                for _ in 0..=index {
                    self.pop();
                }
                Ok(For::Request(asked, index))
            }
            (Some((asked, _)), _) if !asked.quiet => {
                Err("an answer that may be for several requests")
            }
            (None, 0) if self.first.is_none() => Ok(For::Nobody),
            (None, 0) => Err("no answer to what was asked"),
            _ => Ok(For::Unpaired),
        }
    }

    /// Notes what a request did, now that it is answered.
    #[inline]
    fn settle(&mut self, asked: Asked, answer: Answer) {
        self.greeted |= answer.class != super::answer::class::ERROR;
        match asked.role {
            Role::Ordinary => {}
            Role::Watch => self.watching = answer.class == super::answer::class::OTHER,
            Role::Doubtful => self.spent = true,
        }
    }

    #[inline]
    fn pop(&mut self) {
        self.first = match &mut self.more {
            None => None,
            Some(more) => {
                let next = more.pop_front();
                if more.is_empty() {
                    self.more = None;
                }
                next
            }
        };
    }

    /// Nothing is under way.
    pub(super) fn resync(&mut self) {
        *self = Self { watching: self.watching, greeted: self.greeted, ..Self::default() };
    }
}

impl Asked {
    /// Whether this can be its answer.
    #[inline]
    fn admits(&self, answer: Answer) -> bool {
        self.classes & answer.class != 0 && answer.echo.fits(answer.class, self.echo)
    }
}
