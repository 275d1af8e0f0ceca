//! Recognises replies that may be no response: pub/sub's arrays and `MONITOR`'s lines.

use super::{
    commands::{self, Role, Subscription},
    link::Shape,
};

/// The longest first element that is looked at: `punsubscribe`.
pub(super) const MAX_NAME: u64 = 12;

/// Follows the elements of an outermost array or push.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tracker {
    /// How many elements were announced; 0 if the reply is not being followed.
    announced: u8,
    seen: u8,
    shape: Shape,
    remaining: u32,
}

/// One element of an aggregate.
#[derive(Clone, Copy, Debug)]
pub(super) enum Element<'a> {
    /// A string; only a short first one is shown.
    Text(&'a [u8]),
    Null,
    Number(i64),
    Other,
}

impl Tracker {
    /// What the reply looks like, once it is complete, and how many subscriptions a confirmation
    /// says remain.
    pub(super) fn verdict(&self) -> (Shape, u32) {
        let complete = self.seen == self.announced;
        (if complete { self.shape } else { Shape::Other }, self.remaining)
    }

    /// Begins to follow an outermost aggregate of `count` elements.
    pub(super) fn follow(&mut self, count: i64) {
        // Pub/sub's arrays have three elements, or four if a pattern matched.
        let announced = u8::try_from(count).ok().filter(|count| matches!(count, 3 | 4));
        *self = Self { announced: announced.unwrap_or(0), ..Self::default() };
    }

    /// A simple string that begins so is the whole reply.
    pub(super) fn line(&mut self, head: &[u8]) {
        // A UNIX time with microseconds, then what only the feed has: `1339518083.1 [0 …] "…"`.
        let digits = head.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0
            && head.get(digits) == Some(&b'.')
            && head.windows(2).any(|pair| pair == b" [")
        {
            self.shape = Shape::Feed;
        }
    }

    #[inline]
    pub(super) fn is_following(&self) -> bool {
        self.announced != 0
    }

    /// Whether the next element is the one that names what the array is.
    #[inline]
    pub(super) fn awaits_name(&self) -> bool {
        self.announced != 0 && self.seen == 0
    }

    pub(super) fn element(&mut self, element: Element<'_>) {
        if self.announced == 0 {
            return;
        }
        let fits = match (self.seen, element) {
            (0, Element::Text(name)) => {
                self.shape = shape(name, self.announced);
                self.shape != Shape::Other
            }
            (1, Element::Text(_) | Element::Null) => true,
            (2, Element::Number(remaining)) if matches!(self.shape, Shape::Confirmation(_)) => {
                self.remaining = u32::try_from(remaining).unwrap_or(0);
                true
            }
            (2 | 3, Element::Text(_)) => self.shape == Shape::Message,
            _ => false,
        };
        self.seen = self.seen.saturating_add(1);
        if !fits {
            *self = Self::default();
        }
    }
}

fn shape(name: &[u8], announced: u8) -> Shape {
    match (announced, name) {
        (3, b"message" | b"smessage") | (4, b"pmessage") => Shape::Message,
        (3, name) => confirmation(name).map_or(Shape::Other, Shape::Confirmation),
        _ => Shape::Other,
    }
}

/// Confirmations carry the command's name in lower case.
fn confirmation(name: &[u8]) -> Option<Subscription> {
    match commands::lookup(name).role {
        Role::Subscription(subscription) if name.iter().all(u8::is_ascii_lowercase) => {
            Some(subscription)
        }
        _ => None,
    }
}
