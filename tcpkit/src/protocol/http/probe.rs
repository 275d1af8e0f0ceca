//! Whether the first bytes of one side of a connection are HTTP/1's.

use crate::protocol::Probe;

/// Methods in use: RFC 9110 §9, RFC 5789, WebDAV and its extensions (the IANA registry), caches, UPnP
/// and RPC over HTTP.
const METHODS: &[&[u8]] = &[
    b"GET",
    b"POST",
    b"PUT",
    b"HEAD",
    b"DELETE",
    b"OPTIONS",
    b"PATCH",
    b"CONNECT",
    b"TRACE",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
    b"REPORT",
    b"SEARCH",
    b"ACL",
    b"BIND",
    b"REBIND",
    b"UNBIND",
    b"LINK",
    b"UNLINK",
    b"MERGE",
    b"CHECKIN",
    b"CHECKOUT",
    b"UNCHECKOUT",
    b"MKACTIVITY",
    b"MKCALENDAR",
    b"MKREDIRECTREF",
    b"MKWORKSPACE",
    b"LABEL",
    b"ORDERPATCH",
    b"UPDATE",
    b"UPDATEREDIRECTREF",
    b"BASELINE-CONTROL",
    b"VERSION-CONTROL",
    b"QUERY",
    b"PURGE",
    b"BAN",
    b"REFRESH",
    b"SUBSCRIBE",
    b"UNSUBSCRIBE",
    b"NOTIFY",
    b"M-SEARCH",
    b"RPC_IN_DATA",
    b"RPC_OUT_DATA",
];

/// Longer request lines are not waited for; RFC 9112 §3 recommends 8000 bytes at least.
const MAX_LINE: usize = 16 * 1024;

/// What both kinds of first lines have: the version.
const VERSION: &[u8] = b"HTTP/1.";

/// What the first bytes that one side sent look like.
pub(super) fn probe(bytes: &[u8]) -> Probe {
    // Some clients send an empty line behind a body (RFC 9112 §2.2).
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    let line = start.and_then(|start| bytes.get(start..)).unwrap_or_default();
    if line.is_empty() {
        return if bytes.len() <= MAX_LINE { Probe::Unsure } else { Probe::No };
    }
    match status_line(line) {
        Probe::No => request_line(line),
        // `H` may become `HEAD`.
        found => found,
    }
}

/// `HTTP/1.1 200 OK`.
fn status_line(line: &[u8]) -> Probe {
    let known = VERSION.len().min(line.len());
    if line.get(..known) != VERSION.get(..known) {
        return Probe::No;
    }
    match line.get(known..).unwrap_or_default() {
        [] | [b'0' | b'1'] | [b'0' | b'1', b' '] => Probe::Unsure,
        [b'0' | b'1', b' ', b'1'..=b'9', ..] => Probe::Response,
        _ => Probe::No,
    }
}

/// `GET /path HTTP/1.1`.
fn request_line(line: &[u8]) -> Probe {
    let Some(method_end) = line.iter().position(|&byte| byte == b' ') else {
        let may_become = METHODS.iter().any(|method| method.starts_with(line));
        return if may_become { Probe::Unsure } else { Probe::No };
    };
    let method = line.get(..method_end).unwrap_or_default();
    if !METHODS.contains(&method) {
        return Probe::No;
    }
    let behind = line.get(method_end.saturating_add(1)..).unwrap_or_default();
    let end = behind.iter().position(|&byte| byte <= b' ' || byte == 0x7f);
    let target = behind.get(..end.unwrap_or(behind.len())).unwrap_or_default();
    if !may_be_target(target, end.is_some(), method == b"CONNECT") {
        return Probe::No;
    }
    let Some(end) = end else {
        return if line.len() <= MAX_LINE { Probe::Unsure } else { Probe::No };
    };
    match behind.get(end..).unwrap_or_default() {
        [b' ', version @ ..] => {
            let known = VERSION.len().min(version.len());
            if version.get(..known) != VERSION.get(..known) {
                return Probe::No;
            }
            match version.get(known..).unwrap_or_default() {
                [] => Probe::Unsure,
                [b'0' | b'1', ..] => Probe::Request,
                _ => Probe::No,
            }
        }
        _ => Probe::No,
    }
}

/// Whether this is a target of RFC 9112 §3.2, or may become one if it is not `whole`.
fn may_be_target(target: &[u8], whole: bool, is_connect: bool) -> bool {
    match target {
        [] => !whole,
        [b'/', ..] => !is_connect,
        [b'*'] => !is_connect,
        [first, ..] if is_connect => first.is_ascii_alphanumeric() || *first == b'[',
        // The absolute form begins with a scheme.
        [first, ..] if first.is_ascii_alphabetic() => {
            let scheme_end = target.iter().position(|byte| {
                !byte.is_ascii_alphanumeric() && !matches!(byte, b'+' | b'-' | b'.')
            });
            let behind = scheme_end.and_then(|at| target.get(at..)).unwrap_or_default();
            behind.starts_with(b"://") || !whole && b"://".starts_with(behind)
        }
        _ => false,
    }
}
