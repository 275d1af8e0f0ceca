//! Working memory that all decoders share, so that a connection at rest owns none.

use super::{
    Correlation, Message, Part, SecretNames, Status, fields::FieldWriter, text::Text, words::Words,
};

/// How much of a message decoders write down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeOptions {
    /// The most bytes of a request's text.
    pub max_text: usize,
    /// Whether anybody reads [`Message::fields`].
    pub fields: bool,
    /// Parameters whose values are not shown.
    pub secrets: SecretNames,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { max_text: 128, fields: true, secrets: SecretNames::default() }
    }
}

/// A message being put together.
#[derive(Debug, Default)]
pub struct Draft {
    /// See [`Message::operation`].
    pub operation: Text,
    /// See [`Message::text`].
    pub text: Text,
    /// See [`Message::fields`].
    pub fields: FieldWriter,
}

impl Draft {
    /// Empties the draft and sets its bounds.
    fn reset(&mut self, options: &DecodeOptions) {
        self.operation.reset(MAX_OPERATION);
        self.text.reset(options.max_text);
        self.fields.reset(options.fields);
    }
}

/// The longest operation name, in bytes.
pub const MAX_OPERATION: usize = 48;

/// The most bytes of [`Scratch::take_bytes`] that are kept for reuse.
const SPARE_BYTES: usize = 256 * 1024;

/// How many drafts are kept for reuse; more are in use only while messages are split over packets.
const SPARE_DRAFTS: usize = 64;

/// The decoders' shared working memory: one per engine.
#[derive(Debug, Default)]
pub struct Scratch {
    options: DecodeOptions,
    #[expect(clippy::vec_box, reason = "decoders hold boxes; moving one here copies a pointer")]
    spare: Vec<Box<Draft>>,
    finished: Option<Box<Draft>>,
    words: Words,
    bytes: Vec<u8>,
}

impl Scratch {
    /// Working memory for decoders that write down as much as `options` says.
    #[must_use]
    pub fn new(options: DecodeOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// How much decoders are to write down.
    #[inline]
    #[must_use]
    pub fn options(&self) -> &DecodeOptions {
        &self.options
    }

    /// An empty draft, for a decoder to keep until the message is complete.
    #[must_use]
    pub fn draft(&mut self) -> Box<Draft> {
        let mut draft = self.finished.take().or_else(|| self.spare.pop()).unwrap_or_default();
        draft.reset(&self.options);
        draft
    }

    /// Takes back a draft that came to nothing.
    pub fn discard(&mut self, draft: Box<Draft>) {
        if self.spare.len() < SPARE_DRAFTS {
            self.spare.push(draft);
        }
    }

    /// The message that `draft` says.
    pub fn finish(
        &mut self,
        draft: Box<Draft>,
        correlation: Correlation,
        status: Status,
    ) -> Message<'_> {
        if let Some(old) = self.finished.take() {
            self.discard(old);
        }
        let draft = self.finished.insert(draft);
        Message {
            status,
            operation: draft.operation.as_str(),
            text: draft.text.as_str(),
            fields: draft.fields.bytes(),
            ..Message::bare(correlation, Part::Whole)
        }
    }

    /// Bytes to work with during one step, for [`Self::give_bytes`] afterwards.
    #[must_use]
    pub fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Takes back what [`Self::take_bytes`] gave.
    pub fn give_bytes(&mut self, bytes: Vec<u8>) {
        if bytes.capacity() <= SPARE_BYTES {
            self.bytes = bytes;
        }
    }

    /// For the text of a message that is short and comes whole.
    #[inline]
    pub fn words(&mut self) -> &mut Words {
        &mut self.words
    }

    /// The request whose text is [`Self::words`].
    #[inline]
    #[must_use]
    pub fn of_words(&self, correlation: Correlation, operation: &'static str) -> Message<'_> {
        let text = self.words.as_str();
        Message { operation, text, ..Message::bare(correlation, Part::Whole) }
    }

    /// A message that carries nothing but its status.
    #[inline]
    #[must_use]
    pub fn bare(&self, correlation: Correlation, status: Status) -> Message<'_> {
        Message { status, ..Message::bare(correlation, Part::Whole) }
    }
}
