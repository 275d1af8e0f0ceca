//! Texts and numbers as they are shown: nothing that drives a terminal, and columns that stay columns.

use std::time::Duration;

use ratatui::text::Span;

/// How many columns of the screen a text takes, each character in cells of its own: also where together they
/// would be a ligature.
pub(super) fn width(text: &str) -> usize {
    match text.is_ascii() {
        true => text.len(),
        false => text.chars().map(char_width).sum(),
    }
}

/// How many columns of the screen a character takes.
pub(super) fn char_width(character: char) -> usize {
    match character.is_ascii() {
        true => 1,
        false => Span::raw(&*character.encode_utf8(&mut [0; 4])).width(),
    }
}

/// A text without what would drive the terminal, and without what takes no column, or shares one with its
/// neighbours: control characters, marks of direction, combining characters and the like become escapes.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_plain(character) {
            shown.push(character);
        } else {
            shown.extend(character.escape_unicode());
        }
    }
    shown
}

/// What a message of the log says: without colours, and without the time and the place in front.
pub(super) fn message(line: &str) -> String {
    let mut pieces = line.split("\x1b[");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        // A colour ends with the first letter (ECMA-48, 8.3.117).
        plain.push_str(piece.split_once('m').map_or(piece, |(_, behind)| behind));
    }
    let said = plain.strip_prefix('[').and_then(|it| it.split_once("] "));
    shown(said.map_or(plain.as_str(), |(_, said)| said))
}

fn is_plain(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    // Halves of flags, and colours of the emoji before them.
    let joins = matches!(character, '\u{1f1e6}'..='\u{1f1ff}' | '\u{1f3fb}'..='\u{1f3ff}');
    !character.is_control() && !joins && char_width(character) > 0
}

/// As much of a shown text as fits into so many columns; an ellipsis stands for the rest.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut left = columns.saturating_sub(1);
    for character in text.chars() {
        let takes = char_width(character);
        if takes > left {
            break;
        }
        left -= takes;
        cut.push(character);
    }
    if columns > 0 {
        cut.push('…');
    }
    cut
}

/// A text in a column: cut or filled up to its width.
pub(super) fn cell(text: &str, columns: usize, is_number: bool) -> String {
    let text = cut(text, columns);
    let blank = " ".repeat(columns.saturating_sub(width(&text)));
    if is_number { blank + &text } else { text + &blank }
}

/// A number that may be large, in at most eight characters: whole as long as possible.
pub(super) fn count(number: u64) -> String {
    if number < 100_000_000 { number.to_string() } else { scaled(number as f64) }
}

/// How often something happens in a second, in at most five characters.
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        0.0 => "0".to_owned(),
        it if it < 0.095 => format!("{:.2}", it.max(0.01)),
        it if it < 9.95 => format!("{it:.1}"),
        it => scaled(it),
    }
}

/// A large number, in at most five characters.
pub(super) fn scaled(number: f64) -> String {
    if number < 9999.5 {
        return format!("{number:.0}");
    }
    let mut number = number;
    for unit in ["k", "M", "G", "T", "P"] {
        number /= 1000.0;
        if number < 99.95 {
            return format!("{number:.1}{unit}");
        }
        if number < 999.5 {
            return format!("{number:.0}{unit}");
        }
    }
    "lots".to_owned()
}

/// A time in ms, in at most six characters.
pub(super) fn millis(ns: Option<u64>) -> String {
    let Some(ns) = ns else { return "-".to_owned() };
    match ns as f64 / 1e6 {
        ms if ms < 9.9995 => format!("{ms:.3}"),
        ms if ms < 99.995 => format!("{ms:.2}"),
        ms if ms < 999.95 => format!("{ms:.1}"),
        ms if ms < 99_999.5 => format!("{ms:.0}"),
        ms => format!("{:.0}s", ms / 1000.0),
    }
}

/// A sum of times in s, in at most seven characters.
pub(super) fn seconds(ns: u128) -> String {
    match ns as f64 / 1e9 {
        s if s < 9.9995 => format!("{s:.3}"),
        s if s < 9999.95 => format!("{s:.1}"),
        s => scaled(s),
    }
}

/// How long something goes on: hours, minutes and seconds.
pub(super) fn clock(time: Duration) -> String {
    let s = time.as_secs();
    format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_drives_the_terminal_or_moves_columns() {
        assert_eq!(shown("a\x1b[2J\r\n\u{9b}\u{202e}b"), r"a\u{1b}[2J\u{d}\u{a}\u{9b}\u{202e}b");
        assert_eq!(shown("e\u{301}\u{200d}\u{feff}"), r"e\u{301}\u{200d}\u{feff}");
        assert_eq!(shown("中文 é 😀"), "中文 é 😀");
        assert_eq!(shown("\u{1f1e9}\u{1f1ea}"), r"\u{1f1e9}\u{1f1ea}");
        assert_eq!(shown("\u{1f44d}\u{1f3fd}"), "\u{1f44d}\\u{1f3fd}");
        // What would be one glyph, or less than its characters, takes the cells of all of them.
        assert_eq!(["لالا", "کلا", "ꓻꓽ", "का", "中a"].map(width), [4, 3, 2, 2, 3]);
    }

    #[test]
    fn of_messages_what_they_say_is_shown() {
        let line = "\x1b[90m[\x1b[0m2026-11-26T19:10:39Z \x1b[33mWARN \x1b[0m a::b\x1b[90m]\x1b[0m it's [full]";
        assert_eq!(message(line), "it's [full]");
        assert_eq!(message("           0 printed"), "           0 printed");
        assert_eq!(message("a\x1b[2"), "a2");
    }

    #[test]
    fn cells_have_the_width_of_their_column() {
        for text in ["", "a", "abc", "abcdefgh", "中文中文", "a中文中", "لالا", "کلا", "ꓻꓽ"]
        {
            for columns in 0..7 {
                let cell = cell(text, columns, columns % 2 == 0);
                assert_eq!(width(&cell), columns, "{text} {cell:?}");
            }
        }
        assert_eq!((cell("ab", 4, true), cell("abcdef", 4, false)), ("  ab".into(), "abc…".into()));
    }

    #[test]
    fn numbers_keep_to_their_columns() {
        let mut number = 1_u64;
        while number < 3_600_000_000_000 {
            for number in [number - 1, number, number * 9_994 / 1_000, number * 9_996 / 1_000] {
                assert!(millis(Some(number)).len() <= 6, "{number}");
                assert!(count(number).len() <= 8, "{number}");
                assert!(seconds(u128::from(number)).len() <= 7, "{number}");
                for number in [number as f64, number as f64 / 1e3, number as f64 / 1e9] {
                    assert!(rate(number).len() <= 5, "{}", rate(number));
                }
            }
            number *= 10;
        }
        assert_eq!(
            [85_200, 1_102_000, 25_310_000, 3_600_000_000_000].map(|it| millis(Some(it))),
            ["0.085", "1.102", "25.31", "3600s"]
        );
        assert_eq!(
            [0.0, 0.002, 0.02, 1.54, 15.4, 12_345.0].map(rate),
            ["0", "0.01", "0.02", "1.5", "15", "12.3k"]
        );
    }
}
