//! Requests and responses as messages, and what one says of the other.

use std::ops::RangeInclusive;

use super::{
    Head,
    apis::{self, Api, key},
    errors, fields as field,
    header::{self, Header, MAX_REQUEST, MIN_REQUEST, MIN_RESPONSE, Parsed},
    open::{Asked, Kind, Open},
    reader::Reader,
    requests, responses,
    saying::{self, Saying},
};
use crate::protocol::{
    Correlation, Direction, Message, Part, Scratch, Status, Step, scratch::Draft,
};

/// So many requests of which it is not known whether they are answered may wait for it.
const MAX_UNCERTAIN: usize = 16;

/// What is known of a connection's calls.
#[derive(Debug, Default)]
pub(super) struct Calls {
    open: Open,
    /// What follows from a client in the old SASL exchange has no header, until a header comes.
    is_old_sasl: bool,
    /// The server's answers to that may be under way.
    has_tokens: bool,
    /// Two requests had the same number at a time, so numbers tell nothing.
    is_ambiguous: bool,
    /// What is known of requests whose `acks` were cut off.
    producing: Producing,
}

/// Whether the producer on this connection waits for responses; it always does or never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Producing {
    #[default]
    Unknown,
    Answered,
    Unanswered,
}

/// A message about which all is known.
#[derive(Debug)]
pub(super) struct Done {
    correlation: Correlation,
    status: Status,
    /// What there is to say, if anything.
    draft: Option<Box<Draft>>,
}

impl Done {
    /// A message that says nothing and has no counterpart that could be known.
    fn one_way() -> Self {
        Self::bare(Correlation::OneWay, Status::Ok)
    }

    fn bare(correlation: Correlation, status: Status) -> Self {
        Self { correlation, status, draft: None }
    }

    /// Hands the message over with the last `len` of its bytes.
    #[inline]
    pub(super) fn into_step(self, len: usize, scratch: &mut Scratch) -> Step<'_> {
        let Self { correlation, status, draft } = self;
        let message = match draft {
            Some(draft) => scratch.finish(draft, correlation, status),
            None => Message { status, ..Message::bare(correlation, Part::Whole) },
        };
        Step::Consumed { len, message: Some(message) }
    }
}

impl Calls {
    /// The requests that are under way, where their numbers tell which is which.
    pub(super) fn open(&self) -> &Open {
        &self.open
    }

    /// The sizes that messages can have.
    pub(super) fn sizes(&self, direction: Direction) -> RangeInclusive<i32> {
        match direction {
            Direction::Request if self.is_old_sasl => 0..=MAX_REQUEST,
            Direction::Request => MIN_REQUEST..=MAX_REQUEST,
            Direction::Response if self.has_tokens => 0..=i32::MAX,
            Direction::Response => MIN_RESPONSE..=i32::MAX,
        }
    }

    /// A direction cannot be read on.
    pub(super) fn lose(&mut self, direction: Direction) {
        if direction == Direction::Response {
            // What was lost may be any of the responses that were waited for.
            self.open.clear();
            self.has_tokens = false;
        }
    }

    /// A direction is read again, from the beginning of a message with a header.
    pub(super) fn rejoin(&mut self, direction: Direction) {
        if direction == Direction::Request {
            self.is_old_sasl = false;
        }
    }

    pub(super) fn request(
        &mut self,
        head: Head<'_>,
        scratch: &mut Scratch,
    ) -> Result<Done, &'static str> {
        if self.is_old_sasl {
            if !super::rejoin::is_request(head) {
                return self.token(head);
            }
            self.is_old_sasl = false;
        }
        match header::parse(head.bytes) {
            Parsed::Whole(header, body) => Ok(self.call(&header, Some(body), scratch)),
            Parsed::Fixed(_) if head.is_whole => {
                Err("a client's name that goes beyond its request")
            }
            Parsed::Named(header) | Parsed::Fixed(header) => Ok(self.call(&header, None, scratch)),
            Parsed::Short => Ok(Done::one_way()),
            Parsed::Broken => Err("a header that no request has"),
        }
    }

    /// A token of the old SASL exchange: the client's part of a secret.
    fn token(&mut self, head: Head<'_>) -> Result<Done, &'static str> {
        if !head.is_whole && head.bytes.is_empty() {
            return Err("a token that was not seen");
        }
        self.has_tokens = true;
        let token = Asked { id: 0, key: -1, version: 0, kind: Kind::Token };
        if self.open.push(token) { Ok(Done::one_way()) } else { Err("too many tokens") }
    }

    fn call(
        &mut self,
        header: &Header<'_>,
        body: Option<Reader<'_>>,
        scratch: &mut Scratch,
    ) -> Done {
        let api = apis::lookup(header.key);
        let known = api.is_some_and(|api| header.version <= api.highest);
        let mut draft = scratch.draft();
        name(header, api, known, &mut draft);
        let mut asked = requests::Asked::default();
        if let Some(mut body) = body.filter(|_| known) {
            let mut saying = Saying::new(&mut draft);
            asked = requests::describe(header, &mut body, &mut saying);
            saying.finish();
        }
        // Version 1 of it announces tokens that have a header, `SaslAuthenticate`.
        if (header.key, header.version) == (key::SASL_HANDSHAKE, 0) {
            self.is_old_sasl = true;
        }
        let correlation = self.expect(header, asked.acks);
        Done { correlation, status: Status::Ok, draft: Some(draft) }
    }

    /// How a request will find its response, which is waited for from now on.
    fn expect(&mut self, header: &Header<'_>, acks: Option<i16>) -> Correlation {
        let is_uncertain = header.key == key::PRODUCE && acks.is_none();
        if self.is_ambiguous || acks == Some(0) || (is_uncertain && !self.may_be_answered()) {
            return Correlation::OneWay;
        }
        if self.open.contains(header.id) {
            self.is_ambiguous = true;
            self.open.clear();
            return Correlation::OneWay;
        }
        let asked = Asked {
            id: header.id,
            key: header.key,
            version: u8::try_from(header.version).unwrap_or(u8::MAX),
            kind: if is_uncertain { Kind::Uncertain } else { Kind::Ordinary },
        };
        if self.open.push(asked) {
            Correlation::Id(u64::from(header.id))
        } else {
            Correlation::OneWay
        }
    }

    /// Whether to wait for a response to what a producer sent, when it is not known whether there will be
    /// one.
    fn may_be_answered(&self) -> bool {
        match self.producing {
            Producing::Unknown => self.open.uncertain() < MAX_UNCERTAIN,
            Producing::Answered => true,
            Producing::Unanswered => false,
        }
    }

    /// Whether a response that begins with these bytes, if they are a number, answers a token.
    fn answers_token(&mut self, id: Option<u32>) -> bool {
        let is_call = id.is_some_and(|id| self.open.contains(id));
        let answers = !is_call && self.open.take_token();
        // A call is answered after the tokens before it; the last of those is not always.
        if is_call && self.open.first_is_token() {
            self.open.drop_tokens();
        }
        self.has_tokens = self.is_old_sasl || self.open.has_token();
        answers
    }

    pub(super) fn response(
        &mut self,
        head: Head<'_>,
        scratch: &mut Scratch,
    ) -> Result<Done, &'static str> {
        let mut reader = Reader::new(head.bytes, false);
        let id = reader.u32();
        if self.is_ambiguous {
            return Ok(Done::one_way());
        }
        if self.has_tokens && self.answers_token(id) {
            return Ok(Done::one_way());
        }
        let Some(id) = id else { return Ok(Done::one_way()) };
        let correlation = Correlation::Id(u64::from(id));
        let Some(found) = self.open.take(id) else {
            return Ok(Done::bare(correlation, Status::Unknown));
        };
        if found.passed_uncertain {
            self.producing = Producing::Unanswered;
        } else if found.asked.kind == Kind::Uncertain {
            self.producing = Producing::Answered;
        }
        let answered = read_body(&found.asked, reader);
        // Of a fetch the records are not waited for.
        let is_hidden = head.is_hidden || head.is_whole || found.asked.key != key::FETCH;
        let is_known = !(answered.is_unread || answered.strange || answered.is_cut && is_hidden);
        Ok(report(correlation, &answered, is_known, scratch))
    }
}

/// Reads what follows the number of a response to `asked`.
pub(super) fn read_body(asked: &Asked, reader: Reader<'_>) -> responses::Answered {
    let version = i16::from(asked.version);
    let Some(api) = apis::lookup(asked.key).filter(|api| version <= api.highest) else {
        return responses::Answered { is_unread: true, ..Default::default() };
    };
    let mut body = reader.flexible(version >= api.flexible);
    // Its header stays as it was, so that clients can read it whatever the broker's version (KIP-511).
    if asked.key != key::API_VERSIONS && body.tags().is_none() {
        return responses::Answered {
            is_cut: true,
            strange: body.is_broken(),
            ..Default::default()
        };
    }
    let mut answered = responses::read(api, asked.key, version, &mut body);
    answered.strange |= body.is_broken();
    answered
}

/// The response, of which `is_known` says whether everything was seen that may be an error.
fn report(
    correlation: Correlation,
    answered: &responses::Answered,
    is_known: bool,
    scratch: &mut Scratch,
) -> Done {
    let throttle = answered.throttle.filter(|throttle| *throttle > 0);
    let mut status = if is_known { Status::Ok } else { Status::Unknown };
    if answered.error == errors::NONE && throttle.is_none() {
        return Done::bare(correlation, status);
    }
    let mut draft = scratch.draft();
    if answered.error != errors::NONE {
        status = Status::Error;
        match errors::name(answered.error) {
            Some(name) => draft.text.push_str(name),
            None => {
                draft.text.push_str("error ");
                draft.text.push_number(i64::from(answered.error));
            }
        }
        let Draft { text, fields, .. } = draft.as_mut();
        fields.text(field::ERROR, text.as_str());
        fields.int(field::ERROR_CODE, i64::from(answered.error));
    }
    if let Some(throttle) = throttle {
        draft.fields.int(field::THROTTLE_MS, i64::from(throttle));
    }
    Done { correlation, status, draft: Some(draft) }
}

/// What is called: the beginning of the text, the operation, and what the header says.
fn name(header: &Header<'_>, api: Option<&'static Api>, known: bool, draft: &mut Draft) {
    let Draft { operation, text, fields } = draft;
    match api {
        Some(api) => operation.push_str(api.name),
        None => {
            operation.push_str("ApiKey(");
            operation.push_number(i64::from(header.key));
            operation.push_str(")");
        }
    }
    text.push_str(operation.as_str());
    if !known {
        text.push_str(" v");
        text.push_number(i64::from(header.version));
    }
    if fields.wanted() {
        fields.text(field::API, operation.as_str());
        fields.int(field::API_KEY, i64::from(header.key));
        fields.int(field::VERSION, i64::from(header.version));
        saying::push_field(fields, field::CLIENT_ID, header.client);
        fields.int(field::CORRELATION_ID, i64::from(header.id));
    }
}
