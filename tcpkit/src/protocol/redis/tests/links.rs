//! Connections whose replies are not simply one for each request.

use super::*;

/// Plays a dialogue of lines `> words` and `< bytes`, with CRLF written as `|`, and compares the
/// correlations: `=` ordered, `!` one way, one for each message.
fn check_dialogue(lines: &[&str], expect: &str) {
    for size in [usize::MAX, 1, 5] {
        let mut driver = new_driver(DecodeOptions::default());
        for line in lines {
            let (direction, bytes) = match line.split_at(2) {
                ("> ", words) => (Request, command(words)),
                (_, reply) => (Response, reply.replace('|', "\r\n").into_bytes()),
            };
            for piece in bytes.chunks(size) {
                driver.feed(direction, piece);
            }
        }
        assert_eq!(driver.broken, None, "{lines:?}");
        let got: String = driver
            .seen
            .iter()
            .map(|seen| match (seen.direction, seen.correlation) {
                (Request, Correlation::Ordered) => ">=",
                (Request, _) => ">!",
                (Response, Correlation::Ordered) => "<=",
                (Response, _) => "<!",
            })
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(got, expect, "{lines:?}");
    }
}

#[test]
fn further_confirmations_and_messages_answer_nothing() {
    check_dialogue(
        &[
            "> subscribe a b",
            "< *3|$9|subscribe|$1|a|:1|*3|$9|subscribe|$1|b|:2|",
            "< *3|$7|message|$1|a|$2|hi|",
            "> ping",
            "< *3|$7|message|$1|a|$2|hi|",
            "< *2|$4|pong|$0||",
            "> psubscribe *",
            "< *3|$10|psubscribe|$1|*|:3|",
            "< *4|$8|pmessage|$1|*|$1|a|$2|hi|",
            "> unsubscribe",
            "< *3|$11|unsubscribe|$1|a|:2|*3|$11|unsubscribe|$1|b|:1|",
            "> punsubscribe",
            "< *3|$12|punsubscribe|$1|*|:0|",
            "> lrange x 0 -1",
            "< *3|$7|message|$1|a|$2|hi|",
        ],
        ">= <= <! <! >= <! <= >= <= <! >= <= <! >= <= >= <=",
    );
}

#[test]
fn pipelined_subscriptions_are_answered_one_by_one() {
    check_dialogue(
        &[
            "> get x",
            "> subscribe a b",
            "> subscribe c",
            "> unsubscribe a b c",
            "> unsubscribe",
            "> get y",
            "< $-1|",
            "< *3|$9|subscribe|$1|a|:1|*3|$9|subscribe|$1|b|:2|",
            "< *3|$9|subscribe|$1|c|:3|",
            "< *3|$11|unsubscribe|$1|a|:2|*3|$11|unsubscribe|$1|b|:1|*3|$11|unsubscribe|$1|c|:0|",
            "< *3|$11|unsubscribe|$-1|:0|",
            "< $1|y|",
        ],
        ">= >= >= >= >= >= <= <= <! <= <= <! <! <= <=",
    );
}

#[test]
fn pushes_confirm_in_resp3() {
    check_dialogue(
        &[
            "> subscribe a b",
            "< >3|$9|subscribe|$1|a|:1|>3|$9|subscribe|$1|b|:2|",
            "> get x",
            "< >3|$7|message|$1|a|$2|hi|",
            "< >2|$10|invalidate|*1|$1|x|",
            "< *3|$7|message|$1|a|$2|hi|",
            "> unsubscribe",
            "< >3|$11|unsubscribe|$1|b|:1|>3|$11|unsubscribe|$1|a|:0|",
            "> unsubscribe",
            "< >3|$11|unsubscribe|_|:0|",
        ],
        ">= <= <! >= <! <! <= >= <= <! >= <=",
    );
}

#[test]
fn refused_subscriptions_are_ordinary() {
    check_dialogue(
        &["> subscribe a b", "< -NOPERM no|", "> get x", "< $-1|", "> subscribe a", "< -ERR x|"],
        ">= <= >= <= >= <=",
    );
}

#[test]
fn exec_that_subscribes_is_one_reply() {
    check_dialogue(
        &[
            "> multi",
            "< +OK|",
            "> subscribe a b",
            "< +QUEUED|",
            "> ping",
            "< +QUEUED|",
            "> exec",
            "< *2|*3|$9|subscribe|$1|a|:1|*3|$9|subscribe|$1|b|:2|*2|$4|pong|$0||",
            "< *3|$7|message|$1|a|$2|hi|",
            "> ping",
            "< *2|$4|pong|$0||",
        ],
        ">= <= >= <= >= <= >= <= <! >= <=",
    );
}

#[test]
fn transactions_are_ordinary() {
    check_dialogue(
        &["> multi", "> set a 1", "> exec", "< +OK|+QUEUED|*1|+OK|", "> discard", "< -ERR x|"],
        ">= >= >= <= <= <= >= <=",
    );
}

#[test]
fn silenced_requests_wait_for_nothing() {
    check_dialogue(
        &[
            "> client reply off",
            "> set a 1",
            "> client reply skip",
            "> get a",
            "> client reply on",
            "> get a",
            "< +OK|$1|1|",
        ],
        ">! >! >! >! >= >= <= <=",
    );
    check_dialogue(
        &["> client reply skip", "> set a 1", "> get a", "< $1|1|", "> client reply x", "< -ERR|"],
        ">! >! >= <= >= <=",
    );
    check_dialogue(
        &["> client reply skip", "> client reply on", "> get a", "< +OK|$1|1|"],
        ">! >= >= <= <=",
    );
    check_dialogue(
        &[
            "> client reply off",
            "> subscribe a",
            "< *3|$9|subscribe|$1|a|:1|",
            "> ping",
            "> reset",
            "> ping",
            "< +RESET|+PONG|",
        ],
        ">! >= <= >! >= >= <= <=",
    );
}

#[test]
fn a_reply_to_the_silenced_ends_the_silence() {
    check_dialogue(&["> client reply off", "< -NOAUTH|", "> get a", "< -NOAUTH|"], ">! <= >= <=");
}

#[test]
fn the_monitors_feed_answers_nothing() {
    check_dialogue(
        &[
            "> monitor",
            "< +OK|",
            r#"< +1795336510.794225 [0 127.0.0.1:50602] "get" "x"|"#,
            "> ping",
            r#"< +1795336510.794225 [0 127.0.0.1:50602] "ping"|"#,
            "< +PONG|",
            "> reset",
            "< +RESET|",
            "> get x",
            "< +1795336510.794225 [0 127|",
        ],
        ">= <= <! >= <! <= >= <= >= <=",
    );
    check_dialogue(&["> monitor", "< -NOPERM|", "> get x", "< +1.5 [0|"], ">= <= >= <=");
}

#[test]
fn a_replication_link_is_let_pass() {
    for (psync, answer) in
        [("> psync ? -1", "< +FULLRESYNC 0123 0|"), ("> sync", "< \n\n$172|REDIS")]
    {
        let mut lines = vec![psync, answer];
        lines.extend(["< $EOF:rubbish \u{1}\u{2}", "> replconf ack 17", "< *1|$4|PING|"]);
        check_dialogue(&lines, ">= <=");
    }
    check_dialogue(&["> psync ? -1", "< -NOMASTERLINK|", "> get x", "< $-1|"], ">= <= >= <=");
    check_dialogue(
        &["< *1|$4|PING|", "> replconf ack 17", "< *2|$6|SELECT|$1|0|", "> replconf ack 99"],
        "<= >! <! >!",
    );
    let mut driver = new_driver(DecodeOptions::default());
    driver.feed(Request, &command("psync ? -1"));
    driver.feed(Response, b"+CONTINUE\r\nxyz");
    assert!(driver.lose(Response, 1 << 40));
    assert!(driver.lose(Request, 5));
}

#[test]
fn messages_show_a_subscription_that_was_not_seen() {
    check_dialogue(
        &[
            "< *3|$7|message|$1|a|$2|hi|",
            "> ping",
            "< *4|$8|pmessage|$1|*|$1|a|$2|hi|",
            "< *2|$4|pong|$0||",
            "> unsubscribe",
            "< *3|$11|unsubscribe|$1|a|:0|",
            "> get x",
            "< *3|$7|message|$1|a|$2|hi|",
        ],
        "<! >= <! <= >= <= >= <=",
    );
}

#[test]
fn too_much_under_way_is_given_up() {
    let mut driver = new_driver(DecodeOptions::default());
    for _ in 0..100_000 {
        driver.feed(Request, &command("subscribe a b"));
    }
    assert!(driver.broken.is_some());
}
