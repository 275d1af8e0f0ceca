//! What is looked at and how, and what keys change about it; without a terminal.

use std::time::Duration;

use super::{
    keys::Key,
    look::{Look, PANES, Pane},
    pace::Pace,
    slow::{SlowRow, SlowRows},
    snapshot::{Operation, Row, Snapshot},
    sort::Column,
};
use crate::{
    ledger::Ledger,
    stats::{Statistics, Window},
};

/// Longest filter, in characters.
const MAX_FILTER: usize = 100;

/// How long a message is seen, unless a key is pressed.
const MESSAGE_TIME: Duration = Duration::from_secs(10);

/// What lies over the panes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sheet {
    Help,
    Ledger,
    /// All of a slow request, by its number.
    Details(u64),
}

/// What somebody who presses a key wants of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing but to see the change.
    Draw,
    /// Other numbers: the window is another one, or they go on.
    Renew,
    Redraw,
    Suspend,
    Quit,
    /// The end as by an interrupt.
    Interrupt,
}

/// What does not change while a run goes on.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    /// Where packets come from.
    pub(super) does: String,
    pub(super) protocols: Vec<&'static str>,
    /// Packets come as they are sent, and not from a file.
    pub(super) is_live: bool,
}

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) about: About,
    pub(super) window: Window,
    /// The pane that keys go to.
    pub(super) focus: Pane,
    looks: [Look; PANES.len()],
    /// The endpoint of which alone operations and slow requests are listed.
    pub(super) endpoint: Option<String>,
    /// The operation that alone is listed.
    pub(super) operation: Option<Operation>,
    pub(super) filter: String,
    /// Whether the filter is being typed.
    pub(super) is_typing: bool,
    pub(super) sheet: Option<Sheet>,
    /// The first line of it that is seen.
    pub(super) sheet_offset: usize,
    pub(super) is_paused: bool,
    pub(super) snapshot: Snapshot,
    pub(super) slow: SlowRows,
    pub(super) ledger: Ledger,
    pub(super) pace: Pace,
    /// What would have been said on stderr lately.
    pub(super) message: Option<String>,
    /// The latest that was said, and when it was seen first.
    heard: Option<(String, Duration)>,
    /// There is nothing more to be read.
    pub(super) is_complete: bool,
    /// The run is to end, and goes on until what it does is done.
    pub(super) is_ending: bool,
}

impl Model {
    pub(super) fn new(about: About) -> Self {
        // Of a file, time goes by otherwise than in it.
        let window = if about.is_live { Window::Minute } else { Window::All };
        Self {
            about,
            window,
            focus: Pane::Operations,
            looks: [Look::by(Column::Requests), Look::by(Column::Total), Look::by(Column::Time)],
            endpoint: None,
            operation: None,
            filter: String::new(),
            is_typing: false,
            sheet: None,
            sheet_offset: 0,
            is_paused: false,
            snapshot: Snapshot::default(),
            slow: SlowRows::default(),
            ledger: Ledger::default(),
            pace: Pace::default(),
            message: None,
            heard: None,
            is_complete: false,
            is_ending: false,
        }
    }

    /// Looks at what was counted by now. While it is paused that is only noted: what is counted has to be
    /// collected at its time, and the pace is that of the last second.
    pub(super) fn renew(&mut self, statistics: &Statistics) {
        if self.is_paused {
            let (at, total) = Snapshot::total(statistics);
            self.pace.note(at, total);
            return;
        }
        self.snapshot = Snapshot::take(statistics, self.window);
        self.pace.note(self.snapshot.at, self.snapshot.total);
        if let Some(log) = statistics.slow() {
            self.slow.renew(log);
        }
    }

    /// There is nothing more to be read: what was read is shown, also where it was paused.
    pub(super) fn complete(&mut self, ledger: Ledger) {
        self.ledger = ledger;
        self.is_complete = true;
        self.is_paused = false;
    }

    /// Takes what was said latest. It is seen for a while.
    pub(super) fn hear(&mut self, latest: Option<String>, now: Duration) {
        let Some(latest) = latest else {
            (self.message, self.heard) = (None, None);
            return;
        };
        match &self.heard {
            Some((heard, since)) if *heard == latest => {
                if now.saturating_sub(*since) >= MESSAGE_TIME {
                    self.message = None;
                }
            }
            _ => {
                self.heard = Some((latest.clone(), now));
                self.message = Some(latest);
            }
        }
    }

    pub(super) fn look(&self, pane: Pane) -> &Look {
        let [endpoints, operations, slow] = &self.looks;
        match pane {
            Pane::Endpoints => endpoints,
            Pane::Operations => operations,
            Pane::Slow => slow,
        }
    }

    pub(super) fn look_mut(&mut self, pane: Pane) -> &mut Look {
        let [endpoints, operations, slow] = &mut self.looks;
        match pane {
            Pane::Endpoints => endpoints,
            Pane::Operations => operations,
            Pane::Slow => slow,
        }
    }

    /// The endpoints, in their order.
    pub(super) fn endpoints(&self) -> Vec<&Row> {
        let mut rows: Vec<_> = self.snapshot.endpoints.iter().collect();
        self.look(Pane::Endpoints).sorting.sort_rows(&mut rows);
        rows
    }

    /// The operations that are asked for, in their order.
    pub(super) fn operations(&self) -> Vec<&Row> {
        let words = self.words();
        let all = self.snapshot.operations.iter();
        let mut rows: Vec<_> = all
            .filter(|row| self.is_asked_for(&row.server, &row.protocol, &row.operation))
            .filter(|row| {
                let text = row.identity().to_lowercase();
                words.iter().all(|word| text.contains(word.as_str()))
            })
            .collect();
        self.look(Pane::Operations).sorting.sort_rows(&mut rows);
        rows
    }

    /// The slow requests that are asked for, in their order.
    pub(super) fn slow_requests(&self) -> Vec<&SlowRow> {
        let words = self.words();
        let all = self.slow.iter();
        let all = all.filter(|it| self.is_asked_for(&it.server, &it.protocol, &it.operation));
        let mut rows: Vec<_> = all.filter(|row| row.has(&words)).collect();
        self.look(Pane::Slow).sorting.sort_slow(&mut rows);
        rows
    }

    /// Whether an operation belongs to the endpoint, and is the one, that was chosen.
    fn is_asked_for(&self, server: &str, protocol: &str, operation: &str) -> bool {
        self.endpoint.as_ref().is_none_or(|it| it == server)
            && self.operation.as_ref().is_none_or(|it| it.is(server, protocol, operation))
    }

    fn words(&self) -> Vec<String> {
        self.filter.split_whitespace().map(str::to_lowercase).collect()
    }

    /// What tells a pane's lines apart, in their order.
    pub(super) fn identities(&self, pane: Pane) -> Vec<String> {
        match pane {
            Pane::Endpoints => self.endpoints().into_iter().map(Row::identity).collect(),
            Pane::Operations => self.operations().into_iter().map(Row::identity).collect(),
            Pane::Slow => {
                self.slow_requests().into_iter().map(|row| row.number.to_string()).collect()
            }
        }
    }

    /// Does what a key asks for.
    pub(super) fn press(&mut self, key: Key) -> Wish {
        // It has been seen, and the keys that can be pressed are to be.
        self.message = None;
        match key {
            Key::Interrupt => return Wish::Interrupt,
            Key::Suspend => return Wish::Suspend,
            Key::Redraw => return Wish::Redraw,
            _ if self.is_typing => self.type_filter(key),
            _ if self.sheet.is_some() => self.press_on_sheet(key),
            _ => return self.press_on_panes(key),
        }
        Wish::Draw
    }

    fn type_filter(&mut self, key: Key) {
        match key {
            Key::Enter => self.is_typing = false,
            Key::Escape => {
                self.is_typing = false;
                self.filter.clear();
            }
            // Once more where there is nothing left: it was not meant.
            Key::Backspace => self.is_typing = self.filter.pop().is_some(),
            Key::Char(character) | Key::Pasted(character)
                if self.filter.chars().count() < MAX_FILTER =>
            {
                self.filter.push(character);
            }
            _ => {}
        }
    }

    fn press_on_sheet(&mut self, key: Key) {
        const PAGE: usize = 10;
        let offset = &mut self.sheet_offset;
        match key {
            Key::Up | Key::Char('k') => *offset = offset.saturating_sub(1),
            Key::Down | Key::Char('j') => *offset = offset.saturating_add(1),
            Key::PageUp => *offset = offset.saturating_sub(PAGE),
            Key::PageDown | Key::Char(' ') => *offset = offset.saturating_add(PAGE),
            Key::Home | Key::Char('g') => *offset = 0,
            Key::End | Key::Char('G') => *offset = usize::MAX,
            Key::Escape | Key::Enter | Key::Char('q' | '?' | 'h' | 'l') => self.sheet = None,
            _ => {}
        }
    }

    fn press_on_panes(&mut self, key: Key) -> Wish {
        match key {
            Key::Char('q') => return Wish::Quit,
            Key::Escape if !self.filter.is_empty() => self.filter.clear(),
            Key::Escape if self.operation.is_some() => self.operation = None,
            Key::Escape => self.endpoint = None,
            Key::Tab => self.focus_beside(1),
            Key::BackTab => self.focus_beside(PANES.len().saturating_sub(1)),
            Key::Left | Key::Char('<') => self.look_mut(self.focus).sort_beside(false),
            Key::Right | Key::Char('>') => self.look_mut(self.focus).sort_beside(true),
            Key::Char('r') => {
                let sorting = &mut self.look_mut(self.focus).sorting;
                sorting.is_reversed = !sorting.is_reversed;
            }
            Key::Char('w') => {
                // Of another window nothing was kept.
                self.is_paused = false;
                self.window = match self.window {
                    Window::Minute => Window::FiveMinutes,
                    Window::FiveMinutes => Window::All,
                    Window::All => Window::Minute,
                };
                return Wish::Renew;
            }
            Key::Char('p' | ' ') => {
                self.is_paused = !self.is_paused;
                return if self.is_paused { Wish::Draw } else { Wish::Renew };
            }
            Key::Char('/') => self.is_typing = true,
            Key::Char('?' | 'h') => self.open(Sheet::Help),
            Key::Char('l') => self.open(Sheet::Ledger),
            Key::Enter => self.enter(),
            key => self.move_by(key),
        }
        Wish::Draw
    }

    fn open(&mut self, sheet: Sheet) {
        self.sheet = Some(sheet);
        self.sheet_offset = 0;
    }

    fn focus_beside(&mut self, by: usize) {
        let at = PANES.iter().position(|it| *it == self.focus).unwrap_or(0);
        let next = at.saturating_add(by).checked_rem(PANES.len()).unwrap_or(0);
        self.focus = PANES.get(next).copied().unwrap_or(self.focus);
    }

    /// Opens what is chosen.
    fn enter(&mut self) {
        let at = self.look(self.focus).position(&self.identities(self.focus));
        match self.focus {
            Pane::Endpoints => {
                self.endpoint = self.endpoints().get(at).map(|row| row.server.clone());
                // One of another endpoint would leave nothing.
                self.operation.take_if(|it| Some(&it.server) != self.endpoint.as_ref());
            }
            Pane::Operations => {
                if let Some(operation) = self.operations().get(at).map(|row| row.key()) {
                    self.operation = Some(operation);
                }
            }
            Pane::Slow => {
                if let Some(number) = self.slow_requests().get(at).map(|row| row.number) {
                    self.open(Sheet::Details(number));
                }
            }
        }
    }

    fn move_by(&mut self, key: Key) {
        let identities = self.identities(self.focus);
        let look = self.look_mut(self.focus);
        let (at, page) = (look.position(&identities), look.height.saturating_sub(1).max(1));
        let to = match key {
            Key::Up | Key::Char('k') => at.saturating_sub(1),
            Key::Down | Key::Char('j') => at.saturating_add(1),
            Key::PageUp => at.saturating_sub(page),
            Key::PageDown => at.saturating_add(page),
            Key::Home | Key::Char('g') => return look.choose_first(),
            Key::End | Key::Char('G') => usize::MAX,
            _ => return,
        };
        look.choose(&identities, to);
    }
}
