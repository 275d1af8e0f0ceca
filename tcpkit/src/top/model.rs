//! What is looked at and how, and what keys change about it; without a terminal.

use std::time::Duration;

use super::{
    keys::Key,
    slow::{SlowRow, SlowRows},
    snapshot::{Row, Snapshot},
    sort::{Column, Sorting},
};
use crate::{ledger::Ledger, stats::Window};

/// Longest filter, in characters.
const MAX_FILTER: usize = 100;

/// Of a shorter time no rate is told.
const LEAST_TIME: Duration = Duration::from_millis(500);

/// A part of the screen that lists something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pane {
    Endpoints,
    Operations,
    Slow,
}

/// All of them, from top to bottom.
pub(super) const PANES: [Pane; 3] = [Pane::Endpoints, Pane::Operations, Pane::Slow];

/// How a pane is looked at.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) sorting: Sorting,
    /// The line that is chosen, by its identity, and where it was; `None` for the first, whichever that is.
    chosen: Option<(String, usize)>,
    /// The first line that is seen.
    pub(super) offset: usize,
    /// How many lines are seen.
    pub(super) height: usize,
    /// The columns that are seen.
    pub(super) columns: Vec<Column>,
}

impl Look {
    fn by(column: Column) -> Self {
        let sorting = Sorting::by(column);
        Self { sorting, chosen: None, offset: 0, height: 1, columns: Vec::new() }
    }

    /// Where the chosen line is among all.
    pub(super) fn position(&self, identities: &[String]) -> usize {
        let Some((identity, at)) = &self.chosen else { return 0 };
        let last = identities.len().saturating_sub(1);
        identities.iter().position(|it| it == identity).unwrap_or((*at).min(last))
    }

    fn choose(&mut self, identities: &[String], at: usize) {
        let at = at.min(identities.len().saturating_sub(1));
        let identity = identities.get(at).filter(|_| at > 0);
        self.chosen = identity.map(|identity| (identity.clone(), at));
    }

    /// Sorts by the column beside, of those that are seen.
    fn sort_beside(&mut self, forward: bool) {
        let count = self.columns.len();
        let at = self.columns.iter().position(|it| *it == self.sorting.column);
        let next = match at {
            Some(at) if forward => at.saturating_add(1).checked_rem(count),
            Some(at) => at.saturating_add(count).saturating_sub(1).checked_rem(count),
            None => Some(0),
        };
        if let Some(column) = next.and_then(|at| self.columns.get(at)) {
            self.sorting = Sorting::by(*column);
        }
    }
}

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
    /// How long requests have to take to be listed as slow, in ns.
    pub(super) slow_ns: u64,
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
    /// Requests in a second, lately.
    pub(super) rate: f64,
    /// What would have been said on stderr last.
    pub(super) message: Option<String>,
    /// There is nothing more to be read.
    pub(super) is_complete: bool,
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
            filter: String::new(),
            is_typing: false,
            sheet: None,
            sheet_offset: 0,
            is_paused: false,
            snapshot: Snapshot::default(),
            slow: SlowRows::default(),
            ledger: Ledger::default(),
            rate: 0.0,
            message: None,
            is_complete: false,
        }
    }

    /// Shows what was counted by now.
    pub(super) fn renew(&mut self, snapshot: Snapshot) {
        let before = std::mem::replace(&mut self.snapshot, snapshot);
        let time = self.snapshot.at.saturating_sub(before.at);
        if time < LEAST_TIME {
            // The next rate is from then on.
            (self.snapshot.at, self.snapshot.total) = (before.at, before.total);
            return;
        }
        let requests = self.snapshot.total.saturating_sub(before.total);
        self.rate = requests as f64 / time.as_secs_f64();
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
        let all = self.snapshot.operations.iter().filter(|row| self.is_asked_for(&row.server));
        let mut rows: Vec<_> = all
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
        let all = self.slow.iter().filter(|row| self.is_asked_for(&row.server));
        let mut rows: Vec<_> = all.filter(|row| row.has(&words)).collect();
        self.look(Pane::Slow).sorting.sort_slow(&mut rows);
        rows
    }

    fn is_asked_for(&self, server: &str) -> bool {
        self.endpoint.as_ref().is_none_or(|it| it == server)
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
            Key::Char(character) if self.filter.chars().count() < MAX_FILTER => {
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
            Key::Escape if self.endpoint.is_some() => self.endpoint = None,
            Key::Escape => return Wish::Quit,
            Key::Tab => self.focus_beside(1),
            Key::BackTab => self.focus_beside(PANES.len().saturating_sub(1)),
            Key::Left | Key::Char('<') => self.look_mut(self.focus).sort_beside(false),
            Key::Right | Key::Char('>') => self.look_mut(self.focus).sort_beside(true),
            Key::Char('r') => {
                let sorting = &mut self.look_mut(self.focus).sorting;
                sorting.is_reversed = !sorting.is_reversed;
            }
            Key::Char('w') => {
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
            }
            Pane::Operations => {
                let operation = self.operations().get(at).map(|row| row.operation.clone());
                self.filter = operation.unwrap_or_default();
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
            Key::Home | Key::Char('g') => 0,
            Key::End | Key::Char('G') => usize::MAX,
            _ => return,
        };
        look.choose(&identities, to);
    }
}
