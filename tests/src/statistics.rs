//! Asks the agent's port for statistics: silently, by HTTP, and with bytes as they are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use serde_json::Value;

use crate::netns::Netns;

/// Where the agent listens by default.
pub const ADDRESS: &str = "127.0.0.1:33333";

/// The names of the buckets of latencies, in their order.
pub const BUCKETS: [&str; 18] = [
    "<0.1ms",
    "0.1ms~0.2ms",
    "0.2~0.5ms",
    "0.5ms~1ms",
    "1ms~5ms",
    "5ms~10ms",
    "10ms~20ms",
    "20ms~50ms",
    "50ms~100ms",
    "100ms~200ms",
    "200ms~500ms",
    "0.5s~1s",
    "1s~2s",
    "2s~3s",
    "3s~5s",
    "5s~10s",
    "10s~20s",
    "+inf",
];

/// Connects from inside a namespace.
#[must_use]
pub fn connect(netns: &Netns, address: &str) -> TcpStream {
    let stream = netns.run(|| TcpStream::connect(address).unwrap());
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// What is said to somebody who says nothing, as `nc` does.
#[must_use]
pub fn say_nothing(netns: &Netns) -> String {
    let mut text = String::new();
    connect(netns, ADDRESS).read_to_string(&mut text).unwrap();
    text
}

/// What is said to somebody who says nothing and will not, as `nc -N` does.
#[must_use]
pub fn close_at_once(netns: &Netns) -> String {
    let mut stream = connect(netns, ADDRESS);
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The head, in lower case.
    pub head: String,
    /// What comes behind it.
    pub body: String,
}

impl Answer {
    /// Everything that comes until the end.
    #[track_caller]
    fn read(mut stream: impl Read) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) =
            text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("no status: {head}")),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }
}

/// Sends bytes, and gives what is answered until the end.
#[track_caller]
#[must_use]
pub fn send(netns: &Netns, bytes: impl AsRef<[u8]>) -> Answer {
    let mut stream = connect(netns, ADDRESS);
    stream.write_all(bytes.as_ref()).unwrap();
    Answer::read(stream)
}

/// Asks for a path at what the client takes for the server's name.
#[track_caller]
#[must_use]
pub fn request(netns: &Netns, method: &str, path: &str, host: &str) -> Answer {
    let close = "Connection: close";
    send(netns, format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{close}\r\n\r\n"))
}

/// Asks for a path, which has to be there.
#[track_caller]
#[must_use]
pub fn get(netns: &Netns, path: &str) -> String {
    let answer = request(netns, "GET", path, "localhost");
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.body
}

/// Asks for the established form.
#[track_caller]
#[must_use]
pub fn stats(netns: &Netns) -> Value {
    serde_json::from_str(&get(netns, "/stats")).unwrap()
}

/// The value of a metric, of which the labels are written as they are told.
#[must_use]
pub fn metric(text: &str, name_and_labels: &str) -> Option<f64> {
    let value = |line: &str| line.strip_prefix(name_and_labels)?.strip_prefix(' ')?.parse().ok();
    text.lines().find_map(value)
}

/// Events as they come.
pub struct Events(BufReader<TcpStream>);

impl Events {
    /// Begins to listen.
    #[must_use]
    pub fn listen(netns: &Netns) -> Self {
        let mut stream = connect(netns, ADDRESS);
        stream.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        Self(BufReader::new(stream))
    }

    /// The next one: its name and its data.
    #[track_caller]
    #[must_use]
    pub fn receive(&mut self) -> (String, Value) {
        let mut name = String::new();
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "no more events");
            if let Some(rest) = line.strip_prefix("event: ") {
                rest.trim_end().clone_into(&mut name);
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return (name, serde_json::from_str(data).unwrap());
            }
        }
    }
}
