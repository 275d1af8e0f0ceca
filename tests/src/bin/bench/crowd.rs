//! Clients that keep thousands of connections open, and close and open them all the time.

use std::{
    collections::VecDeque,
    io::{Read as _, Write as _},
    net::{SocketAddrV4, TcpStream},
    os::fd::AsRawFd as _,
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread::{self, Scope, ScopedJoinHandle},
    time::{Duration, Instant},
};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt,
};
use tcpkit_tests::{
    netns::Netns,
    redis::{SERVER, encode_words},
};

/// How many connections are open at the same time.
const CONNECTIONS: usize = 10_000;

/// How many are closed, and as many opened, in a second.
const TURNS_A_SECOND: f64 = 600.0;

/// How many threads, and addresses: those of connections that were closed wait for a minute.
const THREADS: usize = 4;

/// The first of the clients' addresses.
const FIRST_ADDRESS: u8 = 11;

/// Room for the connections of all threads, and all else that this process has open.
const FILES: usize = CONNECTIONS + 2_000;

/// What the clients did.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    opened: AtomicU64,
    closed: AtomicU64,
}

impl Counts {
    /// How many connections were opened so far.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// How many are open.
    pub(crate) fn open(&self) -> u64 {
        self.opened().saturating_sub(self.closed.load(Ordering::Relaxed))
    }
}

/// Clients in a namespace.
pub(crate) struct Clients<'a> {
    netns: &'a Netns,
}

impl<'a> Clients<'a> {
    /// Gives the namespace their addresses, and this process as many files as they need.
    pub(crate) fn prepare(netns: &'a Netns) -> Self {
        for number in 0..THREADS {
            netns.ip(&format!("addr add 10.9.0.{}/24 dev veth0", address(number)));
        }
        let pid = std::process::id().to_string();
        let mut command = Command::new("prlimit");
        let status = command.args(["--pid", &pid, &format!("--nofile={FILES}:{FILES}")]).status();
        assert!(status.unwrap().success(), "this process cannot have {FILES} files open");
        Self { netns }
    }

    /// Starts them; they go on until they are told to stop.
    pub(crate) fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        stop: &'scope AtomicBool,
        counts: &'scope Counts,
    ) -> Vec<ScopedJoinHandle<'scope, ()>> {
        let threads = (0..THREADS).map(|number| {
            scope.spawn(move || self.netns.run(|| come_and_go(number, stop, counts)))
        });
        threads.collect()
    }

    /// Whether as many connections are open as will be.
    pub(crate) fn are_all_open(&self, counts: &Counts) -> bool {
        counts.opened() >= CONNECTIONS as u64
    }
}

fn address(number: usize) -> u8 {
    FIRST_ADDRESS + number as u8
}

/// Opens this thread's part of the connections; then, in turn, the oldest goes and a new one comes.
fn come_and_go(number: usize, stop: &AtomicBool, counts: &Counts) {
    let exchanges = Exchanges::new();
    let mut open = VecDeque::new();
    let pause = Duration::from_secs_f64(THREADS as f64 / TURNS_A_SECOND);
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        if open.len() >= CONNECTIONS / THREADS {
            if let Some(oldest) = open.pop_front() {
                exchanges.have(&oldest);
                close(oldest, counts.opened().is_multiple_of(2));
                counts.closed.fetch_add(1, Ordering::Relaxed);
            }
            // What a busy machine missed is not made up for.
            next = (next + pause).max(Instant::now());
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        let new = open_from(address(number));
        exchanges.have(&new);
        open.push_back(new);
        counts.opened.fetch_add(1, Ordering::Relaxed);
    }
}

fn open_from(last: u8) -> TcpStream {
    let kind = SockType::Stream;
    let it = socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(it.as_raw_fd(), &SockaddrIn::new(10, 9, 0, last, 0)).unwrap();
    let server: SocketAddrV4 = SERVER.parse().unwrap();
    connect(it.as_raw_fd(), &SockaddrIn::from(server)).unwrap();
    let stream = TcpStream::from(it);
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Ends a connection by a FIN, or by a RST.
fn close(stream: TcpStream, resets: bool) {
    if resets {
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&stream, sockopt::Linger, &linger).unwrap();
    }
    drop(stream);
}

/// Requests, and how many bytes are answered.
struct Exchanges([(Vec<u8>, usize); 3]);

impl Exchanges {
    fn new() -> Self {
        let one = |words: &str, reply: &str| (encode_words(words), reply.len());
        Self([
            one("set churn abc", "+OK\r\n"),
            one("get churn", "$3\r\nabc\r\n"),
            one("lpush churn", "-ERR wrong number of arguments for 'lpush' command\r\n"),
        ])
    }

    fn have(&self, mut stream: &TcpStream) {
        for (request, len) in &self.0 {
            stream.write_all(request).unwrap();
            stream.read_exact(&mut [0; 64][..*len]).unwrap();
        }
    }
}
