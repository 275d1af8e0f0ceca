//! Which columns there is room for, how wide they are, and what stands above them.

use crate::top::{look::Pane, model::Model, slow::SlowRow, sort::Column, text::width};

/// The columns of endpoints and operations behind the first one, which is the name.
const NUMBERS: [Column; 11] = [
    Column::Requests,
    Column::RequestRate,
    Column::Errors,
    Column::Bytes,
    Column::P50,
    Column::P90,
    Column::P99,
    Column::P999,
    Column::Max,
    Column::Total,
    Column::Share,
];

/// What has to go first where there is no room for all.
const GO_FIRST: [Column; 15] = [
    Column::Protocol,
    Column::Bytes,
    Column::P90,
    Column::Share,
    Column::P999,
    Column::RequestRate,
    Column::Operation,
    Column::Server,
    Column::Errors,
    Column::P50,
    Column::Total,
    Column::Client,
    Column::Max,
    Column::P99,
    Column::Time,
];

/// How many columns of the screen names may take, at least and at most.
const NAME_WIDTHS: (usize, usize) = (12, 47);

/// A name in front gets no narrower before other columns are left out: an IPv4 address with its port.
const NARROW_NAME: usize = 21;

/// So many columns of the screen are left for what was asked, before anything else is.
const TEXT_WIDTH: usize = 28;

/// A column on the screen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) column: Column,
    pub(super) width: usize,
}

/// Where a pane's columns are.
pub(super) fn places(model: &Model, pane: Pane, room: usize) -> Vec<Place> {
    match pane {
        Pane::Endpoints | Pane::Operations => row_places(model, pane, room),
        Pane::Slow => slow_places(model, room),
    }
}

/// Where columns of endpoints and operations are: at the same places in both.
fn row_places(model: &Model, pane: Pane, room: usize) -> Vec<Place> {
    let snapshot = &model.snapshot;
    let servers = snapshot.endpoints.iter().map(|row| width(&row.server));
    let operations = snapshot.operations.iter().map(|row| width(&row.operation));
    let name = servers.clone().chain(operations).max().unwrap_or(0);
    let name = name.clamp(NAME_WIDTHS.0, NAME_WIDTHS.1);
    let mut columns = vec![Column::Operation];
    columns.extend(NUMBERS);
    // Only what tells lines apart, behind what both have.
    if model.endpoint.is_none() && snapshot.endpoints.len() > 1 {
        columns.push(Column::Server);
    }
    if model.about.protocols.len() > 1 {
        columns.push(Column::Protocol);
    }
    let server = servers.max().unwrap_or(0).clamp(NAME_WIDTHS.0, NAME_WIDTHS.1);
    let width = |column| match column {
        Column::Operation => name,
        Column::Server => server,
        column => fixed_width(column),
    };
    let mut places = fit(columns, room, width);
    if pane == Pane::Endpoints {
        places.retain(|it| it.column != Column::Server);
        if let Some(first) = places.first_mut() {
            first.column = Column::Server;
        }
    }
    places
}

/// Where columns of slow requests are: their text has what the others leave.
fn slow_places(model: &Model, room: usize) -> Vec<Place> {
    let widest = |of: fn(&SlowRow) -> &str, least: usize| {
        let widest = model.slow.iter().map(|row| width(of(row))).max().unwrap_or(0);
        widest.clamp(least, NAME_WIDTHS.1)
    };
    let (client, server) =
        (widest(|row| &row.client, NAME_WIDTHS.0), widest(|row| &row.server, NAME_WIDTHS.0));
    let operation = widest(|row| &row.operation, 10).min(20);
    let mut columns = vec![Column::Time, Column::Latency, Column::Client];
    if model.endpoint.is_none() && model.snapshot.endpoints.len() > 1 {
        columns.push(Column::Server);
    }
    columns.extend([Column::Operation, Column::Text]);
    let width = |column| match column {
        Column::Client => client,
        Column::Server => server,
        Column::Operation => operation,
        Column::Text => TEXT_WIDTH,
        column => fixed_width(column),
    };
    let mut places = fit(columns, room, width);
    let taken: usize = places.iter().map(|it| it.width.saturating_add(1)).sum();
    if let Some(last) = places.last_mut() {
        last.width = last.width.saturating_add(room.saturating_add(1).saturating_sub(taken));
    }
    places
}

/// Leaves out columns until the others fit. A name in front gets narrower before.
fn fit(mut columns: Vec<Column>, room: usize, width: impl Fn(Column) -> usize) -> Vec<Place> {
    let first = columns.first().copied();
    let least = |column| match Some(column) == first && column != Column::Time {
        true => width(column).min(NARROW_NAME),
        false => width(column),
    };
    let needs = |columns: &[Column]| {
        let sum: usize = columns.iter().map(|it| least(*it).saturating_add(1)).sum();
        sum.saturating_sub(1)
    };
    for gone in GO_FIRST {
        if needs(&columns) > room {
            columns.retain(|it| *it != gone || (Some(*it) == first && gone != Column::Time));
        }
    }
    let mut left = room.saturating_sub(needs(&columns));
    let mut places = Vec::new();
    for column in columns {
        let more = width(column).saturating_sub(least(column)).min(left);
        left = left.saturating_sub(more);
        places.push(Place { column, width: least(column).saturating_add(more).min(room) });
    }
    places
}

/// Numbers stand at the right of their column.
pub(super) fn is_number(column: Column) -> bool {
    NUMBERS.contains(&column) || column == Column::Latency
}

/// How wide a column is whose contents are no names.
fn fixed_width(column: Column) -> usize {
    match column {
        Column::Time => 12,
        Column::Latency => 10,
        Column::Protocol => 9,
        Column::Requests => 8,
        Column::Bytes | Column::Total => 7,
        _ => 6,
    }
}

/// What stands above a column.
pub(super) fn title(column: Column, pane: Pane, is_live: bool) -> &'static str {
    match column {
        Column::Server if pane == Pane::Endpoints => "ENDPOINT",
        Column::Server => "SERVER",
        Column::Protocol => "PROTOCOL",
        Column::Operation => "OPERATION",
        Column::Requests => "REQUESTS",
        Column::RequestRate => "REQ/S",
        Column::Errors if is_live => "ERR/S",
        Column::Errors => "ERRORS",
        Column::Bytes if is_live => "BYTES/S",
        Column::Bytes => "BYTES",
        Column::P50 => "P50 ms",
        Column::P90 => "P90",
        Column::P99 => "P99",
        Column::P999 => "P99.9",
        Column::Max => "MAX ms",
        Column::Total => "TOTAL s",
        Column::Share => "SHARE",
        Column::Time => "SLOW",
        Column::Latency => "LATENCY ms",
        Column::Client => "CLIENT",
        Column::Text => "REQUEST",
    }
}
