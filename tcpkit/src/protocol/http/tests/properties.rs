//! Whatever the bytes, and however they are cut.

use proptest::prelude::*;

use super::*;

/// A message's framing, with the bytes behind its head.
fn body() -> impl Strategy<Value = (String, Vec<u8>)> {
    let content = prop::collection::vec(any::<u8>(), 0..200);
    let lines = prop::sample::select(vec![
        "GET / HTTP/1.1\r\n\r\n",
        "0\r\n\r\n",
        "\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ])
    .prop_map(|text| text.as_bytes().to_vec());
    let content = prop_oneof![content, lines];
    let length = content
        .clone()
        .prop_map(|content| (format!("Content-Length: {}\r\n", content.len()), content));
    let chunks = (
        prop::collection::vec((content, "(;[a-z]{1,8}(=[a-z]{1,5})?)?"), 0..5),
        "([A-Z][a-z]{0,6}: [a-z ]{0,9}\r\n){0,2}",
    )
        .prop_map(|(chunks, trailers)| {
            let mut bytes = Vec::new();
            for (content, extension) in chunks.iter().filter(|(content, _)| !content.is_empty()) {
                bytes.extend_from_slice(format!("{:X}{extension}\r\n", content.len()).as_bytes());
                bytes.extend_from_slice(content);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
            ("Transfer-Encoding: chunked\r\n".to_owned(), bytes)
        });
    prop_oneof![length, chunks]
}

fn fields() -> impl Strategy<Value = String> {
    prop::collection::vec("[A-Z][a-z-]{0,12}x: ?[!-~]([ -~]{0,20}[!-~])?\r\n", 0..6)
        .prop_map(|fields| fields.concat())
}

/// A request, and its messages as lines.
fn request() -> impl Strategy<Value = (Vec<u8>, Vec<String>)> {
    let method = prop::sample::select(vec!["GET", "POST", "PUT", "DELETE", "X-Y"]);
    let path = "/[a-zA-Z0-9._~/-]{0,30}";
    (method, path, fields(), prop::option::of(body()), fields()).prop_map(
        |(method, path, before, body, behind)| {
            let (framing, content) = body.unwrap_or_default();
            let has_body = !content.is_empty();
            let mut bytes =
                format!("{method} {path} HTTP/1.1\r\n{before}{framing}{behind}\r\n").into_bytes();
            bytes.extend_from_slice(&content);
            let part = if has_body { " first" } else { "" };
            let mut lines = vec![format!("> {method} | ordered{part} | {method} {path}")];
            lines.extend(has_body.then(|| ">  | ordered last".to_owned()));
            (bytes, lines)
        },
    )
}

/// A response to an ordinary request, and its messages as lines.
fn response() -> impl Strategy<Value = (Vec<u8>, Vec<String>)> {
    let interim = prop::sample::select(vec![100_u16, 102, 103]);
    let bodiless = prop::sample::select(vec![204_u16, 304]);
    let with_body = (prop::sample::select(vec![200_u16, 206, 302, 404, 500]), body());
    prop_oneof![
        interim.prop_map(|status| (status, String::new(), vec![])),
        (bodiless, body()).prop_map(|(status, (framing, _))| (status, framing, vec![])),
        with_body.prop_map(|(status, (framing, content))| (status, framing, content)),
    ]
    .prop_flat_map(|message| (Just(message), fields(), "( [A-Za-z ]{0,12})?"))
    .prop_map(|((status, framing, content), fields, reason)| {
        let mut bytes = format!("HTTP/1.1 {status}{reason}\r\n{fields}{framing}\r\n").into_bytes();
        bytes.extend_from_slice(&content);
        let line = match status {
            100..=199 => "< ok | one-way".to_owned(),
            200..=399 => format!("< ok | ordered | {status}"),
            _ => format!("< error | ordered | {status}"),
        };
        (bytes, vec![line])
    })
}

/// Decodes messages whole and in pieces, and compares with what they are known to be.
fn check_messages(
    direction: Direction,
    messages: &[(Vec<u8>, Vec<String>)],
    cuts: &[usize],
) -> Result<(), TestCaseError> {
    let bytes = messages.iter().map(|(bytes, _)| bytes.as_slice()).collect::<Vec<_>>().concat();
    let lines: Vec<_> = messages.iter().flat_map(|(_, lines)| lines.clone()).collect();
    let options = DecodeOptions { max_text: 1000, ..DecodeOptions::default() };
    for cuts in [&[][..], &[1], cuts] {
        let driver = decode_cut(&PROTOCOL, direction, &bytes, cuts, options.clone());
        prop_assert_eq!(driver.broken, None);
        prop_assert_eq!(driver.lines(), lines.clone());
        prop_assert!(driver.pending.iter().all(Vec::is_empty));
        prop_assert!(driver.held <= 1024);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn requests_are_what_they_were_made_of(
        messages in prop::collection::vec(request(), 1..5),
        cuts in prop::collection::vec(1usize..200, 0..40),
    ) {
        check_messages(Request, &messages, &cuts)?;
    }

    #[test]
    fn responses_are_what_they_were_made_of(
        messages in prop::collection::vec(response(), 1..5),
        cuts in prop::collection::vec(1usize..200, 0..40),
    ) {
        check_messages(Response, &messages, &cuts)?;
    }

    #[test]
    fn what_survives_a_gap_is_right(
        messages in prop::collection::vec(response(), 1..5),
        from in any::<prop::sample::Index>(),
        len in 1usize..300,
    ) {
        let bytes = messages.iter().map(|(bytes, _)| bytes.as_slice()).collect::<Vec<_>>().concat();
        let lines: Vec<_> = messages.iter().flat_map(|(_, lines)| lines.clone()).collect();
        let from = from.index(bytes.len());
        let to = bytes.len().min(from + len);
        let mut driver = new_driver();
        driver.feed(Response, &bytes[..from]);
        if driver.lose(Response, (to - from) as u64) {
            driver.feed(Response, &bytes[to..]);
            prop_assert_eq!(driver.broken, None);
            prop_assert_eq!(driver.lines(), lines);
        } else {
            prop_assert!(lines.starts_with(&driver.lines()));
        }
    }

    #[test]
    fn any_bytes_are_survived(
        pieces in prop::collection::vec((any::<bool>(), prop::collection::vec(hostile(), 0..30)), 0..20),
        gaps in prop::collection::vec(0u64..100, 0..20),
    ) {
        let mut driver = new_driver();
        for (i, (request, bytes)) in pieces.iter().enumerate() {
            let direction = if *request { Request } else { Response };
            driver.feed(direction, &bytes.concat());
            if let Some(&gap) = gaps.get(i) {
                if gap % 5 == 0 && !driver.lose(direction, gap + 1) {
                    driver.broken = Some("gap");
                }
                if gap % 7 == 0 && driver.broken.is_none() {
                    driver.end(direction);
                }
            }
            if driver.broken.take().is_some() {
                driver.decoder.resync();
                driver.pending = Default::default();
                driver.skip = [0; 2];
            }
        }
    }
}

/// Pieces of the protocol in any order.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![
            "GET / HTTP/1.1\r\n",
            "HEAD /a?token=b HTTP/1.1\r\n",
            "CONNECT h:1 HTTP/1.1\r\n\r\n",
            "PUT / HTTP/1.0\r\n",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 100 \r\n\r\n",
            "HTTP/1.1 101 \r\n\r\n",
            "HTTP/1.0 404\r\n",
            "Host: h\r\n",
            "Content-Length: 3\r\n",
            "Content-Length: 18446744073709551615\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Expect: 100-continue\r\n",
            "Authorization: Basic x\r\n",
            "\r\n",
            "\n",
            "3\r\nabc\r\n",
            "ffffffffffffffff\r\n",
            "0\r\n",
            "0\r\n\r\n",
            ";x\r\n",
        ])
        .prop_map(|piece| piece.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 1..8),
    ]
}
