//! Whatever the bytes, and however they are cut.

use proptest::prelude::*;

use super::*;

/// A topic and partitions of it.
type Topics = Vec<(String, Vec<i32>)>;

fn topics() -> impl Strategy<Value = Topics> {
    let topic = ("[a-zA-Z0-9._-]{1,20}", prop::collection::vec(0..500_i32, 1..4));
    prop::collection::vec(topic, 1..4)
}

/// A request, and its text.
fn call() -> impl Strategy<Value = (Vec<u8>, String)> {
    let client = prop::option::of("[ -~]{0,20}");
    let id = any::<u32>();
    prop_oneof![
        (id, client.clone(), topics(), 0..=12_i16, -1..=1_i16, 0..2000_usize)
            .prop_map(|(id, client, topics, version, acks, records)| {
                (produce(id, client.as_deref(), &topics, version, acks, records), {
                    let acks = if acks == -1 { "all".to_owned() } else { acks.to_string() };
                    (listed(&topics), acks, topics.len(), records)
                })
            })
            .prop_filter_map("only what is looked at", |(bytes, (list, acks, ..))| {
                (bytes.len() <= super::super::PREFIX)
                    .then(|| (bytes, format!("Produce {list} acks={acks}")))
            }),
        (id, client, topics(), prop_oneof![Just(0_i16), Just(5), Just(8)]).prop_map(
            |(id, client, topics, version)| {
                let mut body = Wire::plain().count(topics.len());
                for (topic, _) in &topics {
                    body = body.string(topic);
                }
                if version >= 4 {
                    body = body.i8(1);
                }
                if version >= 8 {
                    body = body.i8(0).i8(0);
                }
                let names: Vec<_> = topics.iter().map(|(topic, _)| topic.as_str()).collect();
                let text = format!("Metadata {}", names.join(","));
                (request(3, version, id, client.as_deref(), &body.bytes), text)
            }
        ),
    ]
}

fn produce(
    id: u32,
    client: Option<&str>,
    topics: &Topics,
    version: i16,
    acks: i16,
    records: usize,
) -> Vec<u8> {
    let mut body = if version >= 9 { Wire::flexible().end() } else { Wire::plain() };
    if version >= 3 {
        body = body.null_string();
    }
    body = body.i16(acks).i32(1000).count(topics.len());
    for (topic, partitions) in topics {
        body = body.string(topic).count(partitions.len());
        for partition in partitions {
            body = body.i32(*partition).count(records).raw(&vec![0x5a; records]).end();
        }
        body = body.end();
    }
    request(0, version, id, client, &body.end().bytes)
}

fn listed(topics: &Topics) -> String {
    let topics = topics.iter().map(|(topic, partitions)| {
        let partitions: Vec<_> = partitions.iter().map(i32::to_string).collect();
        format!("{topic}[{}]", partitions.join(","))
    });
    topics.collect::<Vec<_>>().join(" ")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_encoded_is_read(
        calls in prop::collection::vec(call(), 1..6),
        cuts in prop::collection::vec(1_usize..200, 0..40),
        fields: bool,
    ) {
        let bytes: Vec<u8> = calls.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let options = DecodeOptions { max_text: 2000, fields, ..DecodeOptions::default() };
        let cut = driver::decode_cut(&PROTOCOL, Request, &bytes, &cuts, options.clone());
        prop_assert_eq!(cut.broken, None);
        let texts: Vec<_> = cut.seen.iter().map(|seen| seen.text.clone()).collect();
        let expect: Vec<_> = calls.iter().map(|(_, text)| text.clone()).collect();
        prop_assert_eq!(texts, expect);
        let whole = driver::decode_cut(&PROTOCOL, Request, &bytes, &[], options);
        prop_assert_eq!(whole.seen, cut.seen);
        prop_assert!(cut.held <= super::super::PREFIX);
    }

    #[test]
    fn any_bytes_are_survived(
        pieces in prop::collection::vec((any::<bool>(), prop::collection::vec(hostile(), 0..20)), 0..20),
        gaps in prop::collection::vec(0_u64..100, 0..20),
        max_text in 0_usize..200,
    ) {
        let options = DecodeOptions { max_text, ..DecodeOptions::default() };
        let mut driver = Driver::new(&PROTOCOL, options);
        let mut lost = [false; 2];
        for (at, (is_request, bytes)) in pieces.iter().enumerate() {
            let direction = if *is_request { Request } else { Response };
            let side = usize::from(!*is_request);
            if lost[side] {
                lost[side] = !driver.rejoin(direction, &bytes.concat());
            } else {
                driver.feed(direction, &bytes.concat());
            }
            if let Some(&gap) = gaps.get(at) && gap % 5 == 0 && !lost[side] && driver.broken.is_none() {
                lost[side] = !driver.lose(direction, gap + 1);
            }
            if lost[side] || driver.broken.take().is_some() {
                lost[side] = true;
                driver.pending[side].clear();
                driver.skip[side] = 0;
            }
            prop_assert!(driver.held <= super::super::PREFIX);
        }
    }
}

/// Pieces of the protocol in any order.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0..95_i16, 0..20_i16, 0..4_u32, prop::collection::vec(any::<u8>(), 0..60))
            .prop_map(|(key, version, id, body)| request(key, version, id, Some("c"), &body)),
        (0..4_u32, prop::collection::vec(any::<u8>(), 0..60))
            .prop_map(|(id, body)| response(id, &body)),
        Just(request(17, 0, 1, None, &Wire::plain().string("PLAIN").bytes)),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|token| sized(&token)),
        prop::collection::vec(any::<u8>(), 1..8),
        Just(vec![0x7f, 0xff, 0xff, 0xff]),
    ]
}
