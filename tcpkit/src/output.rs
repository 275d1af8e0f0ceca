//! Which packets and transactions are put out, and how many: thresholds, counts, each packet once.

use crate::{
    capture::Frame,
    ledger::{Ledger, OutputCounts},
    packet::Once,
    reload::Reload,
    sink::{Sink, SinkError},
    transaction::Transaction,
    walltime::WallTimes,
};

/// After how many packets or transactions the run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Never.
    Unlimited,
    /// After so many packets.
    Packets(u64),
    /// After so many transactions.
    Transactions(u64),
}

/// What a sink takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Takes {
    /// Packets.
    pub packets: bool,
    /// Transactions.
    pub transactions: bool,
    /// To be told that time passes.
    pub time: bool,
}

/// A sink, and what it takes.
struct Taker {
    sink: Box<dyn Sink>,
    takes: Takes,
    /// Whether it gets transactions that took less than the threshold.
    takes_short: bool,
}

/// How often sinks are told that time passes, in ns of wall-clock time.
const SECOND_NS: u64 = 1_000_000_000;

/// Sinks, and what is handed to them.
pub struct Output {
    takers: Vec<Taker>,
    /// What any of them takes.
    takes: Takes,
    /// The second that they were told of last.
    told_second: Option<u64>,
    /// When the next one begins on the clock of packets, in ns.
    next_second_ns: u64,
    /// Finds packets that were captured elsewhere before; `None` where each passes one place only.
    once: Option<Once>,
    times: WallTimes,
    /// How long transactions have to take to be printed, or handed to a script, in ns.
    threshold_ns: u64,
    /// How long they have to take so that any sink wants them, in ns.
    least_ns: u64,
    /// Whether a sink takes transactions however short they are.
    counts_all: bool,
    count: Count,
    counts: OutputCounts,
    /// Whether `count` is reached.
    is_full: bool,
    error: Option<SinkError>,
}

impl Output {
    /// Writes to no sink, everything.
    #[must_use]
    pub fn new(count: Count) -> Self {
        Self {
            takers: Vec::new(),
            takes: Takes::default(),
            told_second: None,
            next_second_ns: u64::MAX,
            once: None,
            times: WallTimes::default(),
            threshold_ns: 0,
            least_ns: 0,
            counts_all: false,
            count,
            counts: OutputCounts::default(),
            is_full: false,
            error: None,
        }
    }

    /// Writes transactions of at least `threshold_ns` to a further sink.
    #[must_use]
    pub fn with_transactions(mut self, sink: Box<dyn Sink>, threshold_ns: u64) -> Self {
        self.counts.prints_transactions = true;
        self.set_threshold(threshold_ns);
        self.with(sink, Takes { transactions: true, ..Takes::default() }, false)
    }

    /// Hands what it `takes` to a further sink; transactions of at least `threshold_ns`.
    #[must_use]
    pub fn with_script(mut self, sink: Box<dyn Sink>, takes: Takes, threshold_ns: u64) -> Self {
        // It may have asked for the end before anything began.
        self.is_full |= sink.is_done();
        self.set_threshold(threshold_ns);
        self.with(sink, takes, false)
    }

    /// Hands every transaction to a further sink, however short it was. It is not what the run is for:
    /// what it alone gets is not counted as put out.
    #[must_use]
    pub fn with_statistics(mut self, sink: Box<dyn Sink>) -> Self {
        self.least_ns = 0;
        self.counts_all = true;
        self.with(sink, Takes { transactions: true, ..Takes::default() }, true)
    }

    fn set_threshold(&mut self, threshold_ns: u64) {
        self.threshold_ns = threshold_ns;
        self.least_ns = if self.counts_all { 0 } else { threshold_ns };
    }

    fn with(mut self, sink: Box<dyn Sink>, takes: Takes, takes_short: bool) -> Self {
        self.takes.packets |= takes.packets;
        self.takes.transactions |= takes.transactions;
        self.takes.time |= takes.time;
        if takes.time {
            self.next_second_ns = 0;
        }
        self.takers.push(Taker { sink, takes, takes_short });
        self
    }

    /// Writes packets to a file.
    #[must_use]
    pub fn with_file(mut self, sink: Box<dyn Sink>) -> Self {
        self.counts.writes_packets = true;
        self.with(sink, Takes { packets: true, ..Takes::default() }, true)
    }

    /// Prints packets.
    #[must_use]
    pub fn with_lines(mut self, sink: Box<dyn Sink>) -> Self {
        self.counts.prints_packets = true;
        self.with(sink, Takes { packets: true, ..Takes::default() }, true)
    }

    /// Packets come from several places: each counts once.
    #[must_use]
    pub fn each_once(mut self) -> Self {
        if self.takes.packets {
            self.once = Some(Once::default());
        }
        self
    }

    /// How long transactions have to take so that somebody wants them, in ns.
    #[must_use]
    pub fn least_ns(&self) -> u64 {
        self.least_ns
    }

    /// Sets what to add to frames' times to get nanoseconds since the Unix epoch.
    pub fn set_wall_offset_ns(&mut self, offset_ns: i64) {
        self.times.set_offset_ns(offset_ns);
    }

    /// Hands a packet to the sinks that take packets.
    #[inline]
    pub fn take_packet(&mut self, frame: &Frame<'_>) {
        if self.takes.packets || matches!(self.count, Count::Packets(_)) {
            self.put_packet(frame);
        }
    }

    /// Time is `now_ns`, on the clock of frames: no frame from before it will come.
    #[inline]
    pub fn advance(&mut self, now_ns: u64) {
        if now_ns >= self.next_second_ns {
            self.next_second(now_ns);
        }
    }

    #[cold]
    fn next_second(&mut self, now_ns: u64) {
        let unix_ns = self.times.now_unix_ns(now_ns);
        let second = unix_ns / SECOND_NS;
        self.next_second_ns = now_ns.saturating_add(SECOND_NS - unix_ns % SECOND_NS);
        // The first time only says when the run begins.
        if self.told_second.replace(second).is_none_or(|told| told == second) || self.is_done() {
            return;
        }
        for Taker { sink, takes, .. } in &mut self.takers {
            if takes.time
                && let Err(error) = sink.on_time(second.saturating_mul(SECOND_NS), now_ns)
            {
                self.error = Some(error);
            }
            self.is_full |= sink.is_done();
        }
    }

    fn put_packet(&mut self, frame: &Frame<'_>) {
        if self.is_done() {
            return;
        }
        if self.once.as_mut().is_some_and(|once| !once.is_new(frame)) {
            self.counts.seen_before += 1;
            return;
        }
        self.counts.packets += 1;
        let unix_ns = self.times.unix_ns(frame);
        for Taker { sink, takes, .. } in &mut self.takers {
            if takes.packets {
                if let Err(error) = sink.on_packet(frame, unix_ns) {
                    self.error = Some(error);
                }
                self.is_full |= sink.is_done();
            }
        }
        if let Count::Packets(count) = self.count {
            self.is_full |= self.counts.packets >= count;
        }
    }

    /// Hands a transaction to the sinks that take transactions.
    pub fn take(&mut self, transaction: &Transaction<'_>) {
        let latency_ns = transaction.timing.latency_ns();
        if latency_ns < self.least_ns || self.is_done() {
            return;
        }
        let is_short = latency_ns < self.threshold_ns;
        for Taker { sink, takes, takes_short } in &mut self.takers {
            if takes.transactions && (*takes_short || !is_short) {
                if let Err(error) = sink.on_transaction(transaction) {
                    self.error = Some(error);
                }
                self.is_full |= sink.is_done();
            }
        }
        if is_short {
            return;
        }
        self.counts.transactions += 1;
        if let Count::Transactions(count) = self.count {
            self.is_full |= self.counts.transactions >= count;
        }
    }

    /// Whether nothing more is taken.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_full || self.error.is_some()
    }

    /// Makes visible what was buffered.
    pub fn flush(&mut self) {
        self.each(|sink| sink.flush());
    }

    /// Goes on with what is wanted from now on.
    pub fn reload(&mut self, reload: &Reload) {
        self.set_threshold(reload.threshold_ns);
        self.each(|sink| sink.on_reload(reload));
        self.is_full |= self.takers.iter().any(|taker| taker.sink.is_done());
    }

    /// Whether a sink wants to know what was counted while the run goes on.
    #[must_use]
    pub fn wants_ledger(&self) -> bool {
        self.takes.packets
    }

    /// Tells the sinks what was counted.
    pub fn tell(&mut self, ledger: &Ledger) {
        self.each(|sink| sink.on_ledger(ledger));
    }

    /// Nothing more will come.
    pub fn finish(&mut self, ledger: &Ledger) {
        self.tell(ledger);
        self.each(|sink| sink.finish());
    }

    /// Why the sinks take no more; only once.
    pub fn take_error(&mut self) -> Option<SinkError> {
        self.error.take()
    }

    /// Adds to a ledger what became of packets and transactions here.
    pub fn count(&self, ledger: &mut Ledger) {
        ledger.output = self.counts;
        let sinks = || self.takers.iter().map(|taker| &taker.sink);
        ledger.output.takes_packets = self.takes.packets;
        ledger.output.unwritten = sinks().map(|sink| sink.unwritten()).sum();
        ledger.output.late = sinks().map(|sink| sink.late()).sum();
        ledger.output.script = sinks().map(|sink| sink.script()).sum();
        ledger.output.packets = self.counts.packets.saturating_sub(ledger.output.late);
    }

    fn each(&mut self, mut work: impl FnMut(&mut dyn Sink) -> Result<(), SinkError>) {
        for taker in &mut self.takers {
            if let Err(error) = work(taker.sink.as_mut())
                && self.error.is_none()
            {
                self.error = Some(error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;
    use crate::sink::json::tests::transaction;

    /// The latencies that a sink got, in ns.
    #[derive(Clone, Default)]
    struct Got(Rc<RefCell<Vec<u64>>>);

    impl Sink for Got {
        fn on_transaction(&mut self, transaction: &Transaction<'_>) -> Result<(), SinkError> {
            self.0.borrow_mut().push(transaction.timing.latency_ns());
            Ok(())
        }
    }

    fn take(output: &mut Output, latencies_ns: &[u64]) {
        for &wait_ns in latencies_ns {
            let mut it = transaction();
            it.timing.request_ns = 0;
            it.timing.response_ns = 0;
            it.timing.wait_ns = wait_ns;
            output.take(&it);
        }
    }

    #[test]
    fn statistics_take_what_is_too_short_to_be_printed() {
        let (printed, counted) = (Got::default(), Got::default());
        for is_first in [true, false] {
            let mut output = Output::new(Count::Transactions(2));
            if is_first {
                output = output.with_statistics(Box::new(counted.clone()));
            }
            output = output.with_transactions(Box::new(printed.clone()), 100);
            if !is_first {
                assert_eq!(output.least_ns(), 100);
                output = output.with_statistics(Box::new(counted.clone()));
            }
            assert_eq!(output.least_ns(), 0);
            take(&mut output, &[99, 100, 1]);
            assert!(!output.is_done());
            take(&mut output, &[500, 7, 500]);
            assert!(output.is_done());
            let mut ledger = Ledger::default();
            output.count(&mut ledger);
            assert_eq!(ledger.output.transactions, 2);
        }
        assert_eq!(*printed.0.borrow(), [100, 500, 100, 500]);
        assert_eq!(*counted.0.borrow(), [99, 100, 1, 500, 99, 100, 1, 500]);
    }
}
