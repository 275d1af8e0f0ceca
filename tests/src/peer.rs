//! A client's connection that sends bytes as they are, and receives until it has what it waits for.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::netns::Netns;

/// One connection.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    data: Vec<u8>,
}

impl Peer {
    /// Connects from a namespace.
    #[must_use]
    pub fn connect(netns: &Netns, server: &str) -> Self {
        let stream = netns.run(|| TcpStream::connect(server).unwrap());
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { stream, data: Vec::new() }
    }

    /// The client's own address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Receives until `end` came, and gives all up to there.
    #[track_caller]
    pub fn until(&mut self, end: impl AsRef<[u8]>) -> Vec<u8> {
        let end = end.as_ref();
        loop {
            if let Some(at) = self.data.windows(end.len()).position(|bytes| bytes == end) {
                return self.take(at + end.len());
            }
            self.more();
        }
    }

    /// Receives so many bytes.
    #[track_caller]
    pub fn exactly(&mut self, len: usize) -> Vec<u8> {
        while self.data.len() < len {
            self.more();
        }
        self.take(len)
    }

    /// Sends bytes, and receives until `end` came.
    #[track_caller]
    pub fn exchange(&mut self, bytes: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> Vec<u8> {
        self.send(bytes);
        self.until(end)
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        self.data.drain(..len).collect()
    }

    #[track_caller]
    fn more(&mut self) {
        let mut chunk = [0; 1 << 14];
        let seen = String::from_utf8_lossy(&self.data).into_owned();
        let count = self.stream.read(&mut chunk).unwrap_or_else(|it| panic!("{it}: {seen}"));
        assert!(count > 0, "the server closed the connection behind {seen:?}");
        self.data.extend_from_slice(&chunk[..count]);
    }
}
