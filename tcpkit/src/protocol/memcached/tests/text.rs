//! The classic commands of the text protocol.

use super::*;

#[test]
fn ordinary_commands_are_answered_in_order() {
    check(
        &[
            "> set a 5 0 3|one|",
            "< STORED|",
            "> get a|",
            "< VALUE a 5 3|one|END|",
            "> delete a|incr n 5|decr n 1|touch a 100|",
            "< DELETED|15|14  |TOUCHED|",
            "> gat 100 a b|gats 7 a|gets a b|",
            "< VALUE a 0 1|x|END|VALUE a 0 1 17|y|END|END|",
            "> append a 0 0 1|x|prepend a 0 0 1|x|cas a 0 0 1 17|x|add a 0 0 0||replace a 0 -1 1|x|",
            "< STORED|STORED|EXISTS|NOT_STORED|NOT_STORED|",
        ],
        &[
            "> SET | ordered | set a 5 0 3 one",
            "< ok | ordered",
            "> GET | ordered | get a",
            "< ok | ordered",
            "> DELETE | ordered | delete a",
            "> INCR | ordered | incr n 5",
            "> DECR | ordered | decr n 1",
            "> TOUCH | ordered | touch a 100",
            "< ok | ordered",
            "< ok | ordered",
            "< ok | ordered",
            "< ok | ordered",
            "> GAT | ordered | gat 100 a b",
            "> GATS | ordered | gats 7 a",
            "> GETS | ordered | gets a b",
            "< ok | ordered | 1 of 2",
            "< ok | ordered",
            "< ok | ordered | MISS",
            "> APPEND | ordered | append a 0 0 1 x",
            "> PREPEND | ordered | prepend a 0 0 1 x",
            "> CAS | ordered | cas a 0 0 1 17 x",
            "> ADD | ordered | add a 0 0 0 \"\"",
            "> REPLACE | ordered | replace a 0 -1 1 x",
            "< ok | ordered",
            "< ok | ordered",
            "< ok | ordered | EXISTS",
            "< ok | ordered | NOT_STORED",
            "< ok | ordered | NOT_STORED",
        ],
    );
}

#[test]
fn values_may_say_anything() {
    check(
        &[
            "> set a 0 0 34|END|VALUE a 0 1|STORED|get a|x|",
            "< STORED|",
            "> get a b|",
            "< VALUE a 0 34|END|VALUE a 0 1|STORED|get a|x|VALUE b 0 7|ERROR||END|",
        ],
        &[
            "> SET | ordered | set a 0 0 34 \"END\\r\\nVALUE a 0 1\\r\\nSTORED\\r\\nget a\\r\\nx\"",
            "< ok | ordered",
            "> GET | ordered | get a b",
            "< ok | ordered",
        ],
    );
}

#[test]
fn errors_are_shown() {
    check(
        &[
            "> nosuch a|get|incr a x|get a|get b|\n",
            "< ERROR|ERROR|CLIENT_ERROR invalid numeric delta argument|",
            "< VALUE a 0 1|x|SERVER_ERROR out of memory writing get response|SERVER_ERROR x|ERROR|",
        ],
        &[
            "> NOSUCH | ordered | nosuch a",
            "> GET | ordered | get",
            "> INCR | ordered | incr a x",
            "> GET | ordered | get a",
            "> GET | ordered | get b",
            "> EMPTY | ordered",
            "< error | ordered | ERROR",
            "< error | ordered | ERROR",
            "< error | ordered | CLIENT_ERROR invalid numeric delta argument",
            "< error | ordered | SERVER_ERROR out of memory writing get response",
            "< error | ordered | SERVER_ERROR x",
            "< error | ordered | ERROR",
        ],
    );
}

#[test]
fn an_operators_commands_are_answered_by_lines() {
    check(
        &[
            "> stats|stats items|stats reset|stats cachedump 1 10|stats detail dump|",
            "< STAT pid 1|STAT uptime 2|END|END|RESET|ITEM a [1 b; 0 s]|END|PREFIX a get 1|END|",
            "> version|verbosity 1|flush_all|slabs reassign 1 2|cache_memlimit 1|",
            "< VERSION 1.6.18|OK|OK|BUSY currently processing reassign request|MEMLIMIT_TOO_SMALL x|",
            "> lru_crawler metadump all|lru_crawler mgdump all|shutdown|quit|",
            "< key=a exp=-1 la=1|key=b exp=-1|END|mg a|mg b|EN|ERROR: shutdown not enabled|",
        ],
        &[
            "> STATS | ordered | stats",
            "> STATS | ordered | stats items",
            "> STATS | ordered | stats reset",
            "> STATS | ordered | stats cachedump 1 10",
            "> STATS | ordered | stats detail dump",
            "< ok | ordered",
            "< ok | ordered",
            "< ok | ordered",
            "< ok | ordered",
            "< ok | ordered",
            "> VERSION | ordered | version",
            "> VERBOSITY | ordered | verbosity 1",
            "> FLUSH_ALL | ordered | flush_all",
            "> SLABS | ordered | slabs reassign 1 2",
            "> CACHE_MEMLIMIT | ordered | cache_memlimit 1",
            "< ok | ordered",
            "< ok | ordered",
            "< ok | ordered",
            "< ok | ordered | BUSY currently processing reassign request",
            "< ok | ordered | MEMLIMIT_TOO_SMALL x",
            "> LRU_CRAWLER | ordered | lru_crawler metadump all",
            "> LRU_CRAWLER | ordered | lru_crawler mgdump all",
            "> SHUTDOWN | ordered | shutdown",
            "> QUIT | one-way | quit",
            "< ok | ordered",
            "< ok | ordered",
            "< error | ordered | ERROR: shutdown not enabled",
        ],
    );
}

#[test]
fn a_watcher_gets_lines_and_no_answers() {
    check(
        &["> watch fetchers|", "< OK|", "< ts=1 gid=1 type=item_get key=a|END|", "> get a|"],
        &[
            "> WATCH | ordered | watch fetchers",
            "< ok | ordered",
            "< ok | one-way",
            "< ok | one-way",
            "> GET | one-way | get a",
        ],
    );
    check(
        &["> watch bad|get a|", "< ERROR|END|"],
        &[
            "> WATCH | ordered | watch bad",
            "> GET | ordered | get a",
            "< error | ordered | ERROR",
            "< ok | ordered | MISS",
        ],
    );
}

/// As servers do, which read so many bytes and two more, and then look for a command.
#[test]
fn a_value_of_another_length_than_announced_is_taken_by_its_announced_one() {
    check(
        &["> set a 0 0 3|toolong|get a|", "< CLIENT_ERROR bad data chunk|ERROR|END|"],
        &[
            "> SET | ordered | set a 0 0 3 too",
            "> NG | ordered | ng",
            "> GET | ordered | get a",
            "< error | ordered | CLIENT_ERROR bad data chunk",
            "< error | ordered | ERROR",
            "< ok | ordered | MISS",
        ],
    );
}

#[test]
fn a_store_without_a_length_has_no_value() {
    check(
        &[
            "> set a 0 0|set a x y z|set a 0 0 -1|get a|",
            "< ERROR|CLIENT_ERROR x|CLIENT_ERROR y|END|",
        ],
        &[
            "> SET | ordered | set a 0 0",
            "> SET | ordered | set a x y z",
            "> SET | ordered | set a 0 0 -1",
            "> GET | ordered | get a",
            "< error | ordered | ERROR",
            "< error | ordered | CLIENT_ERROR x",
            "< error | ordered | CLIENT_ERROR y",
            "< ok | ordered | MISS",
        ],
    );
}

/// Before 1.6.22 servers take what follows for a command, later ones for the value.
#[test]
fn after_a_store_that_servers_read_differently_nothing_is_claimed() {
    let long = "k".repeat(251);
    let request = format!("> set {long} 0 0 5|value|get a|");
    let shown = format!("> SET | ordered | set {}...", "k".repeat(121));
    let answered = "< error | ordered | CLIENT_ERROR bad command line format";
    for rest in ["ERROR|END|", "END|"] {
        let response = format!("< CLIENT_ERROR bad command line format|{rest}");
        check_ends(&[&request, &response], &[&shown, answered]);
    }
    for line in ["set a x 0 5", "set a 0 x 5", "cas a 0 0 5 x", "set a 0 0 5 6", "ms a S5"] {
        let driver = play(&dialogue(&[&format!("> {line}|value|get a|"), "< CLIENT_ERROR x|END|"]));
        assert_eq!(driver.seen.len(), 2, "{line}");
        assert!(driver.broken.is_some(), "{line}");
    }
    check_ends(&[&format!("> set {long} 0 0 5 noreply|value|get a|"), "< ERROR|END|"], &[]);
}

#[test]
fn a_large_value_may_be_refused_before_it_came() {
    let (begun, rest) = ("x".repeat(500), "x".repeat(1500));
    check(
        &[
            &format!("> set a 0 0 2000|{begun}"),
            "< SERVER_ERROR object too large for cache|",
            &format!("> {rest}|get a|"),
            "< END|",
        ],
        &[
            &format!("> SET | ordered first | set a 0 0 2000 {}...", "x".repeat(110)),
            "< error | ordered | SERVER_ERROR object too large for cache",
            ">  | ordered last",
            "> GET | ordered | get a",
            "< ok | ordered | MISS",
        ],
    );
}

#[test]
fn a_line_of_many_keys_is_read_piece_by_piece() {
    let keys: String = (0..3000).map(|key| format!(" key-{key}")).collect();
    let driver = play(&dialogue(&[&format!("> get{keys}|version|"), "< END|VERSION x|"]));
    assert_eq!(driver.broken, None);
    assert!(driver.held <= 16 * 1024);
    let fields = &driver.seen[0].fields;
    assert_eq!(fields, "command=GET key=key-0 keys=3000");
    assert!(driver.seen[0].text.ends_with("..."));
    assert_eq!(driver.seen[2].fields, "result=MISS hits=0 misses=3000");
    check_ends(&[&format!("> set{keys}|")], &[]);
    check_ends(&[&format!("> get {}|", "k".repeat(20_000))], &[]);
}

#[test]
fn hostile_keys_reach_no_terminal() {
    check(
        &["> get \u{1b}[2J\u{202e}|", "< END|"],
        &["> GET | ordered | get \\x1b[2J\\xe2\\x80\\xae", "< ok | ordered | MISS"],
    );
    check_ends(&["> nosuch\u{1} x|"], &[]);
}

/// Where servers ask for a password, clients set it before anything else.
#[test]
fn what_may_be_a_password_is_not_shown() {
    check(
        &[
            "> set auth 0 0 11|bob hunter1|",
            "< CLIENT_ERROR authentication failure|",
            "> set auth 0 0 11|bob hunter2|",
            "< STORED|",
            "> set a 0 0 5|b und|",
        ],
        &[
            "> SET | ordered | set auth 0 0 11 (redacted)",
            "< error | ordered | CLIENT_ERROR authentication failure",
            "> SET | ordered | set auth 0 0 11 (redacted)",
            "< ok | ordered",
            "> SET | ordered | set a 0 0 5 \"b und\"",
        ],
    );
    let request = bytes("set auth 0 0 15|bob hunter2-34567|");
    for from in 0..request.len() {
        for to in from + 1..=request.len() {
            let mut driver = new_driver();
            driver.feed(Request, &request[..from]);
            if driver.lose(Request, (to - from) as u64) {
                driver.feed(Request, &request[to..]);
            }
            assert!(driver.seen.iter().all(|seen| !seen.text.contains("hu")), "{from}..{to}");
        }
    }
}

#[test]
fn fields_say_what_was_asked_and_found() {
    check_fields(
        "get a b c|",
        "VALUE a 0 3|one|VALUE c 0 2|xx|END|",
        ["command=GET key=a keys=3", "result=PARTIAL hits=2 misses=1 reply_bytes=5"],
    );
    check_fields(
        "cas a 1 60 3 17|one|",
        "STORED|",
        ["command=CAS key=a exptime=60 bytes=3", "result=STORED"],
    );
    check_fields("incr a 2|", "17|", ["command=INCR key=a", "result=17"]);
    check_fields("touch a 9|", "NOT_FOUND|", ["command=TOUCH key=a exptime=9", "result=NOT_FOUND"]);
    check_fields(
        "gat 9 a|",
        "END|",
        ["command=GAT key=a exptime=9 keys=1", "result=MISS hits=0 misses=1"],
    );
    check_fields("version|", "VERSION 1.6.18|", ["command=VERSION", "result=VERSION"]);
    check_fields("get|", "ERROR|", ["command=GET", "result=ERROR error=ERROR"]);
}

#[test]
fn what_cannot_be_an_answer_ends_the_pairing() {
    check_ends(&["> get a|", "< STORED|"], &["> GET | ordered | get a"]);
    check_ends(&["> set a 0 0 1|x|", "< END|"], &["> SET | ordered | set a 0 0 1 x"]);
    check_ends(&["> mn|", "< HD|"], &["> MN | ordered | mn"]);
    check_ends(&["> get a|", "< VALUE a 0 1|x|STORED|"], &["> GET | ordered | get a"]);
    check_ends(&["> stats|", "< STAT a 1|STORED|"], &["> STATS | ordered | stats"]);
    check_ends(&["> get a|", "< VALUE a 0 x|"], &["> GET | ordered | get a"]);
}
