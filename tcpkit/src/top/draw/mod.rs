//! From what is looked at to the cells of the screen.

mod columns;
mod frame;
mod sheet;
mod table;

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
};

use super::{
    look::{PANES, Pane},
    model::Model,
    text::{char_width, cut},
};

/// With fewer lines a pane is not worth its place: heads and two more.
const LEAST_PANE: u16 = 3;

/// How things look: in colours, or without.
#[derive(Clone, Copy, Debug)]
pub(super) struct Palette {
    pub(super) has_colour: bool,
}

impl Palette {
    fn coloured(self, style: Style, colour: Color) -> Style {
        if self.has_colour { style.fg(colour) } else { style }
    }

    /// Names of columns; those of the pane that keys go to stand out.
    fn heads(self, is_focus: bool) -> Style {
        match is_focus {
            true => self
                .coloured(Style::new().add_modifier(Modifier::REVERSED), Color::Green)
                .add_modifier(Modifier::BOLD),
            false => Style::new().add_modifier(Modifier::UNDERLINED),
        }
    }

    /// The line that is chosen.
    fn chosen(self, is_focus: bool) -> Style {
        match is_focus {
            true => self.coloured(Style::new().add_modifier(Modifier::REVERSED), Color::Cyan),
            false => Style::new(),
        }
    }

    fn loss(self) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        match self.has_colour {
            true => style.fg(Color::White).bg(Color::Red),
            false => style.add_modifier(Modifier::REVERSED),
        }
    }

    fn note(self) -> Style {
        self.coloured(Style::new(), Color::Yellow)
    }

    fn error(self) -> Style {
        self.coloured(Style::new(), Color::Red)
    }

    fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }
}

/// Draws everything, and notes in `model` what is seen of it.
pub(super) fn draw(buffer: &mut Buffer, model: &mut Model, palette: Palette) {
    let mut rest = buffer.area;
    let head = take_top(&mut rest, 1);
    frame::head(buffer, head, model, palette);
    // In a very low window what is listed counts most.
    if let Some((text, style)) = frame::banner(model, palette).filter(|_| rest.height > 1) {
        let banner = take_top(&mut rest, 1);
        line(buffer, banner, &text, style);
        buffer.set_style(banner, style);
    }
    if rest.height > LEAST_PANE {
        rest.height = rest.height.saturating_sub(1);
        let foot = Rect { y: rest.bottom(), height: 1, ..rest };
        frame::foot(buffer, foot, model, palette);
    }
    if model.sheet.is_some() {
        sheet::draw(buffer, rest, model, palette);
        return;
    }
    for (pane, area) in divide(rest, model) {
        table::draw(buffer, area, pane, model, palette);
    }
}

/// Which panes are seen, and where. Where there is no room for all, the one that keys go to.
fn divide(area: Rect, model: &Model) -> Vec<(Pane, Rect)> {
    if area.height < LEAST_PANE.saturating_mul(3) {
        return vec![(model.focus, area)];
    }
    let lines = |count: usize| u16::try_from(count).unwrap_or(u16::MAX).max(1).saturating_add(1);
    let mut rest = area;
    let endpoints = lines(model.snapshot.endpoints.len()).min((area.height / 4).max(LEAST_PANE));
    let endpoints = take_top(&mut rest, endpoints);
    // Operations have a little more than half, and what slow requests do not need.
    let slow = lines(model.slow_requests().len()).max(LEAST_PANE);
    let most = (rest.height.saturating_mul(11) / 20).max(rest.height.saturating_sub(slow));
    let operations = lines(model.operations().len()).min(most.max(LEAST_PANE));
    let operations = take_top(&mut rest, operations);
    PANES.into_iter().zip([endpoints, operations, rest]).collect()
}

/// Cuts lines off the top of an area.
fn take_top(area: &mut Rect, lines: u16) -> Rect {
    let lines = lines.min(area.height);
    let top = Rect { height: lines, ..*area };
    area.y = area.y.saturating_add(lines);
    area.height = area.height.saturating_sub(lines);
    top
}

/// Writes a text into the first line of an area, as much as there is room for.
fn line(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    if !area.is_empty() {
        let width = usize::from(area.width);
        put(buffer, (area.x, area.y), &cut(text, width), width, style);
    }
}

/// Writes the characters of a shown text, each into cells of its own, as far as there is room. Returns the
/// column behind them.
fn put(buffer: &mut Buffer, at: (u16, u16), text: &str, room: usize, style: Style) -> u16 {
    let (mut x, y) = at;
    let end = x.saturating_add(u16::try_from(room).unwrap_or(u16::MAX)).min(buffer.area.right());
    for character in text.chars() {
        let width = u16::try_from(char_width(character)).unwrap_or(0);
        let next = x.saturating_add(width);
        if next > end {
            break;
        }
        if let Some(cell) = buffer.cell_mut((x, y)).filter(|_| width > 0) {
            cell.set_char(character).set_style(style);
        }
        // What stands below the rest of a wide one is not seen.
        for hidden in x.saturating_add(1)..next {
            if let Some(cell) = buffer.cell_mut((hidden, y)) {
                cell.reset();
            }
        }
        x = next;
    }
    x
}
