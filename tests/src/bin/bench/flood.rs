//! Many frames through one interface, at a rate or as fast as the kernel takes them.

use std::{
    thread,
    time::{Duration, Instant},
};

use tcpkit_tests::{netns::Netns, raw::PacketSocket};

/// How many frames are handed to the kernel at once.
const BATCH: usize = 64;

/// Shorter pauses are not worth a sleep: the kernel wakes up later than that.
const SHORTEST_PAUSE: Duration = Duration::from_micros(100);

/// Sends frames that it keeps until there are enough for a batch.
pub(crate) struct Flood {
    sockets: Vec<PacketSocket>,
    batch: Vec<Vec<u8>>,
    used: usize,
    /// Which socket the batch is for.
    socket: usize,
    rate: Option<f64>,
    begin: Instant,
    sent: u64,
}

impl Flood {
    /// Opens sockets on interfaces of a namespace. `rate` is in frames a second; without one, they go
    /// as fast as they can.
    pub(crate) fn open(netns: &Netns, interfaces: &[String], rate: Option<f64>) -> Self {
        let open = || interfaces.iter().map(|name| PacketSocket::open(name)).collect();
        Self {
            sockets: netns.run(open),
            batch: vec![Vec::new(); BATCH],
            used: 0,
            socket: 0,
            rate,
            begin: Instant::now(),
            sent: 0,
        }
    }

    /// Sends at another rate from now on.
    pub(crate) fn set_rate(&mut self, rate: Option<f64>) {
        self.flush();
        (self.rate, self.begin, self.sent) = (rate, Instant::now(), 0);
    }

    /// Sends what `write` writes through one of the interfaces, soon.
    pub(crate) fn send(&mut self, socket: usize, write: impl FnOnce(&mut Vec<u8>)) {
        if self.used == BATCH || socket != self.socket {
            self.flush();
            self.socket = socket;
        }
        write(&mut self.batch[self.used]);
        self.used += 1;
    }

    /// Sends what is kept, and waits when that is ahead of the rate.
    pub(crate) fn flush(&mut self) {
        self.sockets[self.socket].send_all(&self.batch[..self.used]);
        self.sent += self.used as u64;
        self.used = 0;
        if let Some(rate) = self.rate {
            let due = Duration::from_secs_f64(self.sent as f64 / rate);
            let ahead = due.saturating_sub(self.begin.elapsed());
            if ahead > SHORTEST_PAUSE {
                thread::sleep(ahead);
            }
        }
    }
}
