//! What becomes of errors of a script: each is counted, one a second is shown.

use std::time::{Duration, Instant};

use super::budget::{Exceeded, Limits};

/// How often errors are shown.
const INTERVAL: Duration = Duration::from_secs(1);

/// Counts errors, and shows some of them.
#[derive(Debug, Default)]
pub(super) struct Errors {
    count: u64,
    hidden: u64,
    shown_at: Option<Instant>,
}

impl Errors {
    /// How many errors there were.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Counts an error.
    pub(super) fn count_one(&mut self) {
        self.count = self.count.saturating_add(1);
    }

    /// Whether the next error is shown.
    pub(super) fn is_due(&self) -> bool {
        self.shown_at.is_none_or(|at| at.elapsed() >= INTERVAL)
    }

    /// Shows an error, unless another was shown within the last second.
    pub(super) fn show(&mut self, text: &str) {
        if !self.is_due() {
            self.hidden = self.hidden.saturating_add(1);
            return;
        }
        self.shown_at = Some(Instant::now());
        match std::mem::take(&mut self.hidden) {
            0 => log::error!("{text}"),
            hidden => log::error!("{text}\n({hidden} errors before this one were not shown)"),
        }
    }
}

/// The longest text of an error, in bytes: a script may make them as long as it likes.
const MAX_TEXT: usize = 8192;

/// A text of the script that a terminal may get: with its lines, but without control characters, which
/// may come from the wire.
pub(super) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

/// An error as text: where it happened, what, and by which calls the script came there.
pub(super) fn describe(error: &mlua::Error, exceeded: Option<Exceeded>, limits: Limits) -> String {
    harmless(&shortened(describe_raw(error, exceeded, limits)))
}

/// Cut in the middle: the end says where it was.
fn shortened(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let boundary = |at: usize| (at..text.len()).find(|&at| text.is_char_boundary(at));
        let from = boundary(MAX_TEXT / 2).unwrap_or(0);
        let to = boundary(text.len().saturating_sub(MAX_TEXT / 2)).unwrap_or(text.len());
        text.replace_range(from..to, " … ");
    }
    text
}

/// Whether there was too little memory.
pub(super) fn is_memory(error: &mlua::Error) -> bool {
    matches!(innermost(error), mlua::Error::MemoryError(_))
}

fn describe_raw(error: &mlua::Error, exceeded: Option<Exceeded>, limits: Limits) -> String {
    if let Some(exceeded) = exceeded {
        return exceeded.in_words();
    }
    let text = explain(error);
    if is_memory(error) {
        let mib = limits.memory_bytes >> 20;
        return format!(
            "the script needs more than {mib} MiB (--script-budget sets how much it may): {text}"
        );
    }
    text
}

/// What stands in front of a traceback.
pub(super) const TRACEBACK: &str = "\nstack traceback:";

fn innermost(error: &mlua::Error) -> &mlua::Error {
    match error {
        mlua::Error::CallbackError { cause, .. } => innermost(cause),
        mlua::Error::WithContext { cause, .. } => innermost(cause),
        mlua::Error::BadArgument { cause, .. } => innermost(cause),
        error => error,
    }
}

/// The message with its traceback, without names of the library that runs the script.
fn explain(error: &mlua::Error) -> String {
    match error {
        mlua::Error::SyntaxError { message, .. }
        | mlua::Error::RuntimeError(message)
        | mlua::Error::MemoryError(message) => message.clone(),
        mlua::Error::CallbackError { traceback, cause } => {
            let cause = explain(cause);
            match cause.contains(TRACEBACK) || traceback.is_empty() {
                true => cause,
                false => format!("{cause}\n{traceback}"),
            }
        }
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_lines_and_no_codes() {
        let long = format!("a{}é\nb", "é".repeat(MAX_TEXT));
        let short = shortened(long);
        assert!(short.len() < MAX_TEXT + 10 && short.starts_with('a') && short.ends_with("é\nb"));
        assert_eq!(harmless("a\u{1b}[31m\r\n\tb\u{9b}é\0"), "a\\u{1b}[31m\\r\n\tb\\u{9b}é\\u{0}");
    }
}
