//! What nobody may read: what stands in its place, and the names that announce it.
//!
//! Which part of a command is a secret is for its protocol to say; by what names secrets go in
//! protocols that name what they carry is said here, for all of them.

use std::sync::Arc;

/// What stands for a secret.
pub const REDACTED: &str = "(redacted)";

/// Header fields whose values are secrets, in lower case (RFC 9110 §11.6, RFC 6265, and what common
/// services use).
const HEADERS: &[&[u8]] = &[
    b"authorization",
    b"proxy-authorization",
    b"cookie",
    b"set-cookie",
    b"x-api-key",
    b"x-auth-token",
    b"x-amz-security-token",
];

/// Parameters of a query whose values are secrets unless the user says otherwise, in lower case.
const PARAMETERS: &[&str] = &[
    "access_token",
    "api_key",
    "apikey",
    "auth",
    "client_secret",
    "id_token",
    "jsessionid",
    "key",
    "passwd",
    "password",
    "phpsessid",
    "pwd",
    "refresh_token",
    "secret",
    "session",
    "sessionid",
    "sid",
    "sig",
    "signature",
    "token",
    "x_amz_credential",
    "x_amz_security_token",
    "x_amz_signature",
];

/// Whether the value of the header field with this name is a secret.
#[must_use]
pub fn is_secret_header(name: &[u8]) -> bool {
    HEADERS.iter().any(|header| header.eq_ignore_ascii_case(name))
}

/// The longest authentication scheme that is shown, in bytes: what is longer may be a secret itself.
pub const MAX_SCHEME: usize = 16;

/// The authentication scheme in front of credentials, up to the first space (RFC 9110 §11.4); empty where
/// there is none.
#[must_use]
pub fn scheme(value: &[u8]) -> &[u8] {
    let end = value.iter().take(MAX_SCHEME.saturating_add(1)).position(|byte| *byte == b' ');
    let scheme = end.and_then(|end| value.get(..end)).unwrap_or_default();
    let is_scheme = scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    if is_scheme { scheme } else { &[] }
}

/// The names of parameters whose values are secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretNames(Arc<[Box<str>]>);

impl Default for SecretNames {
    fn default() -> Self {
        Self::with(&[])
    }
}

impl SecretNames {
    /// The usual names, and those that the user adds.
    #[must_use]
    pub fn with(more: &[String]) -> Self {
        let usual = PARAMETERS.iter().copied().map(Box::from);
        Self(usual.chain(more.iter().map(|name| name.as_str().into())).collect())
    }

    /// Whether the value of the parameter with this name is a secret. Neither case nor whether words
    /// are joined by `-` or `_` makes a difference.
    #[must_use]
    pub fn contains(&self, name: &[u8]) -> bool {
        let plain = |byte: u8| if byte == b'-' { b'_' } else { byte.to_ascii_lowercase() };
        self.0.iter().any(|secret| {
            secret.len() == name.len()
                && secret.bytes().map(plain).eq(name.iter().copied().map(plain))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_however_they_are_written() {
        let names = SecretNames::with(&["Ticket".to_owned()]);
        for secret in ["token", "TOKEN", "api-key", "API_KEY", "ticket", "X-Amz-Signature"] {
            assert!(names.contains(secret.as_bytes()), "{secret}");
        }
        for harmless in ["", "tokens", "toke", "page"] {
            assert!(!names.contains(harmless.as_bytes()), "{harmless}");
        }
        assert!(!SecretNames::default().contains(b"ticket"));
        assert!(is_secret_header(b"Authorization") && !is_secret_header(b"Host"));
    }
}
