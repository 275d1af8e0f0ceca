//! Targets of requests as people read them, without the secrets in them (RFC 3986, RFC 9110 §4.2.4).

use super::{
    secrets::{REDACTED, SecretNames},
    text::Text,
};

/// The longest name of a parameter that is looked up among those of secrets, in bytes.
const MAX_NAME: usize = 64;

/// Divides a target into its path and its query, if it has one, without the question mark.
#[must_use]
pub fn split_query(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    let Some(mark) = memchr::memchr(b'?', target) else { return (target, None) };
    let (path, query) = target.split_at_checked(mark).unwrap_or((target, b""));
    (path, Some(query.get(1..).unwrap_or_default()))
}

/// Appends a path with its query, the values of secret parameters redacted.
pub fn push_target(text: &mut Text, target: &[u8], secrets: &SecretNames) {
    let (path, query) = split_query(target);
    text.push_bytes(path);
    if let Some(query) = query {
        text.push_str("?");
        push_query(text, query, secrets);
    }
}

/// Appends a query, the values of secret parameters redacted.
pub fn push_query(text: &mut Text, mut query: &[u8], secrets: &SecretNames) {
    while !query.is_empty() && !text.is_full() {
        let end = memchr::memchr2(b'&', b';', query);
        let (parameter, rest) =
            query.split_at_checked(end.unwrap_or(query.len())).unwrap_or((query, b""));
        let equals = memchr::memchr(b'=', parameter);
        let name = parameter.get(..equals.unwrap_or(parameter.len())).unwrap_or_default();
        if equals.is_some() && is_secret(name, secrets) {
            text.push_bytes(name);
            text.push_str("=");
            text.push_str(REDACTED);
        } else {
            text.push_bytes(parameter);
        }
        let (divider, rest) = rest.split_at_checked(1).unwrap_or((rest, b""));
        text.push_bytes(divider);
        query = rest;
    }
}

/// Appends host and port; what stands for a user in front of them is nobody's business.
pub fn push_authority(text: &mut Text, authority: &[u8]) {
    match memchr::memrchr(b'@', authority) {
        None => text.push_bytes(authority),
        Some(at) => {
            text.push_str(REDACTED);
            text.push_bytes(authority.get(at..).unwrap_or_default());
        }
    }
}

/// Whether a parameter's value is a secret; its name may be percent-encoded.
fn is_secret(name: &[u8], secrets: &SecretNames) -> bool {
    if memchr::memchr(b'%', name).is_none() {
        return secrets.contains(name);
    }
    let mut plain = [0; MAX_NAME];
    let mut len = 0_usize;
    for (slot, byte) in plain.iter_mut().zip(percent_decoded(name)) {
        *slot = byte;
        len = len.wrapping_add(1);
    }
    secrets.contains(plain.get(..len).unwrap_or_default())
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

    fn show(push: impl Fn(&mut Text)) -> String {
        let mut text = Text::default();
        text.reset(128);
        push(&mut text);
        text.as_str().to_owned()
    }

    fn check_target(target: &str, expect: &str) {
        let secrets = SecretNames::default();
        assert_eq!(show(|text| push_target(text, target.as_bytes(), &secrets)), expect);
    }

    #[test]
    fn secrets_in_a_query_are_redacted() {
        check_target("/", "/");
        check_target("/a?", "/a?");
        check_target("/a?x=1&y=2", "/a?x=1&y=2");
        check_target("/a?token=abc", "/a?token=(redacted)");
        check_target("/a?x=1&token=a=b&y", "/a?x=1&token=(redacted)&y");
        check_target("/a?x=1;Access-Token=a;y=", "/a?x=1;Access-Token=(redacted);y=");
        check_target("/a?to%6ben=abc&t%6=1&%", "/a?to%6ben=(redacted)&t%6=1&%");
        check_target("/a?token&=token", "/a?token&=token");
        check_target("/a?b?token=c", "/a?b?token=c");
        check_target("/\x1b?\r=1", "/\\x1b?\\r=1");
    }

    #[test]
    fn users_are_redacted() {
        let authority = |authority: &str| show(|text| push_authority(text, authority.as_bytes()));
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
