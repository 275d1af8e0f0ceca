//! What tshark makes of a capture: which request was answered when.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    path::Path,
    process::{Command, Stdio},
};

/// A request and its response, by the packets in which they are complete.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Exchange {
    pub(crate) client: String,
    /// When it was asked, in ns since the Unix epoch: with the request's last byte, or with the first where
    /// a server may answer before it has all.
    pub(crate) asked_ns: u64,
    pub(crate) answered_ns: u64,
    /// What tells it apart from others: a number that both sides say, or how it ended.
    pub(crate) label: String,
}

/// How requests and responses are found in what tshark says.
pub(crate) type Reader = fn(&Path) -> Vec<Exchange>;

/// What every packet is asked for.
const EVERY: [&str; 6] =
    ["frame.number", "frame.time_epoch", "ip.src", "tcp.srcport", "ip.dst", "tcp.dstport"];

/// Ports that tshark does not know to be of their protocol, or takes for another's, by the captures' folder.
const DECODED_AS: &[(&str, &[&str])] = &[
    ("memcached", &["tcp.port==11212,memcache", "tcp.port==11213,memcache"]),
    ("http2", &["tcp.port==81,http2", "tcp.port==3000,http2", "tcp.port==8000,http2"]),
];

/// A packet and the fields that were asked for, each as often as it is there.
struct Packet {
    number: u64,
    time_ns: u64,
    source: End,
    destination: End,
    fields: Vec<Vec<String>>,
}

/// An address and a port.
type End = (String, u16);

impl Packet {
    /// The server has the lower port.
    fn by_client(&self) -> bool {
        self.source.1 > self.destination.1
    }

    fn client(&self) -> &End {
        if self.by_client() { &self.source } else { &self.destination }
    }
}

fn shown(end: &End) -> String {
    format!("{}:{}", end.0, end.1)
}

fn tshark(capture: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(capture).args(arguments);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn packets(capture: &Path, filter: &str, fields: &[&str]) -> Vec<Packet> {
    let mut arguments = vec!["-Y", filter, "-T", "fields"];
    let folder = |name: &str| capture.parent().is_some_and(|parent| parent.ends_with(name));
    for (_, ports) in DECODED_AS.iter().filter(|it| folder(it.0)) {
        ports.iter().for_each(|port| arguments.extend(["-d", port]));
    }
    for field in EVERY.iter().chain(fields) {
        arguments.extend(["-e", field]);
    }
    let text = tshark(capture, &arguments);
    let list = |text: &str| -> Vec<String> {
        text.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect()
    };
    text.lines()
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let [number, time, source, sport, destination, dport, fields @ ..] = &columns[..]
            else {
                panic!("{line:?}");
            };
            Packet {
                number: number.parse().unwrap(),
                time_ns: epoch_ns(time),
                source: ((*source).to_owned(), sport.parse().unwrap()),
                destination: ((*destination).to_owned(), dport.parse().unwrap()),
                fields: fields.iter().map(|field| list(field)).collect(),
            }
        })
        .collect()
}

/// Seconds with nine digits behind the point.
fn epoch_ns(text: &str) -> u64 {
    let (seconds, rest) = text.split_once('.').unwrap();
    assert_eq!(rest.len(), 9, "{text}");
    seconds.parse::<u64>().unwrap() * 1_000_000_000 + rest.parse::<u64>().unwrap()
}

/// Responses name the packet with their request.
fn by_request_frame(packets: &[Packet], request_frame: usize, label: usize) -> Vec<Exchange> {
    let times: HashMap<u64, u64> = packets.iter().map(|it| (it.number, it.time_ns)).collect();
    let mut exchanges = Vec::new();
    for packet in packets {
        for (frame, label) in packet.fields[request_frame].iter().zip(&packet.fields[label]) {
            exchanges.push(Exchange {
                client: shown(&packet.destination),
                asked_ns: times[&frame.parse().unwrap()],
                answered_ns: packet.time_ns,
                label: label.clone(),
            });
        }
    }
    exchanges
}

pub(crate) fn http(capture: &Path) -> Vec<Exchange> {
    let packets = packets(capture, "http", &["http.request_in", "http.response.code"]);
    by_request_frame(&packets, 0, 1)
}

/// Where informational responses come first, which tshark takes for the answers: in their order, final
/// responses belong to the requests.
pub(crate) fn http_in_order(capture: &Path) -> Vec<Exchange> {
    let fields = ["http.request.method", "http.response.code"];
    let mut waiting: HashMap<End, VecDeque<u64>> = HashMap::new();
    let mut exchanges = Vec::new();
    for packet in packets(capture, "http", &fields) {
        let waiting = waiting.entry(packet.client().clone()).or_default();
        waiting.extend(packet.fields[0].iter().map(|_| packet.time_ns));
        for code in packet.fields[1].iter().filter(|code| !code.starts_with('1')) {
            exchanges.extend(waiting.pop_front().map(|asked_ns| Exchange {
                client: shown(packet.client()),
                asked_ns,
                answered_ns: packet.time_ns,
                label: code.clone(),
            }));
        }
    }
    exchanges
}

/// By the numbers that requests and responses carry: those newer than tshark are wrong to it, but for that.
pub(crate) fn kafka(capture: &Path) -> Vec<Exchange> {
    let mut open = HashMap::new();
    let mut exchanges = Vec::new();
    for packet in packets(capture, "kafka", &["kafka.correlation_id"]) {
        for id in &packet.fields[0] {
            let key = (packet.client().clone(), id.clone());
            if packet.by_client() {
                open.insert(key, packet.time_ns);
            } else if let Some(asked_ns) = open.remove(&key) {
                exchanges.push(Exchange {
                    client: shown(&key.0),
                    asked_ns,
                    answered_ns: packet.time_ns,
                    label: key.1,
                });
            }
        }
    }
    exchanges
}

/// From the packet with a stream's HEADERS to the one in which the server ends it or one gives it up.
pub(crate) fn http2(capture: &Path) -> Vec<Exchange> {
    const DATA: &str = "0";
    const HEADERS: &str = "1";
    const RST_STREAM: &str = "3";
    const END_STREAM: u8 = 1;
    let fields = ["http2.streamid", "http2.type", "http2.flags"];
    let mut open = HashMap::new();
    let mut exchanges = Vec::new();
    for packet in packets(capture, "http2", &fields) {
        let [streams, types, flags] = &packet.fields[..] else { panic!("three fields") };
        for ((stream, kind), flags) in streams.iter().zip(types).zip(flags) {
            let key = (packet.client().clone(), stream.clone());
            let flags = u8::from_str_radix(flags.trim_start_matches("0x"), 16).unwrap();
            if packet.by_client() && kind == HEADERS {
                open.entry(key.clone()).or_insert(packet.time_ns);
            }
            let carries = kind == DATA || kind == HEADERS;
            let ends = !packet.by_client() && carries && flags & END_STREAM != 0;
            if (ends || kind == RST_STREAM)
                && let Some(asked_ns) = open.remove(&key)
            {
                exchanges.push(Exchange {
                    client: shown(&key.0),
                    asked_ns,
                    answered_ns: packet.time_ns,
                    label: key.1,
                });
            }
        }
    }
    exchanges
}

/// The binary protocol: what comes last with the number that a request had.
pub(crate) fn memcached_binary(capture: &Path) -> Vec<Exchange> {
    const REQUEST: &str = "128";
    let fields = ["memcache.magic", "memcache.opaque"];
    let mut exchanges: Vec<Exchange> = Vec::new();
    let mut latest = HashMap::new();
    for packet in packets(capture, "memcache.magic", &fields) {
        for (magic, opaque) in packet.fields[0].iter().zip(&packet.fields[1]) {
            let key = (packet.client().clone(), opaque.clone());
            if magic == REQUEST {
                latest.insert(key, exchanges.len());
                exchanges.push(Exchange {
                    client: shown(packet.client()),
                    asked_ns: packet.time_ns,
                    answered_ns: 0,
                    label: opaque.clone(),
                });
            } else if let Some(&place) = latest.get(&key) {
                exchanges[place].answered_ns = packet.time_ns;
            }
        }
    }
    exchanges.retain(|exchange| exchange.answered_ns > 0);
    exchanges
}

/// A client that waits for its answers: up to the server's first byte is a request, up to the client's
/// next is the response.
pub(crate) fn turns(capture: &Path) -> Vec<Exchange> {
    let mut open: BTreeMap<End, Exchange> = BTreeMap::new();
    let mut exchanges = Vec::new();
    for packet in packets(capture, "tcp.len > 0", &[]) {
        let client = packet.client();
        if !packet.by_client() {
            if let Some(exchange) = open.get_mut(client) {
                exchange.answered_ns = packet.time_ns;
            }
            continue;
        }
        let next = Exchange {
            client: shown(client),
            asked_ns: packet.time_ns,
            answered_ns: 0,
            label: String::new(),
        };
        exchanges.extend(open.insert(client.clone(), next));
    }
    exchanges.extend(open.into_values());
    exchanges.retain(|exchange| exchange.answered_ns > 0);
    exchanges
}

/// Responses in the order of the requests. A packet's messages are what stands on the first level below
/// the protocol, which only the whole tree tells.
pub(crate) fn redis(capture: &Path) -> Vec<Exchange> {
    const MESSAGE: &str = "    <field name=\"resp.";
    /// A line of no type: a command without one, or a type that tshark does not know.
    const LINE: &str = "fragment";
    /// The last message goes on in another packet, where it is there once more, whole.
    const GOES_ON: &str = "resp.reassembled_in_next_frame";
    let text = tshark(capture, &["-d", "tcp.port==6379,resp", "-Y", "resp", "-T", "pdml"]);
    let mut waiting: HashMap<End, VecDeque<u64>> = HashMap::new();
    let mut exchanges = Vec::new();
    for packet in text.split("<packet>").skip(1) {
        let show = |field: &str| {
            let begin = format!("<field name=\"{field}\" ");
            let line = packet.lines().find(|line| line.trim_start().starts_with(&begin)).unwrap();
            let (_, show) = line.split_once(" show=\"").unwrap();
            show.split('"').next().unwrap().to_owned()
        };
        let end = |way: &str| (show(&format!("ip.{way}")), show(&format!("tcp.{way}port")));
        let [source, destination] = ["src", "dst"].map(end);
        let [source, destination] =
            [source, destination].map(|(host, port)| (host, port.parse::<u16>().unwrap()));
        let time_ns = epoch_ns(&show("frame.time_epoch"));
        let by_client = source.1 > destination.1;
        let name = |line: &'_ str| -> Option<String> {
            let name = line.strip_prefix(MESSAGE)?.split('"').next()?;
            Some(name.to_owned())
        };
        let messages = packet.lines().filter_map(name).filter(|name| by_client || name != LINE);
        let whole = messages.count() - usize::from(packet.contains(GOES_ON));
        for _ in 0..whole {
            if by_client {
                waiting.entry(source.clone()).or_default().push_back(time_ns);
                continue;
            }
            let waiting = waiting.entry(destination.clone()).or_default();
            exchanges.extend(waiting.pop_front().map(|asked_ns| Exchange {
                client: shown(&destination),
                asked_ns,
                answered_ns: time_ns,
                label: String::new(),
            }));
        }
    }
    exchanges
}
