//! Whatever the bytes, and however they are cut.

use proptest::prelude::*;
use redis_protocol::resp3::{decode::complete as oracle, types::OwnedFrame};

use super::*;

/// RESP as a server may send it: one element of any type.
fn element() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        "[A-Za-z ]{0,40}".prop_map(|text| format!("+{text}\r\n").into_bytes()),
        "[A-Z]{1,10} [a-z]{0,200}".prop_map(|text| format!("-{text}\r\n").into_bytes()),
        any::<i64>().prop_map(|value| format!(":{value}\r\n").into_bytes()),
        "[1-9][0-9]{0,80}".prop_map(|digits| format!("({digits}\r\n").into_bytes()),
        any::<bool>().prop_map(|value| if value { b"#t\r\n".to_vec() } else { b"#f\r\n".to_vec() }),
        (-1e9..1e9f64).prop_map(|value| format!(",{value}\r\n").into_bytes()),
        Just(b"_\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|body| string('$', &body)),
        "[a-z]{0,30}".prop_map(|text| string('!', text.as_bytes())),
        "[a-z]{0,30}".prop_map(|text| string('=', format!("txt:{text}").as_bytes())),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|items| aggregate(
                '*',
                items.len(),
                &items
            )),
            prop::collection::vec(inner.clone(), 0..6).prop_map(|items| aggregate(
                '~',
                items.len(),
                &distinct(items)
            )),
            prop::collection::vec(inner, 0..6).prop_map(|items| {
                let pairs: Vec<Vec<u8>> = items
                    .iter()
                    .enumerate()
                    .flat_map(|(i, item)| [format!(":{i}\r\n").into_bytes(), item.clone()])
                    .collect();
                aggregate('%', items.len(), &pairs)
            }),
        ]
    })
}

fn string(kind: char, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{kind}{}\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn aggregate(kind: char, count: usize, items: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("{kind}{count}\r\n").into_bytes();
    bytes.extend(items.concat());
    bytes
}

/// The oracle's sets cannot hold aggregates, nor twice the same.
fn distinct(items: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    (0..items.len()).map(|i| format!(":{i}\r\n").into_bytes()).collect()
}

/// The length of the frame at the beginning, as the oracle sees it.
fn extent(bytes: &[u8]) -> Option<usize> {
    let (_, len): (OwnedFrame, usize) = oracle::decode(bytes).ok()??;
    Some(len)
}

fn arguments() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let word = prop_oneof![
        prop::sample::select(vec![
            "get",
            "SET",
            "config",
            "CLIENT",
            "reply",
            "auth",
            "hello",
            "subscribe",
            "eval",
            "on",
            "off",
            "skip",
            "monitor",
            "multi",
            "exec",
            "3",
        ])
        .prop_map(|word| word.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
        prop::collection::vec(any::<u8>(), 0..500),
    ];
    let plain = prop::collection::vec("[ -~]{1,12}|[a-z]{1,60}", 0..18).prop_map(|words| {
        let words = words.into_iter().map(String::into_bytes);
        [b"mset".to_vec()].into_iter().chain(words).collect()
    });
    prop_oneof![prop::collection::vec(word, 1..6), plain]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn replies_end_where_the_oracle_says(
        replies in prop::collection::vec(element(), 1..5),
        cuts in prop::collection::vec(1usize..200, 0..40),
        fields: bool,
    ) {
        let bytes = replies.concat();
        let mut ends = Vec::new();
        let mut end = 0;
        while end < bytes.len() {
            end += extent(&bytes[end..]).expect("a frame of the oracle's");
            ends.push(end);
        }
        // Every prefix has as many messages as frames end in it, and is not held against it.
        let options = DecodeOptions { max_text: 128, fields, ..DecodeOptions::default() };
        let mut driver = new_driver(options.clone());
        for (at, byte) in bytes.iter().enumerate() {
            driver.feed(Response, &[*byte]);
            prop_assert_eq!(driver.broken, None);
            prop_assert_eq!(driver.seen.len(), ends.iter().filter(|end| **end <= at + 1).count());
        }
        prop_assert!(driver.held <= 256);
        let cut = decode_cut(&PROTOCOL, Response, &bytes, &cuts, options.clone());
        prop_assert_eq!(cut.seen, driver.seen);
        // The same behind requests, which is what allows the short way.
        let mut driver = new_driver(options.clone());
        for _ in &ends {
            driver.feed(Request, &command("get x"));
        }
        driver.feed(Response, &bytes);
        prop_assert_eq!(driver.broken, None);
        prop_assert_eq!(driver.seen.len(), 2 * ends.len());
    }

    #[test]
    fn requests_do_not_depend_on_how_they_are_cut(
        requests in prop::collection::vec(arguments(), 1..6),
        cuts in prop::collection::vec(1usize..200, 0..40),
        max_text in 0usize..200,
        fields: bool,
    ) {
        let bytes: Vec<u8> = requests
            .iter()
            .flat_map(|request| {
                let arguments: Vec<&[u8]> = request.iter().map(Vec::as_slice).collect();
                multibulk(&arguments)
            })
            .collect();
        let options = DecodeOptions { max_text, fields, ..DecodeOptions::default() };
        let whole = decode_cut(&PROTOCOL, Request, &bytes, &[], options.clone());
        let cut = decode_cut(&PROTOCOL, Request, &bytes, &cuts, options.clone());
        prop_assert_eq!(&cut.seen, &whole.seen);
        let bytewise = decode_cut(&PROTOCOL, Request, &bytes, &[1], options.clone());
        prop_assert_eq!(&bytewise.seen, &whole.seen);
        prop_assert!(bytewise.held <= 64);
        if whole.broken.is_none() {
            prop_assert_eq!(whole.seen.len(), requests.len());
        }
    }

    #[test]
    fn any_bytes_are_survived(
        pieces in prop::collection::vec((any::<bool>(), prop::collection::vec(hostile(), 0..30)), 0..20),
        gaps in prop::collection::vec(0u64..100, 0..20),
    ) {
        let mut driver = new_driver(DecodeOptions::default());
        for (i, (request, bytes)) in pieces.iter().enumerate() {
            let direction = if *request { Request } else { Response };
            driver.feed(direction, &bytes.concat());
            if let Some(&gap) = gaps.get(i) && gap % 5 == 0 && !driver.lose(direction, gap + 1) {
                driver.broken = Some("gap");
            }
            if driver.broken.take().is_some() {
                driver.decoder.resync();
                driver.pending = Default::default();
                driver.skip = [0; 2];
            }
            prop_assert!(driver.held <= 256);
        }
    }
}

/// Pieces of the protocol in any order.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![
            "*1\r\n",
            "*3\r\n",
            ">3\r\n",
            "$4\r\nPING\r\n",
            "$9\r\nsubscribe\r\n",
            "$7\r\nmessage\r\n",
            ":1\r\n",
            "+OK\r\n",
            "-ERR\r\n",
            "*?\r\n",
            ".\r\n",
            "|1\r\n",
            "$?\r\n",
            ";3\r\nabc\r\n",
            ";0\r\n",
            "%2\r\n",
            "_\r\n",
            "\r\n",
            "ping\r\n",
            "$4\r\nexec\r\n",
            "$5\r\nmulti\r\n",
            "$1000\r\n",
            "$9223372036854775807\r\n",
        ])
        .prop_map(|piece| piece.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 1..8),
    ]
}
