//! What clients send.

use super::*;

#[test]
fn commands_show_as_typed() {
    check(Request, &command("set foo bared"), &["> SET | ordered | set foo bared"]);
    check(Request, &command("GeT Foo"), &["> GET | ordered | GeT Foo"]);
    check(
        Request,
        &multibulk(&[b"SET", b"", b"a b", b"say \"hi\"", b"\x1b[2J"]),
        &[r#"> SET | ordered | SET "" "a b" "say \"hi\"" "\x1b[2J""#],
    );
}

#[test]
fn operations_have_their_subcommand() {
    check(
        Request,
        &command("config get maxmemory"),
        &["> CONFIG GET | ordered | config get maxmemory"],
    );
    check(
        Request,
        &command("xinfo stream s full"),
        &["> XINFO STREAM | ordered | xinfo stream s full"],
    );
    check(Request, &command("command"), &["> COMMAND | ordered | command"]);
    check(Request, &command("json.get doc"), &["> JSON.GET | ordered | json.get doc"]);
    check(Request, &multibulk(&[b"\xff\x1b", b"x"]), &[r#"> \xff\x1b | ordered | "\xff\x1b" x"#]);
}

#[test]
fn a_pipeline_is_that_many_requests() {
    let mut bytes = Vec::new();
    let mut expect = Vec::new();
    for i in 0..30 {
        bytes.extend(command(&format!("incr key:{i}")));
        expect.push(format!("> INCR | ordered | incr key:{i}"));
    }
    let expect: Vec<&str> = expect.iter().map(String::as_str).collect();
    check(Request, &bytes, &expect);
}

#[test]
fn inline_commands_are_requests() {
    check(Request, b"PING\r\n", &["> PING | ordered | PING"]);
    check(
        Request,
        b"ping\nset  foo\t'a b' \"c\\x00\"\r\n",
        &["> PING | ordered | ping", r#"> SET | ordered | set foo 'a b' "c\x00""#],
    );
    check(Request, b"config get save\r\n", &["> CONFIG GET | ordered | config get save"]);
    check(Request, b"set k \xc3\xa9\r\n", &["> SET | ordered | set k é"]);
}

#[test]
fn empty_commands_are_nothing() {
    check(Request, b"\r\n\n  \r\n*0\r\n*-1\r\n*-5\r\nping\r\n", &["> PING | ordered | ping"]);
    check(Request, b"*0\r\n", &[]);
}

#[test]
fn text_is_cut_at_its_bound() {
    for max_text in [0, 1, 2, 3, 5, 8, 20, 128] {
        let options = DecodeOptions { max_text, fields: true, ..DecodeOptions::default() };
        for arguments in [
            &[&b"set"[..], b"foo", &[b'x'; 3000]][..],
            &[b"set", &[b' '; 200], b"x"],
            &[b"set", "é".repeat(200).as_bytes(), b"x"],
            &[b"mset", b"a", b"1", b"b", b"2", b"c", b"3"],
            &[&[b'c'; 200], b"x"],
        ] {
            let driver = decode_all(Request, &multibulk(arguments), options.clone());
            assert_eq!((driver.seen.len(), driver.broken), (1, None));
            let text = &driver.seen[0].text;
            assert!(text.ends_with("...") || max_text < 3 || arguments.len() == 7, "{text}");
        }
    }
    let driver = decode_all(
        Request,
        &multibulk(&[b"set", b"foo", &[b'v'; 1000]]),
        DecodeOptions { max_text: 16, fields: false, ..DecodeOptions::default() },
    );
    assert_eq!(driver.seen[0].text, "set foo vvvvv...");
}

#[test]
fn large_values_are_skipped_by_their_length() {
    let mut driver = new_driver(DecodeOptions::default());
    driver.feed(Request, b"*3\r\n$3\r\nset\r\n$3\r\nbig\r\n$1000000000000\r\nvalue");
    driver.feed(Request, &[b'v'; 300]);
    let left = driver.skip[0];
    assert_eq!(left, 1_000_000_000_000 - 305);
    driver.skip[0] = 0;
    driver.turn(Request);
    driver.feed(Request, b"\r\n");
    driver.feed(Request, &command("get big"));
    let lines = driver.lines();
    assert!(lines[0].starts_with("> SET | ordered | set big valuevvv"), "{lines:?}");
    assert_eq!(lines[1], "> GET | ordered | get big");
    assert_eq!(driver.held, 0);
}

#[test]
fn fields_say_command_key_and_arguments() {
    let fields = |bytes: &[u8]| {
        let driver = decode_all(Request, bytes, DecodeOptions::default());
        driver.seen[0].fields.clone()
    };
    assert_eq!(fields(&command("set foo bar")), "command=SET key=foo args=2");
    assert_eq!(fields(&command("ping")), "command=PING args=0");
    assert_eq!(fields(&command("xinfo stream s")), "command=XINFO STREAM key=s args=2");
    assert_eq!(fields(&command("command")), "command=COMMAND args=0");
    assert_eq!(fields(&command("eval return 2 k1 k2 a")), "command=EVAL key=k1 args=5");
    assert_eq!(fields(&command("eval return 0 a")), "command=EVAL args=3");
    assert_eq!(fields(&command("zunion 2 a b")), "command=ZUNION key=a args=3");
    assert_eq!(fields(&command("xread count 2 streams s1 0")), "command=XREAD key=s1 args=5");
    assert_eq!(fields(&command("bitop and dst src")), "command=BITOP key=dst args=3");
    assert_eq!(fields(&command("foo.bar k")), "command=FOO.BAR args=1");
    assert_eq!(fields(b"get \"a b\"\r\n"), "command=GET key=a b args=1");
    assert_eq!(fields(&multibulk(&[b"get", b"\x1bk"])), "command=GET key=\\x1bk args=1");
    let long = fields(&multibulk(&[b"get", &[b'k'; 200]]));
    assert_eq!(long, format!("command=GET key={}... args=1", "k".repeat(125)));
}

#[test]
fn what_redis_refuses_is_invalid() {
    for bytes in [
        &b"*a\r\n"[..],
        b"*2147483648\r\n",
        b"*99999999999999999999\r\n",
        b"*03\r\n",
        b"*1\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$9223372036854775808\r\n",
        b"*1\r\n:1\r\n",
        b"*1\r\nping\r\n",
        b"*1\r\n$4\r\npingXX",
        b"*1\r\n$4\r\nping\rX",
        b"*11111111111111111111111111111111111111111111111111111111111111111111111111",
        b"+OK\r\n",
        b"$3\r\nfoo\r\n",
        b"\x00",
        b"ping \x00\r\n",
    ] {
        check_invalid(Request, bytes);
    }
}

#[test]
fn a_line_without_end_is_given_up() {
    let mut driver = new_driver(DecodeOptions::default());
    for _ in 0..1024 {
        driver.feed(Request, &[b'x'; 64]);
    }
    assert_eq!((driver.broken, driver.held), (None, 0));
    driver.feed(Request, b"x");
    assert!(driver.broken.is_some());
}

#[test]
fn a_request_of_many_arguments_costs_nothing() {
    let mut driver = new_driver(DecodeOptions::default());
    driver.feed(Request, b"*2147483647\r\n$4\r\nMSET\r\n");
    for _ in 0..10_000 {
        driver.feed(Request, b"$0\r\n\r\n$3\r\nabc\r\n");
    }
    assert_eq!((driver.broken, driver.held, driver.seen.len()), (None, 0, 0));
}
