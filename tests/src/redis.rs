//! A real Redis server, a client that knows what it sends, and redis-benchmark.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::netns::{Netns, eventually};

/// The server's port.
pub const PORT: u16 = 6379;

/// The second host of [`Netns::pair`], where the tests have their server.
pub const SERVER: &str = "10.9.0.2:6379";

/// A server in a namespace, on all of its addresses and on a socket file. It is gone when this is
/// dropped.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    directory: PathBuf,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    #[must_use]
    pub fn start(netns: &Netns) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("tcpkit-test-{}-redis-{number}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let mut command = Command::new("redis-server");
        command.args(["--port", &PORT.to_string(), "--bind", "0.0.0.0", "::"]);
        command.args(["--save", "", "--appendonly", "no", "--protected-mode", "no"]);
        command.args(["--enable-debug-command", "yes", "--loglevel", "warning"]);
        command.args(["--unixsocket", "socket", "--dir"]).arg(&directory);
        command.current_dir(&directory).stdin(Stdio::null()).stdout(Stdio::null());
        let child = netns.run(|| command.spawn().unwrap());
        let server = Self { child, directory };
        eventually("the server answers", || {
            UnixStream::connect(server.socket()).is_ok_and(|stream| {
                let answer = Client::over(stream).exchange(&[b"PING"]);
                answer == b"+PONG\r\n"
            })
        });
        server
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }

    /// A connection that no packet capture sees.
    #[must_use]
    pub fn unseen(&self) -> Client<UnixStream> {
        Client::over(UnixStream::connect(self.socket()).unwrap())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// What a connection is made of.
pub trait Transport: Read + Write + Sized {
    /// The same connection once more.
    #[must_use]
    fn again(&self) -> Self;
}

impl Transport for TcpStream {
    fn again(&self) -> Self {
        self.try_clone().unwrap()
    }
}

impl Transport for UnixStream {
    fn again(&self) -> Self {
        self.try_clone().unwrap()
    }
}

/// A connection to a server.
#[derive(Debug)]
pub struct Client<T: Transport = TcpStream> {
    output: T,
    input: BufReader<T>,
}

impl Client {
    /// Connects from a namespace.
    #[must_use]
    pub fn connect(netns: &Netns, server: &str) -> Self {
        let stream = netns.run(|| TcpStream::connect(server).unwrap());
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    /// Ends the connection, and waits until the server has, too.
    pub fn say_goodbye(mut self) {
        self.output.shutdown(Shutdown::Write).unwrap();
        assert_eq!(self.input.read(&mut [0]).unwrap(), 0);
    }

    /// The client's own address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.output.local_addr().unwrap()
    }
}

impl<T: Transport> Client<T> {
    fn over(stream: T) -> Self {
        Self { input: BufReader::with_capacity(1 << 20, stream.again()), output: stream }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.output.write_all(bytes).unwrap();
    }

    /// Receives one reply, and gives its bytes.
    pub fn receive(&mut self) -> Vec<u8> {
        let mut reply = Vec::new();
        let mut elements = 1;
        while elements > 0 {
            elements -= 1;
            let start = reply.len();
            self.input.read_until(b'\n', &mut reply).unwrap();
            let line = reply[start..].trim_ascii_end();
            assert!(!line.is_empty(), "the server closed the connection");
            let count = || std::str::from_utf8(&line[1..]).unwrap().parse::<i64>().unwrap();
            match line[0] {
                b'$' | b'=' if count() >= 0 => {
                    let behind = reply.len();
                    reply.resize(behind + count() as usize + 2, 0);
                    self.input.read_exact(&mut reply[behind..]).unwrap();
                }
                b'*' | b'>' | b'~' if count() > 0 => elements += count(),
                b'%' => elements += 2 * count(),
                _ => {}
            }
        }
        reply
    }

    /// Sends a command and receives its reply.
    pub fn exchange(&mut self, arguments: &[&[u8]]) -> Vec<u8> {
        self.send(&encode(arguments));
        self.receive()
    }

    /// [`Self::exchange`] of words that are separated by spaces.
    pub fn say(&mut self, words: &str) -> Vec<u8> {
        self.send(&encode_words(words));
        self.receive()
    }

    /// Two numbers of the server's `INFO stats`, and how long question and answer were.
    pub fn stat(&mut self, names: [&str; 2]) -> ([u64; 2], u64, u64) {
        let question = encode(&[b"INFO", b"stats"]);
        self.send(&question);
        let answer = self.receive();
        let text = String::from_utf8(answer.clone()).unwrap();
        let value = |name: &str| {
            let find = |line: &str| line.strip_prefix(name)?.strip_prefix(':')?.parse().ok();
            text.lines().find_map(find).unwrap_or_else(|| panic!("no {name} in {text}"))
        };
        (names.map(value), question.len() as u64, answer.len() as u64)
    }
}

/// A command as clients send it.
#[must_use]
pub fn encode(arguments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// [`encode`] of words that are separated by spaces.
#[must_use]
pub fn encode_words(words: &str) -> Vec<u8> {
    encode(&words.split(' ').map(str::as_bytes).collect::<Vec<_>>())
}

/// A command that runs redis-benchmark, with arguments that are separated by spaces.
#[must_use]
pub fn benchmark(arguments: &str) -> Command {
    let mut command = Command::new("redis-benchmark");
    command.args(["-h", "10.9.0.2", "-q"]).args(arguments.split_whitespace());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Runs redis-benchmark in a namespace until it is done.
pub fn run_benchmark(netns: &Netns, arguments: &str) {
    let status = netns.run(|| benchmark(arguments).status().unwrap());
    assert!(status.success(), "redis-benchmark {arguments}: {status}");
}
