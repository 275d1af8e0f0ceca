//! What stands above and below the lists: what is going on, what was lost, which keys there are.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{Palette, line};
use crate::{
    stats::Window,
    top::{
        model::Model,
        snapshot::Operation,
        text::{clock, count, cut, message, rate, shown, width},
    },
};

/// What a window is called.
fn window_name(model: &Model) -> &'static str {
    match model.window {
        Window::Minute => "last minute",
        Window::FiveMinutes => "last 5 minutes",
        Window::All if model.about.is_live => "since the start",
        Window::All => "whole file",
    }
}

/// Where packets come from, and how many requests there are.
pub(super) fn head(buffer: &mut Buffer, area: Rect, model: &Model, palette: Palette) {
    let about = &model.about;
    let mut parts = Vec::new();
    if model.is_ending {
        parts.push("ending …".to_owned());
    }
    if model.is_paused {
        parts.push("PAUSED".to_owned());
    }
    if about.is_live {
        parts.push(clock(model.snapshot.at));
        parts.extend(model.pace.rate().map(|it| format!("{} requests/s", rate(it))));
    } else {
        parts.push(format!("{} requests", count(model.snapshot.total)));
        parts.push(if model.is_complete { "complete" } else { "reading" }.to_owned());
    }
    parts.push(window_name(model).to_owned());
    let room = usize::from(area.width);
    let right = cut(&parts.join("  "), room);
    let at = room.saturating_sub(width(&right));
    let left = format!("tcpkit {}: {}", about.protocols.join(","), shown(&about.does));
    line(buffer, area, &cut(&left, at.saturating_sub(2)), palette.strong());
    let at = u16::try_from(at).unwrap_or(0);
    let end = Rect { x: area.x.saturating_add(at), width: area.width.saturating_sub(at), ..area };
    line(buffer, end, &right, if model.is_paused { palette.note() } else { Style::new() });
}

/// What is missing from what is shown, if anything is.
pub(super) fn banner(model: &Model, palette: Palette) -> Option<(String, Style)> {
    let ledger = &model.ledger;
    if ledger.is_stale() {
        let text = format!(
            " STANDS STILL: the output has taken nothing for {} s; losses are not known (l: ledger)",
            ledger.age_s
        );
        return Some((text, palette.loss()));
    }
    let losses = [(ledger.lost_packets(), "packets"), (ledger.bytes.lost, "bytes missing")];
    let losses: Vec<_> = losses
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if !losses.is_empty() {
        let text = format!(" LOST: {}; counts are too low (l: ledger)", losses.join(", "));
        return Some((text, palette.loss()));
    }
    let warnings = ledger.warnings();
    let first = warnings.first()?;
    let more = match warnings.len() {
        1 => String::new(),
        all => format!(" (and {} more)", all.saturating_sub(1)),
    };
    Some((format!(" l: ledger{more}: {}", shown(first)), palette.note()))
}

/// What is typed, said or can be done.
pub(super) fn foot(buffer: &mut Buffer, area: Rect, model: &Model, palette: Palette) {
    if model.is_typing {
        line(buffer, area, &format!("filter: {}▏", shown(&model.filter)), palette.strong());
        return;
    }
    let mut parts = Vec::new();
    if let Some(endpoint) = &model.endpoint {
        parts.push(format!("only {endpoint}"));
    }
    if let Some(Operation { server, operation, .. }) = &model.operation {
        let name = if operation.is_empty() { "what has no name" } else { operation };
        parts.push(match &model.endpoint {
            Some(_) => format!("only {name}"),
            None => format!("only {name} of {server}"),
        });
    }
    if !model.filter.is_empty() {
        parts.push(format!("only what has “{}”", shown(&model.filter)));
    }
    if !parts.is_empty() {
        line(buffer, area, &format!("Esc: all; now {}", parts.join(", ")), palette.note());
        return;
    }
    if let Some(said) = &model.message {
        line(buffer, area, &message(said), palette.note());
        return;
    }
    let keys = "q quit  ? keys  Tab pane  ↑↓ move  ←→ sort  r reverse  w window  / filter  \
                Enter open  p pause  l ledger";
    line(buffer, area, keys, palette.faint());
}
