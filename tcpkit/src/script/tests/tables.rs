//! The tables that callbacks get.

use super::*;
use crate::simulation::{Connection as Simulated, MS, cut};

/// A connection with two requests.
fn frames() -> Vec<SimFrame> {
    Simulated::open()
        .ask("*3\r\n$3\r\nset\r\n$3\r\nfoo\r\n$3\r\nbar\r\n")
        .wait(MS)
        .answer("+OK\r\n")
        .ask("*2\r\n$3\r\nget\r\n$3\r\nfoo\r\n")
        .answer("-ERR no\r\n")
        .close()
        .frames()
}

fn trial() -> Trial {
    Trial { frames: frames(), decodes: true, ..Trial::default() }
}

#[test]
fn a_packet_has_exactly_the_documented_fields() {
    let script = r#"
        function process(p)
            local names = {}
            p.payload = tcpkit.bytes.escape(p.payload)
            for name, value in pairs(p) do names[#names + 1] = name .. "=" .. tostring(value) end
            table.sort(names)
            print(table.concat(names, " "))
        end"#;
    let text = Trial { frames: cut(&frames(), 4), ..Trial::default() }.run(script).printed;
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[0],
        "ack=0 all_flags=2 dip=10.0.0.2 dport=6379 flags=2 interface=eth1 len=54 payload= proto=tcp request=true \
         seq=4294966995 sip=10.0.0.1 size=0 sport=40000 \
         time=1970-01-01T00:00:01.000010000Z time_ns=1000010000 tv_nsec=10000 tv_sec=1 \
         tv_usec=10 type=request window=1000"
    );
    assert_eq!(lines.len(), 10);
    // Of the payload there is what was captured.
    assert!(
        lines[3].contains(" size=31 ") && lines[3].contains("payload=*3\\x0d\\x0a"),
        "{}",
        lines[3]
    );
    assert!(lines[4].contains(" request=false ") && lines[4].contains("type=response"));
}

#[test]
fn datagrams_have_no_fields_of_tcp() {
    let mut frame = frames()[0].clone();
    let mut bytes = Vec::new();
    etherparse::PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv6([1; 16], [2; 16], 9)
        .udp(40_000, 6379)
        .write(&mut bytes, b"\x00\xff")
        .expect("a packet");
    (frame.captured, frame.bytes) = (bytes.len(), bytes);
    let outcome = Trial { frames: vec![frame], ..Trial::default() }.run(
        r#"function process(p)
            assert(p.seq == nil and p.ack == nil and p.flags == nil and p.window == nil)
            assert(p.all_flags == nil)
            print(p.proto, p.sip, p.type, p.size, tcpkit.bytes.hex(p.payload))
        end"#,
    );
    assert_eq!(outcome.printed, "udp\t101:101:101:101:101:101:101:101\trequest\t2\t00ff\n");
}

#[test]
fn bits_of_ecn_do_not_hide_a_syn() {
    let mut frames = frames();
    // ECE and CWR, as a client asks for ECN (RFC 3168, 6.1.1).
    frames[0].bytes[14 + 20 + 13] |= 0xc0;
    let script = "function process(p) print(p.flags, p.all_flags) tcpkit.stop() end";
    assert_eq!(Trial { frames, ..Trial::default() }.run(script).printed, "2\t194\n");
}

#[test]
fn a_script_may_keep_change_and_compare_packets() {
    let outcome = trial().run(
        r#"local kept = {}
        function process(p)
            p.mine, p.size = #kept, p.size + 1
            kept[#kept + 1] = p
        end
        function finish()
            for at, p in ipairs(kept) do
                assert(p.mine == at - 1 and rawget(p, "sport") and next(p))
                assert(at == 1 or p ~= kept[at - 1])
                assert(at == 1 or p.time_ns > kept[at - 1].time_ns)
                assert(p.time_ns == ("%d%09d"):format(p.tv_sec, p.tv_nsec))
            end
            print(#kept, kept[4].size, kept[4].nothing, tcpkit.elapsed_ns(kept[1], kept[10]))
        end"#,
    );
    assert_eq!((outcome.printed.as_str(), outcome.errors), ("10\t32\tnil\t1090000\n", 0));
}

/// The script of the older tool's introduction, to the letter.
const INTRODUCTION: &str = r#"function process(packet)
    if packet.size ~= 0 then -- skip the syn and ack
        local time_str = os.date('%Y-%m-%d %H:%M:%S', packet.tv_sec).."."..packet.tv_usec
        print(string.format("%s %s:%d=>%s:%d %s %u %u %d %u %s",
            time_str, packet.sip, packet.sport, packet.dip, packet.dport, type,
            packet.seq, packet.ack, packet.flags, packet.size, packet.payload))
    end
end
"#;

#[test]
fn the_script_of_the_introduction_runs_as_it_stands() {
    let outcome = trial().run(INTRODUCTION);
    assert_eq!(outcome.errors, 0);
    let (_, first) = outcome.printed.split_once(' ').expect("a date");
    // The hour depends on where the test runs.
    let (time, rest) = first.split_once(' ').expect("a time");
    assert!(time.ends_with(":01.40"), "{time}");
    assert!(
        rest.starts_with("10.0.0.1:40000=>10.0.0.2:6379 request 4294966996 1001 24 31 *3\r\n$3"),
        "{rest}"
    );
    assert!(outcome.printed.contains(" 10.0.0.2:6379=>10.0.0.1:40000 response 1001 "));
}

#[test]
fn outside_of_packets_type_is_lua_s() {
    let outcome = trial().run(
        r#"function process(p) assert(type(type) == "function" and tostring(type) == p.type) end
        function tick() end
        function finish()
            assert(tostring(type):find("^function: 0x"), tostring(type))
            assert(tostring(print):find("^function: 0x"), tostring(print))
        end"#,
    );
    assert_eq!(outcome.errors, 0);
    let failing = trial().run(
        r#"function process(p) error("x") end
        function finish() print(tostring(type):sub(1, 11)) end"#,
    );
    assert_eq!((failing.errors, failing.printed.as_str()), (10, "function: 0\n"));
}

#[test]
fn a_transaction_has_what_json_has_and_the_ends_apart() {
    let outcome = trial().run(
        r#"function transaction(t)
            print(t.client, t.client.ip, t.client.port, t.server == t.server, t.client == t.server)
            print("to " .. t.server, t.time, t.operation, t.request, t.response, t.status)
            print(t.latency_us, t.request_us + t.wait_us + t.response_us, t.request_bytes, t.quality)
            local names = {}
            for name in pairs(t) do names[#names + 1] = tostring(name) end
            table.sort(names)
            print(table.concat(names, " "), t.fields.key, t.fields.error)
        end"#,
    );
    let lines: Vec<_> = outcome.printed.lines().collect();
    assert_eq!(
        lines,
        [
            "10.0.0.1:40000\t10.0.0.1\t40000\ttrue\tfalse",
            "to 10.0.0.2:6379\t1970-01-01T00:00:01.000040000Z\tSET\tset foo bar\tnil\tok",
            "1010\t1010\t31\texact",
            "client fields latency_us operation protocol quality request request_bytes request_us \
             response_bytes response_us server status time time_ns tv_nsec tv_sec wait_us\tfoo\tnil",
            "10.0.0.1:40000\t10.0.0.1\t40000\ttrue\tfalse",
            "to 10.0.0.2:6379\t1970-01-01T00:00:01.001060000Z\tGET\tget foo\tnil\terror",
            "10\t10\t22\texact",
            "client fields latency_us operation protocol quality request request_bytes request_us \
             response_bytes response_us server status time time_ns tv_nsec tv_sec wait_us\tfoo\tERR no",
        ]
    );
}

#[test]
fn texts_of_a_kept_transaction_can_be_read_later() {
    let outcome = trial().run(
        r#"local kept = {}
        function transaction(t) kept[#kept + 1] = t end
        function finish()
            collectgarbage()
            print(kept[1].fields.key, kept[1].request, kept[2].request, kept[2].fields.error)
            kept[2].request = nil
            print(kept[2].request)
        end"#,
    );
    assert_eq!(outcome.printed, "foo\tset foo bar\tget foo\tERR no\nnil\n");
}

#[test]
fn connections_open_are_established_and_close() {
    let outcome = trial().run(
        r#"function connection(c)
            print(c.event, c.reason, c.id, c.client .. "=>" .. c.server, c.interface, c.midstream)
            print(c.connect_us, c.handshake_us, c.duration_us, c.time_ns, c.syn_retransmits)
            print(c.client_packets, c.client_bytes, c.server_packets, c.server_bytes)
            print(c.client_retransmits, c.server_retransmits, c.synack_retransmits)
        end"#,
    );
    let lines: Vec<_> = outcome.printed.lines().collect();
    assert_eq!(lines[0], "open\tnil\t1\t10.0.0.1:40000=>10.0.0.2:6379\teth1\tfalse");
    assert_eq!(lines[4], "established\tnil\t1\t10.0.0.1:40000=>10.0.0.2:6379\teth1\tfalse");
    assert_eq!(lines[5], "10\t20\t20\t1000030000\t0");
    assert_eq!(lines[8], "close\tfin\t1\t10.0.0.1:40000=>10.0.0.2:6379\teth1\tfalse");
    assert_eq!(lines[10], "5\t53\t4\t14");
    assert_eq!(lines.len(), 12);
}

#[test]
fn time_is_told_by_seconds_of_the_packets() {
    let second = 1_000_000_000;
    let frames =
        Simulated::open().ask("a").wait(second).ask("b").wait(5 * second).ask("c").frames();
    let outcome = Trial { frames, ..Trial::default() }.run(
        r#"function process(p) if p.size > 0 then print(p.payload) end end
        function tick(now) print("tick " .. now) end
        function finish() print("end") end"#,
    );
    assert_eq!(outcome.printed, "a\ntick 2\nb\ntick 7\nc\nend\n");
}

#[test]
fn init_gets_words_and_names() {
    let arguments = ["top=3", "--every=1.5", "word", "a=b=c"].map(str::to_owned).to_vec();
    let outcome = Trial { arguments, ..Trial::default() }.run(
        r#"function init(o) print(#o, o[1], o[3], o.top, o.every, o.a, o.word) end
        function finish() end"#,
    );
    assert_eq!(outcome.printed, "4\ttop=3\tword\t3\t1.5\tb=c\tnil\n");
}

#[test]
fn bytes_are_read_as_numbers() {
    let outcome = run(r#"
        local b = tcpkit.bytes
        local s = "\1\2\3\4\5\6\7\8\255\254"
        function finish()
            print(b.u8(s), b.u8(s, 9), b.i8(s, 9), b.u8(s, 11), b.u8le(s, 2))
            print(b.u16(s), b.u16le(s), b.i16(s, 9), b.i16le(s, 9), b.u16(s, 10))
            print(b.u24(s), b.u24le(s), b.i24le(s, 8), b.u24(s, 9))
            print(b.u32(s), b.u32le(s), b.i32(s, 7), b.i32le(s, 7), b.u32(s, 8))
            print(("%.0f %x %x"):format(b.u64(s)))
            print(("%.0f %x %x"):format(b.u64le(s)))
            print(b.i64(("\255"):rep(8)), b.i64le("\254" .. ("\255"):rep(7)), b.u64(s, 4))
            print(b.hex(s, 9), b.hex("az"), b.escape("a\n\27[1m\255é~"))
        end"#);
    assert_eq!(
        outcome.printed.lines().collect::<Vec<_>>(),
        [
            "1\t255\t-1\tnil\t2",
            "258\t513\t-2\t-257\tnil",
            "66051\t197121\t-65784\tnil",
            "16909060\t67305985\t118030334\t-16840697\tnil",
            "72623859790382848 1020304 5060708",
            "578437695752307200 8070605 4030201",
            "-1\t-2\tnil",
            "fffe\t617a\ta\\x0a\\x1b[1m\\xff\\xc3\\xa9~",
        ],
        "{outcome:?}"
    );
}

#[test]
fn reports_go_where_they_belong() {
    let outcome = run(r#"
        function finish()
            tcpkit.emit { b = { 1, 2 }, a = "x" }
            tcpkit.metric("m", { host = "a" }, 1)
            tcpkit.metric("m", { host = "a" }, 2)
            tcpkit.log("only a note", "debug")
            local h = tcpkit.histogram()
            h:record(5)
            print(h:percentile(50), tcpkit.version)
        end"#);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(outcome.printed, format!("{{\"a\":\"x\",\"b\":[1,2]}}\n5\t{version}\n"));
    assert_eq!((outcome.metrics.as_str(), outcome.errors), ("m{host=\"a\"} 2\n", 0));
}
