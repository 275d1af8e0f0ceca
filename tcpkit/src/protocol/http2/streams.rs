//! What is known of the streams that are open on a connection.

use std::collections::VecDeque;

use super::grpc::Messages;
use crate::protocol::{Correlation, Direction, Draft};

/// So many open streams are kept in mind; of the oldest beyond that nothing is shown.
const MAX_STREAMS: usize = 4096;

/// Room for so many is kept when none is open.
const KEEP: usize = 16;

/// Whether a stream carries a gRPC call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Grpc {
    Yes,
    No,
    /// Its content type was not heard.
    #[default]
    Unknown,
}

/// How far a response came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Response {
    /// Nothing of it came but interim responses.
    #[default]
    Awaited,
    /// Whether some of it came is not known.
    Hidden,
    /// Its final header block came.
    Begun,
    Done,
}

/// A stream that a client opened.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) id: u32,
    /// The response's status code; 0 where it was not heard.
    pub(super) status: u16,
    pub(super) response: Response,
    pub(super) grpc: Grpc,
    /// Whether it is among those that are to be shown.
    pub(super) is_shown: bool,
    /// The client has said everything.
    pub(super) request_done: bool,
    /// Bytes of content in both directions, without padding; `None` where some were not seen.
    pub(super) bodies: [Option<u64>; 2],
    /// The messages in both directions.
    pub(super) messages: [Messages; 2],
    /// The response's fields so far, where somebody reads them.
    pub(super) draft: Option<Box<Draft>>,
}

impl Stream {
    /// A stream that begins.
    pub(super) fn new(id: u32) -> Self {
        Self { id, is_shown: true, bodies: [Some(0); 2], ..Self::default() }
    }

    /// How its messages find each other.
    pub(super) fn correlation(&self) -> Correlation {
        if self.is_shown { Correlation::Id(u64::from(self.id)) } else { Correlation::OneWay }
    }

    /// Whether both sides have said everything.
    pub(super) fn is_over(&self) -> bool {
        self.request_done && self.response == Response::Done
    }

    /// Content of `len` bytes.
    pub(super) fn add_body(&mut self, direction: Direction, len: u32) {
        if let Some(Some(body)) = self.bodies.get_mut(side(direction)) {
            *body = body.saturating_add(u64::from(len));
        }
    }

    /// Of the content in this direction not everything was seen.
    pub(super) fn hide(&mut self, direction: Direction) {
        if let Some(body) = self.bodies.get_mut(side(direction)) {
            *body = None;
        }
        self.messages_mut(direction).hide();
    }

    /// The messages in this direction.
    pub(super) fn messages_mut(&mut self, direction: Direction) -> &mut Messages {
        let [request, response] = &mut self.messages;
        match direction {
            Direction::Request => request,
            Direction::Response => response,
        }
    }
}

/// The place of a direction in pairs.
pub(super) fn side(direction: Direction) -> usize {
    match direction {
        Direction::Request => 0,
        Direction::Response => 1,
    }
}

/// The open streams of a connection, in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: VecDeque<Stream>,
    /// Some were too many, and are not known any more.
    pub(super) forgot_some: bool,
}

impl Streams {
    fn place(&self, id: u32) -> Result<usize, usize> {
        // Nearly always one of few, or the newest.
        match self.open.back() {
            None => return Err(0),
            Some(newest) if newest.id == id => return Ok(self.open.len().saturating_sub(1)),
            Some(newest) if newest.id < id => return Err(self.open.len()),
            Some(_) => {}
        }
        self.open.binary_search_by_key(&id, |stream| stream.id)
    }

    /// The stream with this number.
    #[inline]
    pub(super) fn get(&mut self, id: u32) -> Option<&mut Stream> {
        let place = self.place(id).ok()?;
        self.open.get_mut(place)
    }

    /// Adds a stream, in place of one with the same number.
    pub(super) fn insert(&mut self, stream: Stream) {
        match self.place(stream.id) {
            Ok(place) => {
                if let Some(old) = self.open.get_mut(place) {
                    *old = stream;
                }
                return;
            }
            Err(place) => self.open.insert(place, stream),
        }
        if self.open.len() > MAX_STREAMS {
            self.open.pop_front();
            self.forgot_some = true;
        }
    }

    /// Takes a stream out.
    pub(super) fn remove(&mut self, id: u32) -> Option<Stream> {
        let place = self.place(id).ok()?;
        let stream = self.open.remove(place);
        if self.open.is_empty() && self.open.capacity() > KEEP {
            self.open.shrink_to(KEEP);
        }
        stream
    }

    /// Takes a stream out if both sides have said everything.
    #[inline]
    pub(super) fn remove_if_over(&mut self, id: u32) {
        if self.get(id).is_some_and(|stream| stream.is_over()) {
            self.remove(id);
        }
    }

    /// Bytes of the client's were not seen: what it said on streams that are open is not all known, nor
    /// whether it has said everything.
    pub(super) fn lose_requests(&mut self) {
        for stream in &mut self.open {
            if !stream.request_done {
                stream.hide(Direction::Request);
                stream.request_done = true;
            }
        }
        self.open.retain(|stream| !stream.is_over());
    }

    /// Bytes of the server's were not seen: what waits for them will not be known.
    pub(super) fn lose_responses(&mut self) {
        self.open = VecDeque::new();
    }

    /// The server is heard again: some of these may have had their response, or a part of it.
    pub(super) fn hide_responses(&mut self) {
        for stream in &mut self.open {
            stream.response = Response::Hidden;
            stream.hide(Direction::Response);
        }
    }
}
