//! Targets of requests (RFC 3986, RFC 9112 §3.2) as they may be shown: without user, password and secret
//! parameters.

use super::{SecretNames, secrets::REDACTED, text::Text};

/// The longest name of a parameter that is decoded to see whether it announces a secret, in bytes.
const MAX_NAME: usize = 128;

/// The parts of a target; all of them together are the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// `http://`, of a request to a proxy.
    pub scheme: &'a [u8],
    /// Host and port, with `user:password@` in front of them where that is there.
    pub authority: &'a [u8],
    /// Without the query.
    pub path: &'a [u8],
    /// With the `?`.
    pub query: &'a [u8],
}

impl<'a> Target<'a> {
    /// The parts of a target in origin form, absolute form, authority form or `*`.
    #[inline]
    pub fn new(target: &'a [u8]) -> Self {
        let query_at = memchr::memchr(b'?', target).unwrap_or(target.len());
        let (front, query) = target.split_at_checked(query_at).unwrap_or((target, &[]));
        if matches!(front, [] | [b'/', ..] | [b'*']) {
            return Self { scheme: &[], authority: &[], path: front, query };
        }
        let (scheme, behind) = front.split_at_checked(scheme_len(front)).unwrap_or((&[], front));
        let path_at = memchr::memchr(b'/', behind).unwrap_or(behind.len());
        let (authority, path) = behind.split_at_checked(path_at).unwrap_or((behind, &[]));
        Self { scheme, authority, path, query }
    }

    /// Appends the target.
    #[inline]
    pub fn push(&self, text: &mut Text, secrets: &SecretNames) {
        text.push_bytes(self.scheme);
        push_authority(text, self.authority);
        self.push_path(text, secrets);
        if let Some(query) = self.query.get(1..) {
            text.push_str("?");
            push_query(text, query, secrets);
        }
    }

    /// Appends the path. It may have parameters of its own, such as `/cart;session=7`.
    #[inline]
    pub fn push_path(&self, text: &mut Text, secrets: &SecretNames) {
        if memchr::memchr(b';', self.path).is_none() {
            text.push_bytes(self.path);
            return;
        }
        push_parameters(text, self.path, PATH, secrets);
    }

    /// Appends what stands behind the `?`.
    pub fn push_query(&self, text: &mut Text, secrets: &SecretNames) {
        push_query(text, self.query.get(1..).unwrap_or_default(), secrets);
    }
}

/// The length of `http://`; 0 if there is no scheme, as in `host:port`.
fn scheme_len(target: &[u8]) -> usize {
    let end = target
        .iter()
        .position(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'+' | b'-' | b'.'))
        .unwrap_or(0);
    match target.get(end..) {
        Some(behind) if end > 0 && behind.starts_with(b"://") => end.saturating_add(3),
        _ => 0,
    }
}

/// Parts user and password from an authority: they end at its last `@`, as a password may have one.
pub fn split_userinfo(authority: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memrchr(b'@', authority).map_or(0, |at| at.saturating_add(1));
    authority.split_at_checked(end).unwrap_or((&[], authority))
}

/// Appends host and port; the user in front of them is nobody's business.
pub fn push_authority(text: &mut Text, authority: &[u8]) {
    let (userinfo, host) = split_userinfo(authority);
    if !userinfo.is_empty() {
        text.push_str(REDACTED);
        text.push_str("@");
    }
    text.push_bytes(host);
}

/// Where parameters begin, and where a secret one ends.
#[derive(Clone, Copy)]
struct Syntax {
    /// A parameter's name begins behind one of these.
    begins: [u8; 3],
    /// A secret ends before one of these.
    ends: [u8; 2],
}

/// A path's parameters, such as in `/cart;session=7/list`.
const PATH: Syntax = Syntax { begins: [b';', b'/', b'/'], ends: [b';', b'/'] };

/// A query's. One may begin behind `;` too, as HTML 4 recommended; but a secret reaches to the next `&`,
/// since `;` may be part of it.
const QUERY: Syntax = Syntax { begins: [b'&', b';', b'?'], ends: [b'&', b'&'] };

fn push_query(text: &mut Text, query: &[u8], secrets: &SecretNames) {
    push_parameters(text, query, QUERY, secrets);
}

/// Appends `name=value` parameters as they are, but for secret values.
fn push_parameters(text: &mut Text, mut rest: &[u8], syntax: Syntax, secrets: &SecretNames) {
    let Syntax { begins: [first, second, third], ends: [one_end, other_end] } = syntax;
    // How much of the rest is known to hold no secret, and where the last name behind that may begin.
    let mut seen = 0_usize;
    while let Some(behind) = rest.get(seen..)
        && let Some(name_end) = memchr::memchr(b'=', behind)
    {
        let before = behind.get(..name_end).unwrap_or_default();
        let name_at = memchr::memrchr3(first, second, third, before);
        let name = before.get(name_at.map_or(0, |at| at.saturating_add(1))..).unwrap_or_default();
        seen = seen.saturating_add(name_end).saturating_add(1);
        if !is_secret(name, secrets) {
            continue;
        }
        let (shown, value) = rest.split_at_checked(seen).unwrap_or((rest, &[]));
        text.push_bytes(shown);
        let value_len = memchr::memchr2(one_end, other_end, value).unwrap_or(value.len());
        if value_len > 0 {
            text.push_str(REDACTED);
        }
        rest = value.get(value_len..).unwrap_or_default();
        seen = 0;
    }
    text.push_bytes(rest);
}

/// Whether a parameter of this name is a secret, also where it is written as `us%65r[password]`.
fn is_secret(name: &[u8], secrets: &SecretNames) -> bool {
    if memchr::memchr3(b'%', b'[', b']', name).is_none() {
        return secrets.contains(name);
    }
    let mut plain = [0; MAX_NAME];
    let name = decode(name, &mut plain).unwrap_or(name);
    secrets.contains(name)
        || name.split(|byte| matches!(byte, b'[' | b']')).any(|part| secrets.contains(part))
}

/// A name without percent encoding; `None` when it is longer than any that counts.
fn decode<'p>(name: &[u8], plain: &'p mut [u8; MAX_NAME]) -> Option<&'p [u8]> {
    let mut len = 0_usize;
    for byte in percent_decoded(name) {
        *plain.get_mut(len)? = byte;
        len = len.saturating_add(1);
    }
    plain.get(..len)
}

/// The bytes with `%` and two hexadecimal digits replaced by what they stand for (RFC 3986 §2.1).
pub fn percent_decoded(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (&byte, behind) = rest.split_first()?;
        rest = behind;
        if byte == b'%'
            && let Some((&[high, low], behind)) = rest.split_first_chunk::<2>()
            && let (Some(high), Some(low)) = (digit(high), digit(low))
        {
            rest = behind;
            return Some(high << 4 | low);
        }
        Some(byte)
    })
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: &str, expect: &str) {
        let mut text = Text::default();
        text.reset(1000);
        Target::new(target.as_bytes()).push(&mut text, &SecretNames::default());
        assert_eq!(text.as_str(), expect, "{target}");
    }

    #[test]
    fn what_is_no_secret_stays_as_it_is() {
        for target in [
            "/",
            "*",
            "/a/b?c=d&e=f;g",
            "/?",
            "/?&&==&",
            "/a?b=c?d=e",
            "http://h/",
            "http://h:80/a?b",
            "http://h",
            "h:443",
            "/x;v=1/y;w",
            "/tokens?tokens=1&toke=2&token",
            "foo",
            "/?a[b]=1",
            "/http://x@y/",
            "/%zz%4?%6=1&%=2",
            "/a?b=%26token%3Dx",
            "?x=1",
        ] {
            check(target, target);
        }
    }

    #[test]
    fn secret_parameters_are_redacted() {
        check("/a?token=abc", "/a?token=(redacted)");
        check("/a?x=1&token=a;b=c?d&y=2", "/a?x=1&token=(redacted)&y=2");
        check("/a?x=1;token=a=b", "/a?x=1;token=(redacted)");
        check("/a?TOKEN=a&Api-Key=b", "/a?TOKEN=(redacted)&Api-Key=(redacted)");
        check("/a?%74oken=a&tok%65%6E=b", "/a?%74oken=(redacted)&tok%65%6E=(redacted)");
        check(
            "/a?user%5Bpassword%5D=a&token[]=b",
            "/a?user%5Bpassword%5D=(redacted)&token[]=(redacted)",
        );
        check("/a?token=&x=1", "/a?token=&x=1");
        check("/a?b?token=c", "/a?b?token=(redacted)");
        check("/a;session=7/b;v=2?x", "/a;session=(redacted)/b;v=2?x");
        check("http://h/?password=x", "http://h/?password=(redacted)");
    }

    #[test]
    fn user_and_password_are_never_shown() {
        check("http://u:p@h:80/a@b", "http://(redacted)@h:80/a@b");
        check("http://u:p@w@h/", "http://(redacted)@h/");
        check("u:p@h:443", "(redacted)@h:443");
        check("http://u@h?x", "http://(redacted)@h?x");
        check("http://u:p@", "http://(redacted)@");
        check("u:p@h/x://y", "(redacted)@h/x://y");
        check("http:///x", "http:///x");
    }

    #[test]
    fn users_are_redacted() {
        let authority = |authority: &str| {
            let mut text = Text::default();
            text.reset(128);
            push_authority(&mut text, authority.as_bytes());
            text.as_str().to_owned()
        };
        assert_eq!(authority("example.com:80"), "example.com:80");
        assert_eq!(authority("me:pass@example.com"), "(redacted)@example.com");
        assert_eq!(authority("a@b@example.com"), "(redacted)@example.com");
    }

    #[test]
    fn percents_are_decoded_where_digits_follow() {
        let decoded = |text: &str| percent_decoded(text.as_bytes()).collect::<Vec<_>>();
        assert_eq!(decoded("a%20b%C3%bc%"), b"a b\xc3\xbc%");
        assert_eq!(decoded("%%41%4"), b"%A%4");
    }
}
