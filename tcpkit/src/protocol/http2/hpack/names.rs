//! Which header fields are of interest, and the fields that HPACK knows from the start.

/// A header field's name, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::protocol::http2) enum Name {
    Method,
    Scheme,
    Authority,
    Path,
    Status,
    ContentType,
    UserAgent,
    Host,
    GrpcStatus,
    GrpcMessage,
    GrpcTimeout,
    GrpcEncoding,
    /// Of its value only the scheme is kept (RFC 9110 §11.6.2).
    Authorization,
    /// Its value is of no interest: it stands in final responses only.
    ContentLength,
    /// Likewise.
    Date,
    /// A name that nobody asks for.
    Other,
    /// It was said before anybody listened.
    Unknown,
}

/// How many names are of interest.
pub(super) const INTERESTING: usize = Name::Other as usize;

/// The names that are not in [`STATIC`], or may be written out although they are.
const WRITTEN: [(&[u8], Name); INTERESTING] = [
    (b":method", Name::Method),
    (b":scheme", Name::Scheme),
    (b":authority", Name::Authority),
    (b":path", Name::Path),
    (b":status", Name::Status),
    (b"content-type", Name::ContentType),
    (b"user-agent", Name::UserAgent),
    (b"host", Name::Host),
    (b"grpc-status", Name::GrpcStatus),
    (b"grpc-message", Name::GrpcMessage),
    (b"grpc-timeout", Name::GrpcTimeout),
    (b"grpc-encoding", Name::GrpcEncoding),
    (b"authorization", Name::Authorization),
    (b"content-length", Name::ContentLength),
    (b"date", Name::Date),
];

/// The longest of those, in bytes.
pub(super) const LONGEST: usize = 14;

impl Name {
    /// The name that is written like this.
    pub(super) fn of(written: &[u8]) -> Self {
        WRITTEN.iter().find(|(name, _)| *name == written).map_or(Self::Other, |(_, name)| *name)
    }

    /// Whether somebody asks for the value.
    pub(super) fn has_value(self) -> bool {
        (self as usize) <= Self::Authorization as usize
    }
}

/// A field that is known from the start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: Name,
    /// The name's length in bytes.
    pub(super) name_len: u32,
    pub(super) value: &'static [u8],
}

/// RFC 7541 Appendix A: names and values, from index 1 on.
#[rustfmt::skip]
const TEXTS: [(&[u8], &[u8]); 61] = [
    (b":authority", b""), (b":method", b"GET"), (b":method", b"POST"), (b":path", b"/"),
    (b":path", b"/index.html"), (b":scheme", b"http"), (b":scheme", b"https"),
    (b":status", b"200"), (b":status", b"204"), (b":status", b"206"), (b":status", b"304"),
    (b":status", b"400"), (b":status", b"404"), (b":status", b"500"), (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"), (b"accept-language", b""), (b"accept-ranges", b""),
    (b"accept", b""), (b"access-control-allow-origin", b""), (b"age", b""), (b"allow", b""),
    (b"authorization", b""), (b"cache-control", b""), (b"content-disposition", b""),
    (b"content-encoding", b""), (b"content-language", b""), (b"content-length", b""),
    (b"content-location", b""), (b"content-range", b""), (b"content-type", b""), (b"cookie", b""),
    (b"date", b""), (b"etag", b""), (b"expect", b""), (b"expires", b""), (b"from", b""),
    (b"host", b""), (b"if-match", b""), (b"if-modified-since", b""), (b"if-none-match", b""),
    (b"if-range", b""), (b"if-unmodified-since", b""), (b"last-modified", b""), (b"link", b""),
    (b"location", b""), (b"max-forwards", b""), (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""), (b"range", b""), (b"referer", b""), (b"refresh", b""),
    (b"retry-after", b""), (b"server", b""), (b"set-cookie", b""),
    (b"strict-transport-security", b""), (b"transfer-encoding", b""), (b"user-agent", b""),
    (b"vary", b""), (b"via", b""), (b"www-authenticate", b""),
];

/// The same with names as far as they matter.
static STATIC: [Field; TEXTS.len()] = build();

/// How many fields are known from the start.
pub(super) const STATIC_LEN: usize = TEXTS.len();

#[expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "it is computed by the compiler, which refuses what overflows"
)]
const fn build() -> [Field; TEXTS.len()] {
    let mut fields = [Field { name: Name::Other, name_len: 0, value: b"" }; TEXTS.len()];
    let mut at = 0;
    while at < TEXTS.len() {
        let (text, value) = TEXTS[at];
        let mut known = 0;
        while known < WRITTEN.len() {
            if equal(text, WRITTEN[known].0) {
                fields[at].name = WRITTEN[known].1;
            }
            known += 1;
        }
        fields[at].name_len = text.len() as u32;
        fields[at].value = value;
        at += 1;
    }
    fields
}

#[expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "it is computed by the compiler, which refuses what overflows"
)]
const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// The static field with this index, counted from 1.
#[inline]
pub(super) fn static_field(index: usize) -> Option<&'static Field> {
    STATIC.get(index.checked_sub(1)?)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A static field as it is written.
    #[expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
    pub(in crate::protocol::http2::hpack) fn text(index: usize) -> (&'static str, &'static str) {
        let (name, value) = TEXTS[index - 1];
        (std::str::from_utf8(name).unwrap(), std::str::from_utf8(value).unwrap())
    }

    #[test]
    fn names_are_found_in_the_static_table_and_written_out() {
        for (at, (text, _)) in TEXTS.iter().enumerate() {
            assert_eq!(static_field(at.wrapping_add(1)).unwrap().name, Name::of(text));
        }
        for (at, (text, name)) in WRITTEN.iter().enumerate() {
            assert_eq!((*name as usize, Name::of(text)), (at, *name));
            assert!(text.len() <= LONGEST);
        }
        assert!(static_field(0).is_none() && static_field(62).is_none());
        assert_eq!(static_field(58).unwrap().name, Name::UserAgent);
        assert_eq!(static_field(61).unwrap().name_len, 16);
    }
}
