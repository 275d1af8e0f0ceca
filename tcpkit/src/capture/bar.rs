//! How far reading a large file has come, drawn on stderr.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Files that are read sooner need no bar.
const WORTH_IT: Duration = Duration::from_secs(1);

const TEMPLATE: &str = "{bar:32} {bytes} of {total_bytes}, {msg} packets, {eta} left";

/// Which of the program's outputs are terminals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminals {
    /// Where lines go. A bar between lines on the same screen would spoil them.
    pub stdout: bool,
    /// Where the bar goes.
    pub stderr: bool,
}

/// The bar, which appears when reading has taken a while and goes when it ends.
#[derive(Debug)]
pub(super) struct ReadingBar {
    /// The file's length; `None` for no bar, ever.
    len: Option<u64>,
    started: Option<Instant>,
    bar: Option<ProgressBar>,
}

impl ReadingBar {
    /// For a file of so many bytes; only regular files have a length.
    pub(super) fn new(terminals: Terminals, len: Option<u64>) -> Self {
        let may_draw = terminals.stderr && !terminals.stdout;
        Self { len: len.filter(|_| may_draw), started: None, bar: None }
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
            self.bar = Some(bar.with_elapsed(now.saturating_duration_since(started)));
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
    fn check(
        stderr: bool,
        stdout: bool,
        len: Option<u64>,
        after_ms: u64,
        bytes: u64,
        expect: bool,
    ) {
        let mut bar = ReadingBar::new(Terminals { stdout, stderr }, len);
        let start = Instant::now();
        bar.update_at(start, 0, 0);
        assert!(bar.bar.is_none());
        bar.update_at(start + Duration::from_millis(after_ms), bytes, 7);
        assert_eq!(bar.bar.is_some(), expect, "{stderr} {stdout} {len:?} {after_ms} {bytes}");
        bar.clear();
        bar.update_at(start + Duration::from_secs(9), bytes, 7);
        assert!(bar.bar.is_none());
    }

    #[test]
    fn long_reading_of_files_is_shown_on_terminals() {
        check(true, false, Some(1_000), 1_000, 500, true);
        check(true, false, Some(1_000), 999, 500, false);
        check(true, false, Some(1_000), 5_000, 1_000, false);
        check(true, false, None, 5_000, 500, false);
        check(true, true, Some(1_000), 5_000, 500, false);
        check(false, false, Some(1_000), 5_000, 500, false);
        check(false, true, Some(1_000), 5_000, 500, false);
    }
}
