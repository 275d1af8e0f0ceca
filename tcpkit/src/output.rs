//! Which packets and transactions are put out, and how many: thresholds, counts, each packet once.

use crate::{
    capture::Frame,
    ledger::{Ledger, OutputCounts},
    packet::Once,
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

/// Sinks, and what is handed to them.
pub struct Output {
    transactions: Vec<Box<dyn Sink>>,
    packets: Vec<Box<dyn Sink>>,
    /// Finds packets that were captured elsewhere before; `None` where each passes one place only.
    once: Option<Once>,
    times: WallTimes,
    threshold_ns: u64,
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
            transactions: Vec::new(),
            packets: Vec::new(),
            once: None,
            times: WallTimes::default(),
            threshold_ns: 0,
            count,
            counts: OutputCounts::default(),
            is_full: false,
            error: None,
        }
    }

    /// Writes transactions of at least `threshold_ns` to a further sink.
    #[must_use]
    pub fn with_transactions(mut self, sink: Box<dyn Sink>, threshold_ns: u64) -> Self {
        self.threshold_ns = threshold_ns;
        self.transactions.push(sink);
        self
    }

    /// Writes packets to a file.
    #[must_use]
    pub fn with_file(mut self, sink: Box<dyn Sink>) -> Self {
        self.packets.push(sink);
        self
    }

    /// Prints packets.
    #[must_use]
    pub fn with_lines(mut self, sink: Box<dyn Sink>) -> Self {
        self.counts.prints_packets = true;
        self.packets.push(sink);
        self
    }

    /// Packets come from several places: each counts once.
    #[must_use]
    pub fn each_once(mut self) -> Self {
        if !self.packets.is_empty() {
            self.once = Some(Once::default());
        }
        self
    }

    /// How long transactions have to take so that somebody wants them, in ns.
    #[must_use]
    pub fn least_ns(&self) -> u64 {
        self.threshold_ns
    }

    /// Sets what to add to frames' times to get nanoseconds since the Unix epoch.
    pub fn set_wall_offset_ns(&mut self, offset_ns: i64) {
        self.times.set_offset_ns(offset_ns);
    }

    /// Hands a packet to the sinks that take packets.
    #[inline]
    pub fn take_packet(&mut self, frame: &Frame<'_>) {
        if !self.packets.is_empty() {
            self.put_packet(frame);
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
        for sink in &mut self.packets {
            if let Err(error) = sink.on_packet(frame, unix_ns) {
                self.error = Some(error);
            }
            self.is_full |= sink.is_done();
        }
        if let Count::Packets(count) = self.count {
            self.is_full |= self.counts.packets >= count;
        }
    }

    /// Hands a transaction to the sinks that take transactions.
    pub fn take(&mut self, transaction: &Transaction<'_>) {
        if transaction.timing.latency_ns() < self.threshold_ns || self.is_done() {
            return;
        }
        for sink in &mut self.transactions {
            if let Err(error) = sink.on_transaction(transaction) {
                self.error = Some(error);
            }
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

    /// Whether a sink wants to know what was counted while the run goes on.
    #[must_use]
    pub fn wants_ledger(&self) -> bool {
        !self.packets.is_empty()
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
        ledger.output.takes_packets = !self.packets.is_empty();
        ledger.output.unwritten = self.packets.iter().map(|sink| sink.unwritten()).sum();
        ledger.output.late = self.packets.iter().map(|sink| sink.late()).sum();
        ledger.output.packets = self.counts.packets.saturating_sub(ledger.output.late);
    }

    fn each(&mut self, mut work: impl FnMut(&mut dyn Sink) -> Result<(), SinkError>) {
        for sink in self.transactions.iter_mut().chain(&mut self.packets) {
            if let Err(error) = work(sink.as_mut())
                && self.error.is_none()
            {
                self.error = Some(error);
            }
        }
    }
}
