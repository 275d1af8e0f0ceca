//! The parts of the screen that list something, and how each is looked at.

use super::sort::{Column, Sorting};

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
    /// The line that is chosen, by its identity, and where it was; `None` for the first, whichever that is:
    /// until somebody has moved.
    chosen: Option<(String, usize)>,
    /// The first line that is seen.
    pub(super) offset: usize,
    /// How many lines are seen.
    pub(super) height: usize,
    /// The columns that are seen.
    pub(super) columns: Vec<Column>,
}

impl Look {
    pub(super) fn by(column: Column) -> Self {
        let sorting = Sorting::by(column);
        Self { sorting, chosen: None, offset: 0, height: 1, columns: Vec::new() }
    }

    /// Where the chosen line is among all.
    pub(super) fn position(&self, identities: &[String]) -> usize {
        let Some((identity, at)) = &self.chosen else { return 0 };
        let last = identities.len().saturating_sub(1);
        identities.iter().position(|it| it == identity).unwrap_or((*at).min(last))
    }

    /// Moves to a line, which stays chosen wherever it goes.
    pub(super) fn choose(&mut self, identities: &[String], at: usize) {
        let at = at.min(identities.len().saturating_sub(1));
        self.chosen = identities.get(at).map(|identity| (identity.clone(), at));
    }

    /// Moves to the first line, and stays there whichever it is.
    pub(super) fn choose_first(&mut self) {
        self.chosen = None;
    }

    /// Sorts by the column beside, of those that are seen.
    pub(super) fn sort_beside(&mut self, forward: bool) {
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
