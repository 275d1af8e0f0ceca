//! How far reading a large file has come, drawn on stderr.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Files that are read sooner need no bar.
const WORTH_IT: Duration = Duration::from_secs(1);

const TEMPLATE: &str = "{bar:32} {bytes} of {total_bytes}, {msg} packets, {percent} %";

/// Where a bar may be drawn; clones are the same screen. Whoever prints lines on the same terminal
/// does it through [`Screen::print`].
#[derive(Clone, Debug, Default)]
pub struct Screen {
    is_terminal: bool,
    bar: Arc<Mutex<Option<ProgressBar>>>,
}

impl Screen {
    /// Stderr, which is a terminal or not.
    #[must_use]
    pub fn new(is_terminal: bool) -> Self {
        Self { is_terminal, bar: Arc::default() }
    }

    /// Prints something that may be on the same terminal: the bar is gone meanwhile.
    pub fn print<T>(&self, print: impl FnOnce() -> T) -> T {
        match &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn set(&self, bar: Option<ProgressBar>) -> Option<ProgressBar> {
        std::mem::replace(&mut *self.bar.lock().unwrap_or_else(PoisonError::into_inner), bar)
    }
}

/// The bar, which appears when reading has taken a while and goes when it ends.
#[derive(Debug)]
pub(super) struct ReadingBar {
    screen: Screen,
    /// The file's length; `None` for no bar, ever.
    len: Option<u64>,
    started: Option<Instant>,
    bar: Option<ProgressBar>,
}

impl ReadingBar {
    /// For a file of so many bytes; only regular files have a length.
    pub(super) fn new(screen: Screen, len: Option<u64>) -> Self {
        let len = len.filter(|_| screen.is_terminal);
        Self { screen, len, started: None, bar: None }
    }

    /// Shows how much was read. To be called once for many packets.
    pub(super) fn update(&mut self, bytes: u64, packets: u64) {
        if self.len.is_some() {
            self.update_at(Instant::now(), bytes, packets);
        }
    }

    fn update_at(&mut self, now: Instant, bytes: u64, packets: u64) {
        let Some(len) = self.len else { return };
        let started = *self.started.get_or_insert(now);
        let is_last = bytes >= len;
        if self.bar.is_none() && !is_last && now.saturating_duration_since(started) >= WORTH_IT {
            let bar = ProgressBar::with_draw_target(Some(len), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
                bar.set_style(style);
            }
            let bar = bar.with_elapsed(now.saturating_duration_since(started));
            self.screen.set(Some(bar.clone()));
            self.bar = Some(bar);
        }
        if let Some(bar) = &self.bar {
            bar.set_message(packets.to_string());
            bar.set_position(bytes);
        }
    }

    /// Takes it off the screen, for good.
    pub(super) fn clear(&mut self) {
        self.len = None;
        if let Some(bar) = self.bar.take() {
            self.screen.set(None);
            bar.finish_and_clear();
        }
    }
}

impl Drop for ReadingBar {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether there is a bar some time after the first update.
    fn check(is_terminal: bool, len: Option<u64>, after_ms: u64, bytes: u64, expect: bool) {
        let screen = Screen::new(is_terminal);
        let is_drawn = || screen.bar.lock().unwrap().is_some();
        let mut bar = ReadingBar::new(screen.clone(), len);
        let start = Instant::now();
        bar.update_at(start, 0, 0);
        assert!(!is_drawn());
        bar.update_at(start + Duration::from_millis(after_ms), bytes, 7);
        assert_eq!(is_drawn(), expect, "{is_terminal} {len:?} {after_ms} {bytes}");
        assert_eq!(screen.print(|| 5), 5);
        bar.clear();
        bar.update_at(start + Duration::from_secs(9), bytes, 7);
        assert!(!is_drawn());
    }

    #[test]
    fn long_reading_of_files_is_shown_on_terminals() {
        check(true, Some(1_000), 1_000, 500, true);
        check(true, Some(1_000), 999, 500, false);
        check(true, Some(1_000), 5_000, 1_000, false);
        check(true, None, 5_000, 500, false);
        check(false, Some(1_000), 5_000, 500, false);
    }
}
