//! HTTP/2 frames made by hand (RFC 9113), with header fields as they are (RFC 7541, section 6.2.2).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use crate::{netns::Netns, peer::Peer};

/// Types of frames.
pub const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// The error code of what is not wanted any more.
const CANCEL: u32 = 8;

/// A client's connection.
#[derive(Debug)]
pub struct H2Peer {
    peer: Peer,
    next_stream: u32,
}

impl H2Peer {
    /// Connects, and exchanges settings.
    #[must_use]
    pub fn connect(netns: &Netns, server: &str) -> Self {
        let mut peer = Peer::connect(netns, server);
        peer.send([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &*frame(SETTINGS, 0, 0, &[])].concat());
        let mut peer = Self { peer, next_stream: 1 };
        while peer.receive() != (SETTINGS, 0, 0) {}
        peer.peer.send(frame(SETTINGS, ACK, 0, &[]));
        peer
    }

    /// Sends a request without a body, and gives its stream's number.
    pub fn get(&mut self, path: &str) -> u32 {
        self.request("GET", path, &[], true)
    }

    /// Sends a request's head, and gives its stream's number.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        is_all: bool,
    ) -> u32 {
        let first =
            [(":method", method), (":path", path), (":scheme", "http"), (":authority", "x")];
        let mut block = Vec::new();
        for (name, value) in first.iter().chain(more) {
            // Neither is long, so that its length is a byte.
            block.extend_from_slice(&[0, name.len() as u8]);
            block.extend_from_slice(name.as_bytes());
            block.push(value.len() as u8);
            block.extend_from_slice(value.as_bytes());
        }
        let stream = self.next_stream;
        self.next_stream += 2;
        let flags = if is_all { END_HEADERS | END_STREAM } else { END_HEADERS };
        self.peer.send(frame(HEADERS, flags, stream, &block));
        stream
    }

    /// Sends the rest of a request's body.
    pub fn finish(&mut self, stream: u32, body: &[u8]) {
        self.peer.send(frame(DATA, END_STREAM, stream, body));
    }

    /// Gives a request up.
    pub fn cancel(&mut self, stream: u32) {
        self.peer.send(frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()));
    }

    /// Receives until the server has answered on a stream.
    pub fn until_end_of(&mut self, stream: u32) {
        loop {
            let (kind, flags, of) = self.receive();
            assert_ne!(kind, RST_STREAM);
            if of == stream && [DATA, HEADERS].contains(&kind) && flags & END_STREAM != 0 {
                return;
            }
        }
    }

    /// Receives a frame, and gives its type, flags and stream.
    fn receive(&mut self) -> (u8, u8, u32) {
        let header = self.peer.exactly(9);
        let len = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        self.peer.exactly(len as usize);
        (header[3], header[4], u32::from_be_bytes(header[5..9].try_into().unwrap()))
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}
