//! In which order lines stand: by a column that was chosen, large numbers first, names from A to Z.

use std::cmp::{Ordering, Reverse};

use super::{slow::SlowRow, snapshot::Row};

/// What a column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Server,
    Protocol,
    Operation,
    Requests,
    RequestRate,
    Errors,
    Bytes,
    P50,
    P90,
    P99,
    P999,
    Max,
    Total,
    Share,
    Time,
    Latency,
    Client,
    Text,
}

/// By which column, and whether the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sorting {
    pub(super) column: Column,
    pub(super) is_reversed: bool,
}

impl Sorting {
    pub(super) fn by(column: Column) -> Self {
        Self { column, is_reversed: false }
    }

    /// Whether the least stands first.
    pub(super) fn is_ascending(self) -> bool {
        let is_name = matches!(
            self.column,
            Column::Server | Column::Protocol | Column::Operation | Column::Client | Column::Text
        );
        is_name != self.is_reversed
    }

    /// Sorts endpoints or operations.
    pub(super) fn sort_rows(self, rows: &mut [&Row]) {
        rows.sort_by(|one, other| {
            let order = rank(one, self.column).cmp(&rank(other, self.column));
            // Of what is alike, what took most time; and then none moves without a reason.
            let rest = |it: &Row| (Reverse(it.sum_ns), it.identity());
            self.directed(order).then_with(|| rest(one).cmp(&rest(other)))
        });
    }

    /// Sorts slow requests.
    pub(super) fn sort_slow(self, rows: &mut [&SlowRow]) {
        rows.sort_by(|one, other| {
            let order = rank_slow(one, self.column).cmp(&rank_slow(other, self.column));
            self.directed(order).then(other.number.cmp(&one.number))
        });
    }

    fn directed(self, order: Ordering) -> Ordering {
        if self.is_reversed { order.reverse() } else { order }
    }
}

/// What a line is sorted by.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Rank<'a> {
    Name(&'a str),
    Number(Reverse<u128>),
}

fn rank(row: &Row, column: Column) -> Rank<'_> {
    let [p50, p90, p99, p999] = row.quantiles_ns.map(|it| it.unwrap_or(0));
    Rank::Number(Reverse(u128::from(match column {
        Column::Server => return Rank::Name(&row.server),
        Column::Protocol => return Rank::Name(&row.protocol),
        Column::Operation => return Rank::Name(&row.operation),
        Column::Total | Column::Share => return Rank::Number(Reverse(row.sum_ns)),
        Column::Errors => row.errors,
        Column::Bytes => row.bytes,
        Column::P50 => p50,
        Column::P90 => p90,
        Column::P99 => p99,
        Column::P999 => p999,
        Column::Max => row.max_ns,
        _ => row.requests,
    })))
}

fn rank_slow(row: &SlowRow, column: Column) -> Rank<'_> {
    Rank::Number(Reverse(u128::from(match column {
        Column::Server => return Rank::Name(&row.server),
        Column::Client => return Rank::Name(&row.client),
        Column::Operation => return Rank::Name(&row.operation),
        Column::Text => return Rank::Name(&row.text),
        Column::Latency => row.latency_ns,
        _ => row.number,
    })))
}
