//! What header fields say of a body's length, and which of them counts (RFC 9112 §6).

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// There is none.
    None,
    /// After so many bytes.
    Length(u64),
    /// Where its chunks say.
    Chunks,
    /// Where the connection ends.
    Connection,
}

/// What `Content-Length` and `Transfer-Encoding` of one head say, in the order in which they come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Framing {
    length: Length,
    coding: Coding,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Length {
    #[default]
    None,
    Is(u64),
    /// It is no number, or several that differ.
    Broken,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Coding {
    #[default]
    None,
    /// `chunked`, and it is the last.
    Chunked,
    /// Another one is the last.
    Other,
    /// Something stands where it must not.
    Broken,
}

impl Framing {
    /// Takes a `Content-Length`, which may be a list of the same number (RFC 9110 §8.6).
    pub(super) fn content_length(&mut self, value: &[u8]) {
        for element in value.split(|&byte| byte == b',') {
            self.length = match (self.length, number(element.trim_ascii())) {
                (Length::None, Some(length)) => Length::Is(length),
                (Length::Is(known), Some(length)) if known == length => Length::Is(known),
                _ => Length::Broken,
            };
        }
    }

    /// Takes a `Transfer-Encoding`. Nothing may be applied after `chunked`; `identity`, which RFC 2616
    /// knew, means different things to different programs.
    pub(super) fn transfer_encoding(&mut self, value: &[u8]) {
        for element in value.split(|&byte| byte == b',') {
            let element = element.trim_ascii();
            self.coding = match self.coding {
                // A list may have empty elements (RFC 9110 §5.6.1).
                coding if element.is_empty() => coding,
                Coding::None | Coding::Other if element.eq_ignore_ascii_case(b"chunked") => {
                    Coding::Chunked
                }
                Coding::None | Coding::Other if !element.eq_ignore_ascii_case(b"identity") => {
                    Coding::Other
                }
                _ => Coding::Broken,
            };
        }
        if self.coding == Coding::None {
            self.coding = Coding::Broken;
        }
    }

    /// Where a request's body ends; `version` is HTTP's minor one.
    pub(super) fn of_request(&self, version: u8) -> Result<Extent, &'static str> {
        match self.extent(version)? {
            Extent::Connection => Err("a request's last transfer coding is not chunked"),
            extent => Ok(extent),
        }
    }

    /// Where the body of a response ends that may have one.
    pub(super) fn of_response(&self, version: u8) -> Result<Extent, &'static str> {
        match self.extent(version)? {
            Extent::None => Ok(Extent::Connection),
            Extent::Length(0) => Ok(Extent::None),
            extent => Ok(extent),
        }
    }

    fn extent(&self, version: u8) -> Result<Extent, &'static str> {
        match self.coding {
            Coding::Broken => Err("bad transfer codings"),
            // RFC 9112 §6.1: such a message is to be treated as if its framing were faulty.
            Coding::Chunked | Coding::Other if version == 0 => Err("a transfer coding in HTTP/1.0"),
            Coding::Chunked => Ok(Extent::Chunks),
            Coding::Other => Ok(Extent::Connection),
            Coding::None => match self.length {
                Length::None => Ok(Extent::None),
                Length::Is(length) => Ok(Extent::Length(length)),
                Length::Broken => Err("bad content length"),
            },
        }
    }

    /// What somebody should know who looks for requests that are read differently on their way: a length
    /// beside a transfer coding does not count, but for some it does (RFC 9112 §11.2).
    pub(super) fn warning(&self) -> Option<&'static str> {
        (self.coding != Coding::None && self.length != Length::None)
            .then_some("content-length beside transfer-encoding")
    }
}

/// Digits and nothing else.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, &digit| {
        let digit = digit.is_ascii_digit().then(|| digit.wrapping_sub(b'0'))?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The extents as a request and as a response, of fields in a notation of their own: `l:` is a
    /// length, `t:` a transfer coding.
    fn check(fields: &[&str], request: Option<Extent>, response: Option<Extent>) {
        let mut framing = Framing::default();
        for field in fields {
            match field.split_at(2) {
                ("l:", value) => framing.content_length(value.as_bytes()),
                (_, value) => framing.transfer_encoding(value.as_bytes()),
            }
        }
        assert_eq!(framing.of_request(1).ok(), request, "{fields:?}");
        assert_eq!(framing.of_response(1).ok(), response, "{fields:?}");
    }

    #[test]
    fn a_length_has_to_be_one_number() {
        let five = Some(Extent::Length(5));
        check(&[], Some(Extent::None), Some(Extent::Connection));
        check(&["l:0"], Some(Extent::Length(0)), Some(Extent::None));
        for same in [&["l:5"][..], &["l:5", "l:5"], &["l:5, 5"], &["l:005"], &["l: 5 "]] {
            check(same, five, five);
        }
        check(
            &["l:18446744073709551615"],
            Some(Extent::Length(u64::MAX)),
            Some(Extent::Length(u64::MAX)),
        );
        for broken in [
            &["l:5", "l:6"][..],
            &["l:5,6"],
            &["l:"],
            &["l:,5"],
            &["l:+5"],
            &["l:-1"],
            &["l:0x5"],
            &["l:5 5"],
            &["l:5;"],
            &["l:18446744073709551616"],
        ] {
            check(broken, None, None);
        }
    }

    #[test]
    fn chunked_has_to_be_the_last_coding() {
        let chunks = Some(Extent::Chunks);
        for chunked in
            [&["t:chunked"][..], &["t:gzip, Chunked"], &["t:gzip", "t:chunked"], &["t:,chunked,"]]
        {
            check(chunked, chunks, chunks);
        }
        check(&["t:gzip"], None, Some(Extent::Connection));
        check(&["t:xchunked"], None, Some(Extent::Connection));
        for broken in [
            &["t:chunked, gzip"][..],
            &["t:chunked", "t:chunked"],
            &["t:"],
            &["t:identity"],
            &["t:chunked, identity"],
        ] {
            check(broken, None, None);
        }
    }

    #[test]
    fn a_transfer_coding_overrides_a_length_and_that_is_told() {
        check(&["l:5", "t:chunked"], Some(Extent::Chunks), Some(Extent::Chunks));
        check(&["l:5,6", "t:chunked"], Some(Extent::Chunks), Some(Extent::Chunks));
        let mut framing = Framing::default();
        framing.transfer_encoding(b"chunked");
        assert_eq!(framing.warning(), None);
        framing.content_length(b"5");
        assert!(framing.warning().is_some());
    }

    #[test]
    fn http_1_0_has_no_transfer_codings() {
        let mut framing = Framing::default();
        framing.transfer_encoding(b"chunked");
        assert!(framing.of_request(0).is_err() && framing.of_response(0).is_err());
    }
}
