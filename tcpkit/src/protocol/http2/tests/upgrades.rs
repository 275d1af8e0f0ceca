//! Connections that begin with an HTTP/1.1 request.

use super::*;

const ASK: &str = "GET /a?token=x HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade, HTTP2-Settings\r\n\
                   Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
const GRANT: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";

fn driver(script: &[(Direction, Vec<u8>)], size: usize) -> Driver {
    let mut driver = Driver::new(&PROTOCOL, DecodeOptions::default());
    for (direction, bytes) in script {
        bytes.chunks(size).for_each(|piece| driver.feed(*direction, piece));
    }
    driver
}

#[test]
fn the_request_that_asks_for_it_is_the_first_stream() {
    let mut talk = Talk::default();
    let [(_, client), (_, server)] = opening();
    let script = [
        (Request, ASK.as_bytes().to_vec()),
        (Response, [GRANT.as_bytes(), &server, &talk.headers(Response, 1, OK, false)].concat()),
        (Request, [client, talk.headers(Request, 3, GET, true)].concat()),
        (Response, data(1, b"abc", true)),
        (Response, talk.headers(Response, 3, OK, true)),
    ];
    for size in [usize::MAX, 1, 2, 3, 7, 64] {
        let driver = driver(&script, size);
        assert_eq!(driver.broken, None);
        assert_eq!(
            driver.lines(),
            [
                "> GET | #1 | GET example.com/a?token=(redacted)",
                "< ok | #1 first",
                "> GET | #3 | GET example.com/a?x=1",
                "< ok | #1 last | 200",
                "< ok | #3 | 200",
            ]
        );
    }
}

#[test]
fn what_does_not_ask_for_it_is_refused() {
    for request in [
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        ASK.replace("h2c", "websocket"),
        ASK.replace("1.1", "1.0"),
        ASK.replace("Host:", "Content-Length: 5\r\nHost:"),
        "get x\r\n".to_owned(),
        "\r\n\r\n".to_owned(),
        format!("GET /{} HTTP/1.1\r\n", "x".repeat(20_000)),
    ] {
        assert!(driver(&[(Request, request.into_bytes())], usize::MAX).broken.is_some());
    }
    let refused = (Response, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    assert!(driver(&[(Request, ASK.into()), refused], usize::MAX).broken.is_some());
}
