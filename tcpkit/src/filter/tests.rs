//! Tests of the filter without a kernel.

use super::*;
use crate::capture::LinkType;

fn parse(text: &str) -> Result<CaptureFilter, FilterError> {
    CaptureFilter::parse(&[text.to_owned()])
}

#[test]
fn words_may_be_separate_quoted_or_both() {
    let words = ["tcp".to_owned(), " port  6379 ".to_owned(), "or 6380".to_owned()];
    let filter = CaptureFilter::parse(&words).unwrap();
    assert_eq!(filter.expression(), "tcp port 6379 or 6380");
    assert_eq!(filter, parse("tcp port 6379 or 6380").unwrap());
}

#[test]
fn files_have_comments() {
    let text = "# Redis\ntcp port 6379 # the first\n\tor 6380\n";
    let filter = CaptureFilter::parse_file(text, true).unwrap();
    assert_eq!(filter, parse("tcp port 6379 or 6380").unwrap());
    assert_eq!(CaptureFilter::parse_file("# nothing\n", true).unwrap(), parse("").unwrap());
}

#[test]
fn ports_that_the_filter_names_are_servers() {
    let filter = parse("port 6379 or portrange 7000-7001").unwrap();
    for (port, named) in [(6379, true), (6380, false), (7000, true), (7001, true)] {
        assert_eq!(filter.server_port(port), named, "{port}");
    }
    assert!(!parse("tcp").unwrap().server_port(6379));
}

#[test]
fn errors_are_one_line_with_the_expression() {
    for text in
        ["tcp port 70000", "tcp and", "port", "host 1.2.3.4.5", "(tcp", "6379x", "ip[0:3] = 1"]
    {
        let message = parse(text).unwrap_err().to_string();
        assert!(message.starts_with("filter: ") && !message.contains('\n'), "{message}");
        assert!(message.contains(text), "{message}");
    }
    for text in ["ip protochain 6", "ip6 protochain \\tcp"] {
        let error = parse(text).unwrap_err();
        assert!(matches!(error, FilterError::Loop { .. }), "{error}");
        assert!(error.to_string().contains("protochain"), "{error}");
    }
}

#[test]
fn what_has_no_room_is_refused() {
    // Each sets A, in one instruction.
    let long = |len| {
        let mut program = vec![Classic { code: 0, jt: 0, jf: 0, k: 1 }; len];
        program.push(Classic::ret(1));
        Compiled::translate(program, View::Tc)
    };
    assert!(long(MAX_INSTRUCTIONS - 6).is_ok());
    let error = long(MAX_INSTRUCTIONS).unwrap_err();
    assert!(matches!(error, FilterError::TooLong { .. }), "{error}");
}

#[test]
fn what_only_the_kernel_has_no_room_for_selects_elsewhere() {
    let terms: Vec<_> = (0..5000).map(|len| format!("len = {len}")).collect();
    let filter = parse(&terms.join(" or ")).unwrap();
    let error = filter.for_kernel().unwrap_err();
    assert!(matches!(error, FilterError::TooLong { .. }), "{error}");
    assert!(filter.for_link(LinkType::Ethernet).is_ok());
    assert_eq!(parse("tcp port 1").unwrap().for_kernel(), Ok(()));
}

#[test]
fn what_needs_ethernet_selects_nothing_without() {
    let filter = parse("ether host 02:00:00:00:00:01").unwrap();
    assert!(filter.no_raw_ip().is_some());
    assert_eq!(filter.raw_ip().list_classic(), "(000) ret      #0\n");
    assert_eq!(parse("tcp port 1").unwrap().no_raw_ip(), None);
}

#[test]
fn tags_matter_when_they_are_named() {
    for (text, expect) in [
        ("vlan", true),
        ("not vlan 5", true),
        ("(vlan)and tcp", true),
        ("tcp", false),
        ("host vlan-gateway", false),
    ] {
        assert_eq!(names_vlans(text), expect, "{text}");
    }
}

#[test]
fn listings_are_readable() {
    let filter = parse("udp").unwrap();
    assert_eq!(
        filter.raw_ip().list_classic().lines().next(),
        Some("(000) ldb      [0]"),
        "as tcpdump"
    );
    let listing = filter.ethernet().list_ebpf();
    for words in ["   0: r6 = r1\n", "= be16 r7", "call 26", "exit", "if w7 != 0x11 goto +"] {
        assert!(listing.contains(words), "{words}: {listing}");
    }
}
