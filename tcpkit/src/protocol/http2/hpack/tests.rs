//! Header blocks: the RFC's examples, an encoder that does all that encoders may, and missing pieces.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::protocol::secrets::MAX_SCHEME;

/// Bytes written in hexadecimal.
fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2).unwrap(), 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn value(headers: &Headers, name: Name) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8(value.to_vec()).unwrap())
}

/// A block in hexadecimal, fields in it, and what the table holds behind it.
type Example<'a> = (&'a str, &'a [(Name, &'a str)], (u32, usize));

/// Decodes blocks of one connection, and checks fields and the table behind each.
fn check(size: Option<u32>, blocks: &[Example<'_>]) {
    let mut decoder = Decoder::default();
    if let Some(size) = size {
        decoder.table.resize(size);
    }
    for (block, fields, extent) in blocks {
        let mut headers = Headers::new(Vec::new());
        decoder.decode(&hex(block), Extent::Whole, &mut headers).unwrap();
        assert!(!headers.hides_some());
        for (name, expect) in *fields {
            assert_eq!(value(&headers, *name).as_deref(), Some(*expect), "{block}");
        }
        assert_eq!(decoder.extent(), *extent, "{block}");
    }
}

const FIRST: &[(Name, &str)] = &[
    (Name::Method, "GET"),
    (Name::Scheme, "http"),
    (Name::Path, "/"),
    (Name::Authority, "www.example.com"),
];

const THIRD: &[(Name, &str)] = &[
    (Name::Method, "GET"),
    (Name::Scheme, "https"),
    (Name::Path, "/index.html"),
    (Name::Authority, "www.example.com"),
];

#[test]
fn single_fields_of_appendix_c_2() {
    let custom = "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572";
    check(None, &[(custom, &[], (55, 1))]);
    check(None, &[("040c 2f73 616d 706c 652f 7061 7468", &[(Name::Path, "/sample/path")], (0, 0))]);
    check(None, &[("1008 7061 7373 776f 7264 0673 6563 7265 74", &[], (0, 0))]);
    check(None, &[("82", &[(Name::Method, "GET")], (0, 0))]);
}

#[test]
fn requests_of_appendix_c_3() {
    check(
        None,
        &[
            ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", FIRST, (57, 1)),
            ("8286 84be 5808 6e6f 2d63 6163 6865", FIRST, (110, 2)),
            (
                "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
                THIRD,
                (164, 3),
            ),
        ],
    );
}

#[test]
fn requests_with_huffman_of_appendix_c_4() {
    check(
        None,
        &[
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", FIRST, (57, 1)),
            ("8286 84be 5886 a8eb 1064 9cbf", FIRST, (110, 2)),
            ("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", THIRD, (164, 3)),
        ],
    );
}

#[test]
fn responses_of_appendix_c_5() {
    check(
        Some(256),
        &[
            (
                "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
                 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70
                 6c65 2e63 6f6d",
                &[(Name::Status, "302"), (Name::Date, "")],
                (222, 4),
            ),
            ("4803 3330 37c1 c0bf", &[(Name::Status, "307"), (Name::Date, "")], (222, 4)),
            (
                "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
                 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
                 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e
                 3d31",
                &[(Name::Status, "200"), (Name::Date, "")],
                (215, 3),
            ),
        ],
    );
}

#[test]
fn responses_with_huffman_of_appendix_c_6() {
    check(
        Some(256),
        &[
            (
                "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
                 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                &[(Name::Status, "302")],
                (222, 4),
            ),
            ("4883 640e ffc1 c0bf", &[(Name::Status, "307")], (222, 4)),
            (
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
                 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
                 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
                &[(Name::Status, "200")],
                (215, 3),
            ),
        ],
    );
}

#[test]
fn what_no_encoder_makes_is_refused() {
    for block in [
        "80",                // index 0
        "be",                // beyond the table
        "7e 01 61",          // a name beyond the table
        "41",                // no value
        "41 05 61",          // half a value
        "ff ff ff ff ff 7f", // a number without end
        "41 81 00",          // a string with wrong padding
        "40 81 00 01 61",    // a name with wrong padding
    ] {
        let mut headers = Headers::new(Vec::new());
        let result = Decoder::default().decode(&hex(block), Extent::Whole, &mut headers);
        assert_eq!(result, Err(Broken), "{block}");
    }
}

#[test]
fn of_credentials_only_the_scheme_is_kept() {
    for (written, kept) in [
        ("Basic aHVudGVyMg==", "Basic"),
        ("Bearer x.y.z", "Bearer"),
        ("hunter2", ""),
        ("hun ter2 x", "hun"),
        ("a=b c", ""),
        ("averyveryverylongscheme x", ""),
    ] {
        let mut encoder = Encoder::default();
        let mut decoder = Decoder::default();
        // Written out and kept; by its number.
        for how in [How::Keep, How::Number] {
            let block = encoder.encode(&[("authorization", written, how)]);
            let mut headers = Headers::new(Vec::new());
            decoder.decode(&block, Extent::Whole, &mut headers).unwrap();
            assert_eq!(value(&headers, Name::Authorization).as_deref(), Some(kept));
            assert!(!headers.bytes.windows(4).any(|it| it == b"ter2" || it == b"aHVu"));
        }
        let kept = decoder.table.get(0).unwrap().value.len();
        assert!(kept <= MAX_SCHEME);
    }
}

#[test]
fn the_same_field_again_and_again_takes_no_memory() {
    let long = "x".repeat(3000);
    let mut encoder = Encoder::default();
    let mut decoder = Decoder::default();
    let mut headers = Headers::new(Vec::new());
    let block = encoder.encode(&[("user-agent", &long, How::Keep)]);
    decoder.decode(&block, Extent::Whole, &mut headers).unwrap();
    let before = headers.bytes.len();
    decoder.decode(&[0xbe; 10_000], Extent::Whole, &mut headers).unwrap();
    assert_eq!(headers.bytes.len(), before);
}

/// How a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocol::http2) enum How {
    /// By its number if it has one, else as [`How::Keep`].
    Number,
    /// Written out, and added to the table.
    Keep,
    /// Written out.
    Pass,
    /// Written out, never to be added.
    Never,
    /// Like [`How::Keep`], with the Huffman code.
    KeepShort,
    /// Like [`How::Pass`], with the Huffman code.
    PassShort,
}

/// An encoder with a table of its own, straight from the RFC.
pub(in crate::protocol::http2) struct Encoder {
    table: VecDeque<(String, String)>,
    max: usize,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { table: VecDeque::new(), max: 4096 }
    }
}

impl Encoder {
    /// A header block of these fields.
    pub(in crate::protocol::http2) fn encode(&mut self, fields: &[(&str, &str, How)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value, how) in fields {
            self.field(&mut out, name, value, *how);
        }
        out
    }

    /// Says that the table has another size.
    fn resize(&mut self, max: usize, out: &mut Vec<u8>) {
        self.max = max;
        self.shrink(0);
        integer(out, 0x20, 5, max);
    }

    fn index(&self, matches: impl Fn(&str, &str) -> bool) -> Option<usize> {
        let fixed = (1..=STATIC_LEN).find(|index| {
            let (name, value) = names::tests::text(*index);
            matches(name, value)
        });
        let said = || self.table.iter().position(|(name, value)| matches(name, value));
        fixed.or_else(|| said().map(|place| place + STATIC_LEN + 1))
    }

    fn field(&mut self, out: &mut Vec<u8>, name: &str, value: &str, how: How) {
        if how == How::Number
            && let Some(index) = self.index(|a, b| a == name && b == value)
        {
            return integer(out, 0x80, 7, index);
        }
        let (first, prefix) = match how {
            How::Number | How::Keep | How::KeepShort => (0x40, 6),
            How::Pass | How::PassShort => (0, 4),
            How::Never => (0x10, 4),
        };
        let short = matches!(how, How::KeepShort | How::PassShort);
        match self.index(|it, _| it == name) {
            Some(index) => integer(out, first, prefix, index),
            None => {
                out.push(first);
                string(out, name, short);
            }
        }
        string(out, value, short);
        if first == 0x40 {
            let size = name.len() + value.len() + 32;
            self.shrink(size);
            if size <= self.max {
                self.table.push_front((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// Drops the oldest until `more` fits.
    fn shrink(&mut self, more: usize) {
        let size = |table: &VecDeque<(String, String)>| -> usize {
            table.iter().map(|(name, value)| name.len() + value.len() + 32).sum()
        };
        while !self.table.is_empty() && size(&self.table) + more > self.max {
            self.table.pop_back();
        }
    }
}

fn integer(out: &mut Vec<u8>, first: u8, prefix: u32, mut value: usize) {
    let most = (1 << prefix) - 1;
    if value < most {
        return out.push(first | u8::try_from(value).unwrap());
    }
    out.push(first | u8::try_from(most).unwrap());
    value -= most;
    while value >= 128 {
        out.push(u8::try_from(value % 128).unwrap() | 0x80);
        value /= 128;
    }
    out.push(u8::try_from(value).unwrap());
}

fn string(out: &mut Vec<u8>, text: &str, short: bool) {
    let coded = if short { huffman::encode(text.as_bytes()) } else { text.as_bytes().to_vec() };
    integer(out, if short { 0x80 } else { 0 }, 7, coded.len());
    out.extend_from_slice(&coded);
}

/// Names that clients and servers use, of interest and not.
const NAMES: &[&str] = &[
    ":method",
    ":path",
    ":status",
    ":authority",
    "content-type",
    "grpc-status",
    "grpc-message",
    "user-agent",
    "cookie",
    "x-request-id",
    "authorization",
    "date",
    "content-length",
    "a-header-with-a-long-name",
];

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        6 => Just(How::Number),
        2 => Just(How::Keep),
        2 => Just(How::KeepShort),
        1 => Just(How::Pass),
        1 => Just(How::PassShort),
        1 => Just(How::Never),
    ]
}

type Said = (usize, String, How);

fn field() -> impl Strategy<Value = Said> {
    let value = prop_oneof![
        4 => "[a-c]{0,2}",
        2 => "[ -~]{0,40}",
        1 => prop::collection::vec(any::<char>(), 0..20).prop_map(String::from_iter),
        1 => "[a-z]{0,3}".prop_map(|text| text.repeat(500)),
    ];
    (0..NAMES.len(), value, how())
}

/// Blocks, some of them behind a new size of the table.
fn blocks() -> impl Strategy<Value = Vec<(Option<usize>, Vec<Said>)>> {
    let sizes = prop::option::weighted(0.1, prop_oneof![Just(0), Just(4096), 0usize..600]);
    prop::collection::vec((sizes, prop::collection::vec(field(), 0..12)), 1..40)
}

/// What the first field with each name says; of credentials the scheme.
fn truth(said: &[Said]) -> Vec<(Name, String)> {
    let mut fields: Vec<(Name, String)> = Vec::new();
    for (name, value, _) in said {
        let name = Name::of(NAMES[*name].as_bytes());
        let value = match name {
            Name::Authorization => value.get(..scheme(value.as_bytes()).len()).unwrap().to_owned(),
            _ if name.has_value() => value.clone(),
            _ => String::new(),
        };
        if (name as usize) < INTERESTING && fields.iter().all(|(other, _)| *other != name) {
            fields.push((name, value));
        }
    }
    fields
}

fn encode_all(blocks: &[(Option<usize>, Vec<Said>)]) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::default();
    let encode = |(size, said): &(Option<usize>, Vec<Said>)| {
        let mut out = Vec::new();
        if let Some(size) = size {
            encoder.resize(*size, &mut out);
        }
        let fields: Vec<_> =
            said.iter().map(|(name, value, how)| (NAMES[*name], value.as_str(), *how)).collect();
        out.extend(encoder.encode(&fields));
        out
    };
    blocks.iter().map(encode).collect()
}

/// Decodes a block and checks that whatever is known is true.
fn check_known(
    decoder: &mut Decoder,
    block: &[u8],
    extent: Extent,
    said: &[Said],
) -> Result<bool, TestCaseError> {
    let mut headers = Headers::new(Vec::new());
    let result = decoder.decode(block, extent, &mut headers);
    prop_assert_eq!(result, Ok(()));
    let truth = truth(said);
    let mut all = true;
    for (name, expect) in &truth {
        match value(&headers, *name) {
            Some(value) => {
                // With something hidden the first of several may be hidden.
                let is_one = said
                    .iter()
                    .filter(|(it, ..)| Name::of(NAMES[*it].as_bytes()) == *name)
                    .any(|(_, it, _)| *it == value || !name.has_value() || it.starts_with(&value));
                prop_assert!(value == *expect || (headers.hides_some() && is_one));
            }
            None => {
                prop_assert!(headers.hides_some());
                all = false;
            }
        }
    }
    for name in NAMES.iter().map(|name| Name::of(name.as_bytes())) {
        if (name as usize) < INTERESTING && headers.has(name) {
            prop_assert!(truth.iter().any(|(it, _)| *it == name));
        }
    }
    Ok(all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_encoded_is_decoded(blocks in blocks()) {
        let mut decoder = Decoder::default();
        for (block, (_, said)) in encode_all(&blocks).iter().zip(&blocks) {
            prop_assert!(check_known(&mut decoder, block, Extent::Whole, said)?);
            prop_assert!(decoder.table.is_complete());
        }
    }

    #[test]
    fn what_was_missed_is_unknown_and_nothing_is_wrong(
        blocks in blocks(),
        from in 0usize..40,
        losses in prop::collection::vec(0u8..8, 40),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut decoder = Decoder::default();
        decoder.spoil();
        let encoded = encode_all(&blocks);
        let from = from.min(encoded.len());
        for ((block, (_, said)), loss) in encoded.iter().zip(&blocks).zip(losses).skip(from) {
            match loss {
                // Lost, and cut off.
                0 => decoder.spoil(),
                1 => {
                    let cut = cut.index(block.len() + 1);
                    check_known(&mut decoder, &block[..cut], Extent::Beginning, said)?;
                }
                _ => {
                    check_known(&mut decoder, block, Extent::Whole, said)?;
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_survived(
        blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20),
        whole: bool,
    ) {
        let mut decoder = Decoder::default();
        for block in blocks {
            let mut headers = Headers::new(Vec::new());
            let extent = if whole { Extent::Whole } else { Extent::Beginning };
            let _ = decoder.decode(&block, extent, &mut headers);
            prop_assert!(headers.bytes.len() <= 4096 * 16);
        }
    }
}
