//! Where one direction decides how the other is read.

use super::*;

/// Feeds what `> ` (client) and `< ` (server) lines say, in the order given, in pieces of every size.
fn talk(script: &[(Direction, &str)], expect: &[&str]) {
    for size in [1, 2, 5, 16, 100_000] {
        let mut driver = new_driver();
        for (direction, text) in script {
            for piece in crlf(text).as_bytes().chunks(size) {
                driver.feed(*direction, piece);
            }
        }
        assert_eq!(driver.broken, None, "in pieces of {size}");
        assert_eq!(driver.lines(), expect, "in pieces of {size}");
    }
}

fn talk_breaks(script: &[(Direction, &str)], seen: usize) {
    let mut driver = new_driver();
    for (direction, text) in script {
        driver.feed(*direction, crlf(text).as_bytes());
    }
    assert!(driver.broken.is_some(), "{script:?}");
    assert_eq!(driver.seen.len(), seen, "{script:?}: {:?}", driver.lines());
}

const GET: (Direction, &str) = (Request, "GET / HTTP/1.1\n\n");
const OK: (Direction, &str) = (Response, "HTTP/1.1 200 OK\nContent-Length: 2\n\nok");
const SEEN_GET: &str = "> GET | ordered | GET /";
const SEEN_OK: &str = "< ok | ordered | 200";

#[test]
fn a_response_to_head_has_no_body() {
    let head = (Request, "HEAD / HTTP/1.1\n\n");
    let no_body = (Response, "HTTP/1.1 200 OK\nContent-Length: 2000\n\n");
    let chunked = (Response, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n");
    let seen_head = "> HEAD | ordered | HEAD /";
    talk(
        &[GET, head, GET, head, OK, no_body, OK, chunked, head, no_body, GET, OK],
        &[
            SEEN_GET, seen_head, SEEN_GET, seen_head, SEEN_OK, SEEN_OK, SEEN_OK, SEEN_OK,
            seen_head, SEEN_OK, SEEN_GET, SEEN_OK,
        ],
    );
    // An interim response leaves it the turn.
    let interim = (Response, "HTTP/1.1 103 \n\n");
    talk(
        &[head, interim, no_body, GET, OK],
        &[seen_head, "< ok | one-way", SEEN_OK, SEEN_GET, SEEN_OK],
    );
}

#[test]
fn a_tunnel_is_not_read() {
    let connect = (Request, "CONNECT h:443 HTTP/1.1\n\n");
    let established = (Response, "HTTP/1.1 200 Connection established\nContent-Length: 5\n\n");
    let inside =
        [(Request, "GET /x HTTP/1.1\n\n"), (Response, "HTTP/1.1 500 \n\n"), (Request, "\x16\x03")];
    let seen = "> CONNECT | ordered | CONNECT h:443";
    talk(&[&[connect, established][..], &inside].concat(), &[seen, SEEN_OK]);
    // What the client sends at once is for the tunnel, if there is one.
    talk(&[connect, (Request, "\x16\x03\x01"), established, inside[2]], &[seen, SEEN_OK]);
}

#[test]
fn a_refused_tunnel_leaves_http() {
    let connect = (Request, "CONNECT h:443 HTTP/1.1\n\n");
    let refused = (Response, "HTTP/1.1 407 \nContent-Length: 2\n\nno");
    let seen = "> CONNECT | ordered | CONNECT h:443";
    talk(
        &[connect, refused, connect, refused, GET, OK],
        &[seen, "< error | ordered | 407", seen, "< error | ordered | 407", SEEN_GET, SEEN_OK],
    );
    // If something came in the meantime, nobody knows what it was.
    talk_breaks(&[connect, GET, refused, GET], 2);
}

#[test]
fn a_switch_of_protocols_ends_http_in_both_directions() {
    let upgrade = (Request, "GET /ws HTTP/1.1\nUpgrade: websocket\nConnection: upgrade\n\n");
    let switched = (Response, "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\n\n\x01\x02");
    let frames = [(Response, "HTTP/1.1 500 \n\n"), (Request, "\x01\x02\x03"), (Response, "\x01")];
    let seen = "> GET | ordered | GET /ws";
    talk(&[&[upgrade, switched][..], &frames].concat(), &[seen, "< ok | ordered | 101"]);
    // The server may just as well not do it.
    talk(&[upgrade, OK, GET, OK], &[seen, SEEN_OK, SEEN_GET, SEEN_OK]);
}

#[test]
fn nothing_is_lost_in_a_tunnel() {
    let mut driver = new_driver();
    driver.feed(Request, b"GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n");
    driver.feed(Response, b"HTTP/1.1 101 \r\n\r\nabc");
    for direction in [Request, Response] {
        assert!(driver.lose(direction, 5));
        driver.feed(direction, b"GET");
        assert!(driver.lose(direction, 1 << 40));
    }
    assert_eq!(driver.seen.len(), 2);
}

const ASKS: (Direction, &str) =
    (Request, "PUT /a HTTP/1.1\nExpect: 100-Continue\nContent-Length: 5\n\n");
const SEEN_ASKS: &str = "> PUT | ordered first | PUT /a";
const LAST: &str = ">  | ordered last";

#[test]
fn leave_to_go_on_is_not_the_response() {
    let leave = (Response, "HTTP/1.1 100 Continue\n\n");
    talk(
        &[ASKS, leave, (Request, "GET /"), OK, GET, OK],
        &[SEEN_ASKS, "< ok | one-way", LAST, SEEN_OK, SEEN_GET, SEEN_OK],
    );
    // The client need not wait for it, and it may come late.
    talk(
        &[ASKS, (Request, "hello"), leave, OK, GET, OK],
        &[SEEN_ASKS, LAST, "< ok | one-way", SEEN_OK, SEEN_GET, SEEN_OK],
    );
}

#[test]
fn a_request_may_be_answered_before_its_body_came() {
    let refused = (Response, "HTTP/1.1 413 \nContent-Length: 0\n\n");
    let seen = "< error | ordered | 413";
    let upload = (Request, "PUT /a HTTP/1.1\nContent-Length: 10\n\nhello");
    talk(
        &[upload, refused, (Request, "GET /"), GET, OK],
        &[SEEN_ASKS, seen, LAST, SEEN_GET, SEEN_OK],
    );
    // Refused before it began, it may come nonetheless.
    talk(
        &[ASKS, refused, (Request, "hello"), GET, OK],
        &[SEEN_ASKS, seen, LAST, SEEN_GET, SEEN_OK],
    );
    let chunked =
        (Request, "PUT /a HTTP/1.1\nExpect: 100-continue\nTransfer-Encoding: chunked\n\n");
    talk(
        &[chunked, refused, (Request, "2\nab\n0\n\n"), GET, OK],
        &[SEEN_ASKS, seen, LAST, SEEN_GET, SEEN_OK],
    );
}

#[test]
fn a_refused_body_that_looks_like_a_request_is_not_guessed_at() {
    let refused = (Response, "HTTP/1.1 417 \nContent-Length: 0\n\n");
    talk_breaks(&[ASKS, refused, GET], 2);
    let mut driver = new_driver();
    driver.feed(Request, crlf(ASKS.1).as_bytes());
    driver.feed(Response, crlf(refused.1).as_bytes());
    assert!(!driver.lose(Request, 5), "nobody knows what was lost");
}

#[test]
fn a_new_beginning_knows_nothing_of_the_past() {
    let mut driver = new_driver();
    driver.feed(Request, b"HEAD / HTTP/1.1\r\n\r\nPUT / HTTP/1.1\r\nContent-Length: 100\r\n\r\nab");
    driver.feed(Response, b"HTTP/1.1 200 OK\r\nContent");
    driver.decoder.resync();
    driver.pending = Default::default();
    driver.skip = [0; 2];
    driver.seen.clear();
    driver.feed(Request, b"GET / HTTP/1.1\r\n\r\n");
    driver.feed(Response, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(driver.lines(), [SEEN_GET, SEEN_OK]);
    assert!(driver.pending.iter().all(Vec::is_empty));
}
