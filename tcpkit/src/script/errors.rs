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

    /// Counts an error that is shown by other means.
    pub(super) fn count_only(&mut self) {
        self.count = self.count.saturating_add(1);
    }

    /// Counts an error, and shows it unless another was shown within the last second.
    pub(super) fn add(&mut self, text: &str) {
        self.count = self.count.saturating_add(1);
        if self.shown_at.is_some_and(|at| at.elapsed() < INTERVAL) {
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
    harmless(&describe_raw(error, exceeded, limits))
}

fn describe_raw(error: &mlua::Error, exceeded: Option<Exceeded>, limits: Limits) -> String {
    if let Some(exceeded) = exceeded {
        return format!("{exceeded}\n{}", exceeded.trace());
    }
    let text = explain(error);
    if let mlua::Error::MemoryError(_) = innermost(error) {
        let mib = limits.memory_bytes >> 20;
        return format!(
            "the script needs more than {mib} MiB (--script-budget sets how much it may): {text}"
        );
    }
    text
}

const TRACEBACK: &str = "\nstack traceback:";

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
        mlua::Error::SyntaxError { message, .. } | mlua::Error::RuntimeError(message) => {
            message.clone()
        }
        mlua::Error::MemoryError(message) => message.clone(),
        mlua::Error::CallbackError { traceback, cause } => {
            let cause = explain(cause);
            match cause.contains(TRACEBACK) || traceback.is_empty() {
                true => cause,
                false => format!("{cause}\n{traceback}"),
            }
        }
        mlua::Error::ExternalError(error) => error.to_string(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_lines_and_no_codes() {
        assert_eq!(harmless("a\u{1b}[31m\r\n\tb\u{9b}é\0"), "a\\u{1b}[31m\\r\n\tb\\u{9b}é\\u{0}");
    }
}
