//! What lies over the lists for a while: help, the ledger, all of one request.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{Palette, line, take_top};
use crate::top::{
    model::{Model, Sheet},
    slow::SlowRow,
    text::{char_width, cut, shown, width},
};

const HELP: &[(&str, &str)] = &[
    ("Tab, Shift-Tab", "the next and the previous pane"),
    ("↑ ↓ PgUp PgDn Home End, k j", "move in it"),
    ("← →, < >", "sort by the column beside"),
    ("r", "sort the other way round"),
    ("Enter", "this endpoint alone; this operation alone; all of a slow request"),
    ("w", "the last minute, the last five minutes, since the start"),
    ("/", "only operations and slow requests that have these words"),
    ("Esc", "close; show all again"),
    ("p, space", "pause and go on"),
    ("l", "the ledger: what became of all packets, bytes and messages"),
    ("Ctrl-L", "draw everything anew"),
    ("Ctrl-Z", "suspend"),
    ("q, Ctrl-C", "quit"),
];

/// Draws the sheet, and notes from which line on it is seen.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &mut Model, palette: Palette) {
    let room = usize::from(area.width);
    let (title, lines) = match model.sheet {
        Some(Sheet::Help) => ("KEYS", named(HELP.iter().copied(), room)),
        Some(Sheet::Ledger) => {
            let text = model.ledger.to_string();
            ("LEDGER", text.lines().flat_map(|it| wrap(&shown(it), room)).collect())
        }
        Some(Sheet::Details(number)) => {
            let details = model.slow.by_number(number).map(SlowRow::details);
            let details = details
                .unwrap_or_else(|| vec![("it is not kept any more".to_owned(), String::new())]);
            let details = details.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            ("SLOW REQUEST", named(details, room))
        }
        None => return,
    };
    let mut rest = area;
    let top = take_top(&mut rest, 1);
    let style = palette.heads(true);
    line(buffer, top, &format!("{title} (Esc: back)"), style);
    buffer.set_style(top, style);
    let height = usize::from(rest.height);
    model.sheet_offset = model.sheet_offset.min(lines.len().saturating_sub(height));
    for text in lines.iter().skip(model.sheet_offset).take(height) {
        let place = take_top(&mut rest, 1);
        line(buffer, place, text, Style::new());
    }
}

/// Names and what belongs to them, in two columns.
fn named<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone, room: usize) -> Vec<String> {
    let names = pairs.clone().map(|(name, _)| width(name)).max().unwrap_or(0).min(room / 2);
    let mut lines = Vec::new();
    for (name, value) in pairs {
        let pieces = wrap(value, room.saturating_sub(names).saturating_sub(2));
        for (at, piece) in pieces.iter().enumerate() {
            let name = if at == 0 { cut(name, names) } else { String::new() };
            let blank = " ".repeat(names.saturating_sub(width(&name)));
            lines.push(format!("{name}{blank}  {piece}"));
        }
    }
    lines
}

/// A text in lines of at most so many columns, whatever is in it.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut taken = 0_usize;
    for character in text.chars() {
        let takes = char_width(character);
        if taken.saturating_add(takes) > columns && taken > 0 {
            lines.push(String::new());
            taken = 0;
        }
        if let Some(last) = lines.last_mut() {
            last.push(character);
        }
        taken = taken.saturating_add(takes);
    }
    lines
}
