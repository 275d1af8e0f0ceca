//! Frames of real programs, as tcpdump recorded them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::UdpSocket,
    os::fd::AsRawFd,
    path::Path,
    process::{Command, Stdio},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        socket::{
            AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
        },
    },
    unistd::Pid,
};
use pcap::Capture;

use crate::{
    netns::{Netns, eventually},
    redis::{RedisServer, run_benchmark},
};

/// The last datagram, by which it is seen that all others were recorded.
const LAST: &[u8] = b"this is the last datagram of all";

/// An echo request without data, checksum included.
const ECHO: [u8; 8] = [8, 0, 0xf7, 0xfd, 0, 1, 0, 1];

/// Records what two hosts say to each other: address resolution, echoes, datagrams to an open and a
/// closed port and the errors that answer, Redis with small and large values, all over IPv4 and, but
/// for the echoes, over IPv6.
#[must_use]
pub fn record() -> Vec<Vec<u8>> {
    let (client, server) = Netns::pair();
    let path = env::temp_dir().join(format!("{}.pcap", client.name()));
    let mut tcpdump = client.run(|| {
        Command::new("tcpdump")
            .args(["-i", "veth0", "-s", "0", "-U", "--immediate-mode", "-w"])
            .arg(&path)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    });
    let mut messages = BufReader::new(tcpdump.stderr.take().unwrap());
    let mut line = String::new();
    messages.read_line(&mut line).unwrap();
    assert!(line.contains("listening on"), "{line}");
    make(&client, &server);
    eventually("the last datagram is recorded", || {
        fs::read(&path).unwrap().windows(LAST.len()).any(|bytes| bytes == LAST)
    });
    kill(Pid::from_raw(tcpdump.id().cast_signed()), Signal::SIGINT).unwrap();
    assert!(tcpdump.wait().unwrap().success());
    let frames = read(&path);
    fs::remove_file(&path).unwrap();
    frames
}

fn make(client: &Netns, server: &Netns) {
    let redis = RedisServer::start(server);
    let open = server.run(|| UdpSocket::bind("[::]:53").unwrap());
    for host in ["10.9.0.2", "fd09::2"] {
        run_benchmark(client, &format!("-h {host} -c 3 -n 60 -t set,get,lrange_100"));
        run_benchmark(client, &format!("-h {host} -c 1 -n 10 -d 9000 -t set,get"));
        run_benchmark(client, &format!("-h {host} -c 2 -n 100 -P 10 -t incr"));
    }
    client.run(|| {
        let echo =
            socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp)
                .unwrap();
        let host = SockaddrIn::new(10, 9, 0, 2, 0);
        for _ in 0..3 {
            sendto(echo.as_raw_fd(), &ECHO, &host, MsgFlags::empty()).unwrap();
        }
        for (from, to) in [("0.0.0.0:0", "10.9.0.2"), ("[::]:0", "[fd09::2]")] {
            for port in [53, 6378] {
                // A new socket each time: the kernel tells the old one that nobody listens.
                let socket = UdpSocket::bind(from).unwrap();
                socket.send_to(&[0x78; 40], format!("{to}:{port}")).unwrap();
                // In fragments.
                socket.send_to(&[7; 4000], format!("{to}:{port}")).unwrap();
            }
        }
        UdpSocket::bind("0.0.0.0:0").unwrap().send_to(LAST, "10.9.0.2:53").unwrap();
    });
    drop((redis, open));
}

fn read(path: &Path) -> Vec<Vec<u8>> {
    let mut file = Capture::from_file(path).unwrap();
    let mut frames = Vec::new();
    while let Ok(packet) = file.next_packet() {
        assert_eq!(packet.header.len, packet.header.caplen);
        frames.push(packet.data.to_vec());
    }
    frames
}
