//! Kafka's types as clients and brokers write them, for tests: written apart from the reader.

/// Bytes of a message that is being made.
#[derive(Clone, Debug, Default)]
pub(super) struct Wire {
    pub(super) bytes: Vec<u8>,
    flexible: bool,
}

impl Wire {
    /// Without tagged fields.
    pub(super) fn plain() -> Self {
        Self::default()
    }

    /// With compact lengths and tagged fields.
    pub(super) fn flexible() -> Self {
        Self { flexible: true, ..Self::default() }
    }

    pub(super) fn i8(mut self, value: i8) -> Self {
        self.bytes.extend(value.to_be_bytes());
        self
    }

    pub(super) fn i16(mut self, value: i16) -> Self {
        self.bytes.extend(value.to_be_bytes());
        self
    }

    pub(super) fn i32(mut self, value: i32) -> Self {
        self.bytes.extend(value.to_be_bytes());
        self
    }

    pub(super) fn i64(mut self, value: i64) -> Self {
        self.bytes.extend(value.to_be_bytes());
        self
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    fn uvarint(mut self, mut value: usize) -> Self {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
        self
    }

    pub(super) fn string(self, text: &str) -> Self {
        let wire =
            if self.flexible { self.uvarint(text.len() + 1) } else { self.i16(text.len() as i16) };
        wire.raw(text.as_bytes())
    }

    pub(super) fn null_string(self) -> Self {
        if self.flexible { self.uvarint(0) } else { self.i16(-1) }
    }

    /// The count of an array's elements, or of bytes.
    pub(super) fn count(self, count: usize) -> Self {
        if self.flexible { self.uvarint(count + 1) } else { self.i32(count as i32) }
    }

    pub(super) fn null_array(self) -> Self {
        if self.flexible { self.uvarint(0) } else { self.i32(-1) }
    }

    /// The end of a structure: no tagged fields, where there could be.
    pub(super) fn end(mut self) -> Self {
        if self.flexible {
            self.bytes.push(0);
        }
        self
    }
}

/// A request whose header has tagged fields.
pub(super) fn flexible_request(
    key: i16,
    version: i16,
    id: u32,
    client: &str,
    body: &[u8],
) -> Vec<u8> {
    request(key, version, id, Some(client), &[&[0], body].concat())
}

/// A request with the header of version 1, and what stands behind it.
pub(super) fn request(
    key: i16,
    version: i16,
    id: u32,
    client: Option<&str>,
    body: &[u8],
) -> Vec<u8> {
    let header = Wire::plain().i16(key).i16(version).raw(&id.to_be_bytes());
    let header = match client {
        Some(client) => header.string(client),
        None => header.null_string(),
    };
    sized(&[&header.bytes, body].concat())
}

/// A response with the header of version 0, and what stands behind it.
pub(super) fn response(id: u32, body: &[u8]) -> Vec<u8> {
    sized(&[&id.to_be_bytes(), body].concat())
}

/// A message behind its size.
pub(super) fn sized(message: &[u8]) -> Vec<u8> {
    [&(message.len() as i32).to_be_bytes(), message].concat()
}
