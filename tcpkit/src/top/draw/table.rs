//! A pane: heads of columns, and a line for each endpoint, operation or slow request.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    Palette,
    columns::{Place, is_number, places, title},
    line, put,
};
use crate::{
    stats::Window,
    top::{
        look::Pane,
        model::Model,
        slow::SlowRow,
        snapshot::Row,
        sort::Column,
        text::{cell, count, millis, rate, scaled, seconds},
    },
};

/// From this latency on it is marked, and from the second on more so, in ns: as in printed lines.
const SLOW_NS: [u64; 2] = [10_000_000, 100_000_000];

/// Draws a pane, and notes what is seen of it.
pub(super) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    pane: Pane,
    model: &mut Model,
    palette: Palette,
) {
    let places = places(model, pane, area.width.into());
    let height = usize::from(area.height.saturating_sub(1));
    let identities = model.identities(pane);
    let at = model.look(pane).position(&identities);
    let look = model.look_mut(pane);
    look.columns = places.iter().map(|it| it.column).collect();
    look.height = height;
    // As little is moved as possible, and no line is left empty that could be filled.
    let first = at.saturating_add(1).saturating_sub(height).min(at);
    let offset = look.offset.clamp(first, at).min(identities.len().saturating_sub(height));
    look.offset = offset;

    heads(buffer, area, pane, &places, model, palette);
    let below = |index: usize| {
        let index = u16::try_from(index).unwrap_or(u16::MAX).saturating_add(1);
        Rect { y: area.y.saturating_add(index), height: 1, ..area }
    };
    if identities.is_empty() && height > 0 {
        line(buffer, below(0), &nothing(pane, model), palette.faint());
    }
    let style = |index: usize| match index.saturating_add(offset) == at {
        true => palette.chosen(model.focus == pane),
        false => Style::new(),
    };
    if pane == Pane::Slow {
        let rows = model.slow_requests().into_iter().skip(offset).take(height);
        for (index, row) in rows.enumerate() {
            let cells = |column| slow_cell(row, column, palette);
            cells_of_line(buffer, below(index), &places, style(index), cells);
        }
        return;
    }
    let rows = if pane == Pane::Endpoints { model.endpoints() } else { model.operations() };
    let all_ns = model.snapshot.endpoints.iter().map(|row| row.sum_ns).sum();
    for (index, row) in rows.into_iter().skip(offset).take(height).enumerate() {
        let cells = |column| (row_cell(row, column, model, all_ns), None);
        cells_of_line(buffer, below(index), &places, style(index), cells);
    }
}

/// Why there is nothing in a pane.
fn nothing(pane: Pane, model: &Model) -> String {
    if (!model.filter.is_empty() || model.operation.is_some()) && pane != Pane::Endpoints {
        return "nothing of this kind".to_owned();
    }
    match (pane, model.window) {
        (Pane::Slow, _) => format!("none took {} ms", model.slow.least_ns() as f64 / 1e6),
        (_, Window::All) => "no requests yet".to_owned(),
        (_, Window::Minute) => "no requests in the last minute".to_owned(),
        (_, Window::FiveMinutes) => "no requests in the last 5 minutes".to_owned(),
    }
}

fn heads(
    buffer: &mut Buffer,
    area: Rect,
    pane: Pane,
    places: &[Place],
    model: &Model,
    palette: Palette,
) {
    let sorting = model.look(pane).sorting;
    let mut text = String::new();
    for (index, place) in places.iter().enumerate() {
        let title = title(place.column, pane, model.about.is_live);
        let mark = match place.column == sorting.column {
            true if sorting.is_ascending() => "▲",
            true => "▼",
            false => "",
        };
        if is_number(place.column) && index > 0 {
            // The mark stands in the gap before it.
            text.push_str(&cell(&format!("{mark}{title}"), place.width.saturating_add(1), true));
        } else {
            text.push_str(if index > 0 { " " } else { "" });
            text.push_str(&cell(&format!("{title}{mark}"), place.width, false));
        }
    }
    let top = Rect { height: area.height.min(1), ..area };
    let style = palette.heads(model.focus == pane);
    line(buffer, top, &text, style);
    buffer.set_style(top, style);
}

fn cells_of_line(
    buffer: &mut Buffer,
    area: Rect,
    places: &[Place],
    style: Style,
    cell_of: impl Fn(Column) -> (String, Option<Style>),
) {
    buffer.set_style(area, style);
    let mut x = area.x;
    for place in places {
        let (text, own) = cell_of(place.column);
        let text = cell(&text, place.width, is_number(place.column));
        let left = usize::from(area.right().saturating_sub(x));
        let end = put(buffer, (x, area.y), &text, left, own.unwrap_or_default());
        x = end.saturating_add(1);
    }
}

fn row_cell(row: &Row, column: Column, model: &Model, all_ns: u128) -> String {
    let time = model.snapshot.time.as_secs_f64();
    let is_live = model.about.is_live;
    let per_second = |number: u64| if time > 0.0 { number as f64 / time } else { 0.0 };
    let [p50, p90, p99, p999] = row.quantiles_ns;
    match column {
        Column::Server => row.server.clone(),
        Column::Protocol => row.protocol.clone(),
        Column::Operation => row.operation.clone(),
        Column::Requests => count(row.requests),
        Column::RequestRate if is_live => rate(per_second(row.requests)),
        Column::Errors if is_live => rate(per_second(row.errors)),
        Column::Errors => scaled(row.errors as f64),
        Column::Bytes if is_live => scaled(per_second(row.bytes)),
        Column::Bytes => scaled(row.bytes as f64),
        Column::P50 => millis(p50),
        Column::P90 => millis(p90),
        Column::P99 => millis(p99),
        Column::P999 => millis(p999),
        Column::Max => millis(Some(row.max_ns)),
        Column::Total => seconds(row.sum_ns),
        Column::Share if all_ns > 0 => {
            format!("{:.1}%", row.sum_ns as f64 / all_ns as f64 * 100.0)
        }
        _ => "-".to_owned(),
    }
}

fn slow_cell(row: &SlowRow, column: Column, palette: Palette) -> (String, Option<Style>) {
    let [slow_ns, very_slow_ns] = SLOW_NS;
    match column {
        Column::Time => (row.time.clone(), None),
        Column::Latency => {
            let style = match row.latency_ns {
                ns if ns >= very_slow_ns => Some(palette.error()),
                ns if ns >= slow_ns => Some(palette.note()),
                _ => None,
            };
            (millis(Some(row.latency_ns)), style)
        }
        Column::Client => (row.client.clone(), None),
        Column::Server => (row.server.clone(), None),
        Column::Operation => (row.operation.clone(), row.is_error.then(|| palette.error())),
        _ => (row.text.clone(), None),
    }
}
