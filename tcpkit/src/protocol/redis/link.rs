//! What a connection has been told to do, and which response answers which special command.
//!
//! Ordinary commands are only counted. The few whose responses are unlike others (subscriptions,
//! `MONITOR`, `SYNC`, …) wait in a short queue, each with its number among the requests.

use std::collections::VecDeque;

use super::commands::{Kind, Role, Subscription};
use crate::protocol::Correlation;

/// How many special commands may wait for their responses at once. A client that has more under
/// way is given up on rather than paired wrongly.
const MAX_AWAITED: usize = 512;

/// What a connection has been told to do.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// Requests that will be answered, since the last resync.
    requests: u32,
    /// Responses to those.
    replies: u32,
    silence: Silence,
    /// `MULTI` was seen and its end not yet.
    in_multi: bool,
    /// A subscribe command waits inside `MULTI`.
    multi_subscribes: bool,
    /// How many elements more than announced `EXEC`'s array will have, since each subscribe
    /// command counts as one but confirms every channel.
    multi_extra: u32,
    monitor: bool,
    /// RESP2 messages are expected: at least one subscription was confirmed by an array.
    subscribed: bool,
    /// The subscriptions were not seen but concluded from messages.
    guessed: bool,
    /// `REPLCONF ACK` was seen: commands arrive as if they were responses.
    replica: bool,
    replication: bool,
    specials: Option<Box<Specials>>,
}

/// Which requests get no response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Silence {
    #[default]
    None,
    /// The next one.
    Next,
    /// All, until `CLIENT REPLY ON`.
    All,
}

/// What only connections with special commands need.
#[derive(Debug, Default)]
struct Specials {
    awaited: VecDeque<Awaited>,
    /// Confirmations still to come for the command whose first one was its response.
    extra: Option<(Subscription, u32)>,
    channels: u32,
    patterns: u32,
    shards: u32,
}

/// A special command that waits for its response.
#[derive(Clone, Copy, Debug)]
struct Awaited {
    /// Its number among the requests.
    number: u32,
    what: What,
    /// Channels of a subscribe command; further elements of an `EXEC`.
    count: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Subscription(Subscription),
    Monitor,
    Sync,
    Reset,
    Exec,
}

/// What a request does to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// What its command does.
    Of(Role),
    /// `CLIENT REPLY ON`, `OFF` or `SKIP`.
    Reply(ReplyMode),
    /// `REPLCONF ACK`.
    Ack,
}

/// The argument of `CLIENT REPLY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplyMode {
    /// Answer again.
    On,
    /// Answer nothing.
    Off,
    /// Do not answer the next command.
    Skip,
}

/// What is known of a complete reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    /// The type byte of its outermost element.
    pub(super) kind: u8,
    /// What it looks like, if it is a simple string or an array as pub/sub uses them.
    pub(super) shape: Shape,
    /// The number in a confirmation: how many subscriptions remain.
    pub(super) remaining: u32,
}

/// Replies that may be other than the response to the next request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shape {
    /// Anything else.
    #[default]
    Other,
    /// `message`, `pmessage` or `smessage`.
    Message,
    /// The confirmation of an (un)subscribe command.
    Confirmation(Subscription),
    /// A line of `MONITOR`'s feed.
    Feed,
}

impl Link {
    /// Whether everything in both directions is replication.
    pub(super) fn is_replication(&self) -> bool {
        self.replication
    }

    /// Whether the next reply may be other than the response to the next request, so that its
    /// beginning is worth a look.
    #[inline]
    pub(super) fn is_watchful(&self) -> bool {
        self.requests == self.replies || self.subscribed || self.monitor || self.specials.is_some()
    }

    /// Whether the next reply begins a replication stream without a line of its own (`SYNC`).
    pub(super) fn awaits_sync(&self) -> bool {
        self.turn().is_some_and(|awaited| awaited.what == What::Sync)
    }

    /// How many elements more than announced the array of the next response has.
    pub(super) fn further_elements(&self) -> u32 {
        self.turn().filter(|awaited| awaited.what == What::Exec).map_or(0, |awaited| awaited.count)
    }

    /// The special command that the next ordered reply answers.
    #[inline]
    fn turn(&self) -> Option<Awaited> {
        let next = self.specials.as_ref()?.awaited.front()?;
        (next.number == self.replies && self.requests != self.replies).then_some(*next)
    }

    /// Notes a request with `args` arguments behind the command. Says how it finds its response,
    /// or why that can no longer be told.
    #[inline]
    pub(super) fn request(
        &mut self,
        effect: Effect,
        args: u32,
    ) -> Result<Correlation, &'static str> {
        if effect == Effect::Of(Role::Ordinary) && self.silence == Silence::None && !self.guessed {
            self.requests = self.requests.wrapping_add(1);
            return Ok(Correlation::Ordered);
        }
        self.special_request(effect, args)
    }

    fn special_request(&mut self, effect: Effect, args: u32) -> Result<Correlation, &'static str> {
        let silent = self.silence != Silence::None;
        if self.silence == Silence::Next {
            self.silence = Silence::None;
        }
        if !matches!(effect, Effect::Of(Role::Subscription(_) | Role::Neutral | Role::Reset))
            && self.guessed
        {
            // A subscribed connection could not have sent this.
            (self.guessed, self.subscribed) = (false, false);
        }
        let what = match effect {
            Effect::Reply(mode) if self.in_multi => match mode {
                ReplyMode::On => None,
                // EXEC would break off in the middle of its own reply.
                ReplyMode::Off | ReplyMode::Skip => return Err("replies turned off inside MULTI"),
            },
            Effect::Reply(ReplyMode::On) => {
                self.silence = Silence::None;
                return Ok(self.ordered());
            }
            Effect::Reply(ReplyMode::Off) => {
                self.silence = Silence::All;
                return Ok(Correlation::OneWay);
            }
            Effect::Reply(ReplyMode::Skip) => {
                if self.silence == Silence::None {
                    self.silence = Silence::Next;
                }
                return Ok(Correlation::OneWay);
            }
            Effect::Ack => {
                self.replica = true;
                return Ok(Correlation::OneWay);
            }
            Effect::Of(role) => self.what(role, args),
        };
        let Some((what, count)) = what else {
            return Ok(if silent { Correlation::OneWay } else { self.ordered() });
        };
        // Confirmations are sent and RESET is answered whatever CLIENT REPLY said
        // (CLIENT_PUSHING in networking.c).
        if silent && !matches!(what, What::Subscription(_) | What::Reset) {
            return Ok(Correlation::OneWay);
        }
        let number = self.requests;
        let specials = self.specials.get_or_insert_default();
        if specials.awaited.len() >= MAX_AWAITED {
            return Err("too many special commands under way");
        }
        specials.awaited.push_back(Awaited { number, what, count });
        Ok(self.ordered())
    }

    fn ordered(&mut self) -> Correlation {
        self.requests = self.requests.wrapping_add(1);
        Correlation::Ordered
    }

    /// What response to wait for, if it is not an ordinary one.
    fn what(&mut self, role: Role, args: u32) -> Option<(What, u32)> {
        match role {
            Role::Multi => {
                self.in_multi = true;
                None
            }
            Role::Discard => {
                self.leave_multi();
                None
            }
            Role::Exec => {
                let (subscribes, extra) = (self.multi_subscribes, self.multi_extra);
                self.leave_multi();
                subscribes.then_some((What::Exec, extra))
            }
            Role::Reset => {
                self.leave_multi();
                self.silence = Silence::None;
                Some((What::Reset, 0))
            }
            // Inside MULTI these are queued, or refused, like any other command.
            Role::Subscription(_) if self.in_multi => {
                self.multi_subscribes = true;
                self.multi_extra = self.multi_extra.saturating_add(args.saturating_sub(1));
                None
            }
            Role::Monitor | Role::Sync if self.in_multi => None,
            Role::Subscription(subscription) => Some((What::Subscription(subscription), args)),
            Role::Monitor => Some((What::Monitor, 0)),
            Role::Sync => Some((What::Sync, 0)),
            Role::Ordinary | Role::Client | Role::Replconf | Role::Neutral => None,
        }
    }

    fn leave_multi(&mut self) {
        (self.in_multi, self.multi_subscribes, self.multi_extra) = (false, false, 0);
    }

    /// Notes a reply to a connection that is not watchful.
    #[inline]
    pub(super) fn ordinary_reply(&mut self) -> Correlation {
        self.replies = self.replies.wrapping_add(1);
        Correlation::Ordered
    }

    /// Notes a complete reply and says how it finds its request.
    #[inline]
    pub(super) fn reply(&mut self, reply: &Reply) -> Correlation {
        if self.requests != self.replies && self.specials.is_none() && reply.kind != b'>' {
            let unasked = match reply.shape {
                Shape::Other | Shape::Confirmation(_) => false,
                Shape::Message => self.subscribed,
                Shape::Feed => self.monitor,
            };
            if !unasked {
                self.replies = self.replies.wrapping_add(1);
                return Correlation::Ordered;
            }
        }
        self.special_reply(reply)
    }

    fn special_reply(&mut self, reply: &Reply) -> Correlation {
        let idle = self.requests == self.replies;
        let pushed = reply.kind == b'>';
        let turn = self.turn();
        match reply.shape {
            Shape::Confirmation(subscription) => {
                let answers =
                    turn.filter(|awaited| awaited.what == What::Subscription(subscription));
                if self.take_extra(subscription) {
                    self.note_confirmation(subscription, reply.remaining, pushed);
                    return Correlation::OneWay;
                }
                if let Some(awaited) = answers {
                    self.note_confirmation(subscription, reply.remaining, pushed);
                    self.expect_extra(subscription, awaited.count, reply.remaining);
                    return self.answered();
                }
                if pushed || self.subscribed {
                    // A shard's channels moved, or the command was not seen.
                    self.note_confirmation(subscription, reply.remaining, pushed);
                    return Correlation::OneWay;
                }
            }
            Shape::Message if !pushed && (self.subscribed || idle) => {
                self.guessed |= !self.subscribed;
                self.subscribed = true;
                return Correlation::OneWay;
            }
            Shape::Feed if self.monitor || idle => {
                self.monitor = true;
                return Correlation::OneWay;
            }
            Shape::Message | Shape::Feed | Shape::Other => {}
        }
        if pushed {
            return Correlation::OneWay;
        }
        if idle && self.replica && reply.kind == b'*' {
            return Correlation::OneWay;
        }
        if idle {
            // Somebody is answered after all, or a response to a request that was not seen.
            self.silence = Silence::None;
            return Correlation::Ordered;
        }
        if let Some(awaited) = turn
            && !matches!(reply.kind, b'-' | b'!')
        {
            match awaited.what {
                What::Monitor => self.monitor = true,
                What::Sync => self.replication = true,
                What::Reset => {
                    (self.monitor, self.subscribed, self.guessed) = (false, false, false);
                    if let Some(specials) = &mut self.specials {
                        (specials.channels, specials.patterns, specials.shards) = (0, 0, 0);
                    }
                }
                // What was subscribed to inside MULTI shows itself by its messages.
                What::Exec if reply.kind == b'*' => (self.subscribed, self.guessed) = (true, true),
                What::Exec | What::Subscription(_) => {}
            }
        }
        self.answered()
    }

    /// One more request has its response.
    fn answered(&mut self) -> Correlation {
        if self.turn().is_some()
            && let Some(specials) = &mut self.specials
        {
            specials.awaited.pop_front();
        }
        self.replies = self.replies.wrapping_add(1);
        self.forget_specials();
        Correlation::Ordered
    }

    /// Gives the memory back when nothing special is under way.
    fn forget_specials(&mut self) {
        if self.specials.as_ref().is_some_and(|specials| {
            specials.awaited.is_empty()
                && specials.extra.is_none()
                && (specials.channels, specials.patterns, specials.shards) == (0, 0, 0)
        }) {
            self.specials = None;
        }
    }

    /// Whether a confirmation is a further one of the command that was answered last.
    fn take_extra(&mut self, subscription: Subscription) -> bool {
        let Some(specials) = &mut self.specials else { return false };
        match &mut specials.extra {
            Some((expected, left)) if *expected == subscription => {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    specials.extra = None;
                }
                true
            }
            _ => false,
        }
    }

    /// A command for `channels` channels (0: all) got its first confirmation: how many follow?
    fn expect_extra(&mut self, subscription: Subscription, channels: u32, remaining: u32) {
        let Some(specials) = &mut self.specials else { return };
        let more = match (subscription.kind, channels) {
            // All of a kind are given up: those of the other kind are what will remain.
            (Kind::Channel, 0) => remaining.saturating_sub(specials.patterns),
            (Kind::Pattern, 0) => remaining.saturating_sub(specials.channels),
            (Kind::Shard, 0) => remaining,
            (_, channels) => channels.saturating_sub(1),
        };
        specials.extra = (more > 0).then_some((subscription, more));
    }

    /// Learns how many subscriptions there are. Those to channels and patterns are counted
    /// together (`clientSubscriptionsCount` in pubsub.c), those to shard channels apart.
    fn note_confirmation(&mut self, subscription: Subscription, remaining: u32, pushed: bool) {
        let specials = self.specials.get_or_insert_default();
        match subscription.kind {
            Kind::Channel => specials.channels = remaining.saturating_sub(specials.patterns),
            Kind::Pattern => specials.patterns = remaining.saturating_sub(specials.channels),
            Kind::Shard => specials.shards = remaining,
        }
        // RESP3 pushes what it has to say; its arrays are never messages.
        self.guessed = false;
        self.subscribed =
            !pushed && (specials.channels, specials.patterns, specials.shards) != (0, 0, 0);
        self.forget_specials();
    }

    /// Forgets what was under way, keeps what the connection is.
    pub(super) fn resync(&mut self) {
        (self.requests, self.replies) = (0, 0);
        if self.silence == Silence::Next {
            self.silence = Silence::None;
        }
        self.leave_multi();
        if let Some(specials) = &mut self.specials {
            specials.awaited.clear();
            specials.extra = None;
        }
        self.forget_specials();
    }
}
