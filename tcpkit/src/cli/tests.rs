//! What command lines mean, and which are refused.

use std::sync::Arc;

use super::*;

fn parse(line: &str) -> Cli {
    let cli =
        Cli::try_parse_from(line.split_whitespace()).expect("a valid command line").with_words();
    cli.check().expect("options that fit");
    cli
}

#[test]
fn the_definition_holds() {
    Cli::command().debug_assert();
}

#[test]
fn words_and_options_may_be_mixed() {
    let cli = parse("tcpkit -i eth0 tcp port 6379 -p redis -t 10 or port 6380");
    assert_eq!(cli.source.interfaces(), ["eth0"]);
    assert_eq!(cli.source.expression().join(" "), "tcp port 6379 or port 6380");
    assert_eq!(cli.threshold_ns(), 10_000_000);
}

#[test]
fn interfaces_are_repeated_or_listed() {
    assert_eq!(parse("tcpkit -i a,b -i c").source.interfaces(), ["a", "b", "c"]);
    assert_eq!(parse("tcpkit").source.interfaces(), ["any"]);
}

#[test]
fn thresholds_may_have_decimals() {
    assert_eq!(parse("tcpkit -p redis -t 0.5").threshold_ns(), 500_000);
    for bad in ["-1", "x", "1e12", "nan"] {
        let line = ["tcpkit", "-p", "redis", &format!("-t{bad}")];
        assert!(Cli::try_parse_from(line).is_err(), "{bad}");
    }
}

#[test]
fn wrong_usage_exits_2() {
    for line in [
        "tcpkit -p nonsense",
        "tcpkit -p redis -c 0",
        "tcpkit --bogus",
        "tcpkit -r f -Q in",
        "tcpkit -w f -G 0",
        "tcpkit -Q sideways",
    ] {
        let error = Cli::try_parse_from(line.split_whitespace()).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    for (line, expect) in [
        ("tcpkit -p redis -A", "-A is for printed packets"),
        ("tcpkit -p redis --print -w f", "--print is for printed packets"),
        ("tcpkit -p redis -w -", "-w - takes standard output"),
        ("tcpkit -w - --print", "-w - takes standard output"),
        ("tcpkit -w - -C 1", "-C and -G begin new files"),
        ("tcpkit -w - -S a.lua", "-w - takes standard output"),
        ("tcpkit -p redis -S a.lua -A", "-A is for printed packets"),
        ("tcpkit -p redis -S a.lua --workers 2", "there can be one of --workers only"),
        ("tcpkit --format json", "--format json is for requests"),
        ("tcpkit -p raw -t 1", "-t is for requests"),
        ("tcpkit -o f", "-o is for requests"),
        ("tcpkit --summary", "--summary is of requests"),
        ("tcpkit -P 0", "-P is for statistics of requests"),
        ("tcpkit --top", "--top is of requests: it needs -p"),
        ("tcpkit -p redis --top -S a.lua", "--top takes the terminal"),
        ("tcpkit -p redis --top -w -", "--top takes standard output"),
        ("tcpkit -p redis --top --format json", "--top prints no requests"),
    ] {
        let cli = Cli::try_parse_from(line.split_whitespace()).expect(line);
        let message = cli.check().expect_err(line);
        assert!(message.starts_with(expect), "{line}: {message}");
    }
}

#[test]
fn options_without_effect_are_taken_as_tcpdump_takes_them() {
    for line in ["-r f -i lo -s 0 -B 4096", "-U -l -nn -C 1", "-w f -X -e -q", "-x -X", "-W 2"] {
        parse(&format!("tcpkit {line}"));
    }
}

#[test]
fn without_a_protocol_packets_are_wanted() {
    for line in ["tcpkit", "tcpkit -p raw"] {
        let cli = parse(&format!("{line} -c 3"));
        assert!(cli.prints_packets());
        assert_eq!(cli.count(), Count::Packets(3));
    }
    let cli = parse("tcpkit -p redis -c 3 -w f");
    assert_eq!(cli.selection().map(|it| it.protocol(0).name), Some("redis"));
    assert_eq!(cli.count(), Count::Transactions(3));
    assert!(!parse("tcpkit -w f").prints_packets());
    assert!(parse("tcpkit -w f --print -A").prints_packets());
}

#[test]
fn statistics_can_be_asked_for_where_requests_are_followed() {
    let listen =
        |line: &str| parse(line).listen().map(|it| (it.address.to_string(), it.is_explicit));
    let at = |text: &str, is_explicit| Some((text.to_owned(), is_explicit));
    assert_eq!(listen("tcpkit -p redis"), at("127.0.0.1:33333", false));
    assert_eq!(listen("tcpkit -p redis -P 33333"), at("127.0.0.1:33333", true));
    assert_eq!(listen("tcpkit -p redis -r f -P 0.0.0.0:1"), at("0.0.0.0:1", true));
    for line in ["tcpkit", "tcpkit -P off", "tcpkit -p redis -P off", "tcpkit -p redis -r f"] {
        assert_eq!(listen(line), None, "{line}");
    }
    assert_eq!(parse("tcpkit -p redis").slow_ns(), 10_000_000);
    assert_eq!(parse("tcpkit -p redis -t 50 --slow 20").slow_ns(), 50_000_000);
}

#[test]
fn a_file_read_on_a_terminal_has_a_summary() {
    let prints = |line: &str| {
        let cli = parse(line);
        (cli.prints_summary(false), cli.prints_summary(true))
    };
    assert_eq!(prints("tcpkit -p redis -r f"), (false, true));
    assert_eq!(prints("tcpkit -p redis -r f --summary"), (true, true));
    assert_eq!(prints("tcpkit -p redis --summary"), (true, true));
    for line in ["tcpkit -p redis", "tcpkit -r f", "tcpkit -p redis -r f -S a.lua"] {
        assert_eq!(prints(line), (false, false), "{line}");
    }
}

#[test]
fn words_behind_two_hyphens_are_the_scripts_or_the_expressions() {
    let cli = parse("tcpkit -S a.lua tcp port 80 -- top=3 x");
    assert_eq!(cli.source.expression().join(" "), "tcp port 80");
    let options = cli.script.options(Arc::default()).expect("a script");
    assert_eq!(options.arguments, ["top=3", "x"]);
    let cli = parse("tcpkit -i lo -- tcp port 80");
    assert_eq!(cli.source.expression().join(" "), "tcp port 80");
}

#[test]
fn beside_a_script_lines_have_to_be_asked_for() {
    let cli = parse("tcpkit -S a.lua");
    assert!(!cli.prints_packets() && !cli.prints_transactions());
    assert_eq!((cli.snaplen(false), cli.snaplen(true)), (256, 16384));
    assert!(!parse("tcpkit -p redis --top -w f").prints_transactions());
    assert!(parse("tcpkit -S a.lua --print").prints_packets());
    assert!(parse("tcpkit -S a.lua -p redis --print").prints_transactions());
    for line in ["tcpkit --script-strict", "tcpkit --script-unsafe", "tcpkit --script-budget 1"] {
        assert!(Cli::try_parse_from(line.split_whitespace()).is_err(), "{line}");
    }
}

#[test]
fn a_snaplen_of_0_is_everything() {
    assert_eq!(parse("tcpkit -p redis -s 0").snaplen(false), u32::MAX);
    assert_eq!(parse("tcpkit -p redis -s 256").snaplen(false), 256);
    assert_eq!(parse("tcpkit -p redis").snaplen(false), source::DEFAULT_SNAPLEN);
    assert_eq!(parse("tcpkit -e").snaplen(false), source::LINES_SNAPLEN);
    for line in ["tcpkit -A", "tcpkit -x", "tcpkit -w f", "tcpkit -p redis -w f"] {
        assert_eq!(parse(line).snaplen(false), u32::MAX, "{line}");
    }
}
