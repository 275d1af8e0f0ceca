//! The demo's client: mostly quick commands, and now and then a slow one.

use std::{
    io::{BufRead, BufReader, Read, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// How long the server may take to come up.
const START: Duration = Duration::from_secs(5);

/// The pause between two commands, so that people can read along.
const PAUSE: Duration = Duration::from_millis(250);

/// A value that fills a slow cable for some time, and that a server still sends in one go.
const BIG: usize = 12_000;

#[derive(clap::Args)]
pub(crate) struct ClientArgs {
    /// Address and port.
    #[arg(long)]
    server: SocketAddr,
}

/// Sends commands until it is ended.
pub(crate) fn run(args: &ClientArgs) -> Result<()> {
    let stream = connect(args.server)?;
    let big = "x".repeat(BIG);
    let mut connection = Connection { replies: BufReader::new(stream.try_clone()?), stream };
    // Agents are attaching meanwhile.
    thread::sleep(Duration::from_secs(1));
    connection.ask(&["set", "big", &big])?;
    for turn in 0_u64.. {
        let count = turn.to_string();
        match turn % 8 {
            3 => connection.ask(&["debug", "sleep", "0.05"])?,
            7 => connection.ask(&["get", "big"])?,
            odd if odd % 2 == 1 => connection.ask(&["get", "hello"])?,
            _ => connection.ask(&["set", "hello", &count])?,
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn connect(server: SocketAddr) -> Result<TcpStream> {
    let end = Instant::now() + START;
    loop {
        match TcpStream::connect_timeout(&server, START) {
            Ok(stream) => return Ok(stream),
            Err(_) if Instant::now() < end => thread::sleep(Duration::from_millis(20)),
            Err(error) => return Err(error).context("the server does not answer"),
        }
    }
}

struct Connection {
    stream: TcpStream,
    replies: BufReader<TcpStream>,
}

impl Connection {
    fn ask(&mut self, words: &[&str]) -> Result<()> {
        self.stream.write_all(&encode(words)).context("the server went away")?;
        skip_reply(&mut self.replies)
    }
}

/// A command as an array of bulk strings.
fn encode(words: &[&str]) -> Vec<u8> {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    command.into_bytes()
}

/// Reads over one simple or bulk reply; an error reply is an error.
fn skip_reply(replies: &mut impl BufRead) -> Result<()> {
    let mut line = String::new();
    if replies.read_line(&mut line).context("the server went away")? == 0 {
        bail!("the server closed the connection");
    }
    let line = line.trim_end();
    if line.starts_with('-') {
        bail!("the server refuses: {line}");
    }
    if let Some(length) = line.strip_prefix('$').and_then(|length| length.parse::<u64>().ok()) {
        std::io::copy(&mut replies.take(length + 2), &mut std::io::sink())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_array_of_bulk_strings() {
        assert_eq!(encode(&["get", "a"]), b"*2\r\n$3\r\nget\r\n$1\r\na\r\n");
    }

    #[test]
    fn replies_are_read_to_their_ends() {
        let mut replies: &[u8] = b"+OK\r\n$3\r\na\r\n\r\n$-1\r\n:5\r\n-ERR no\r\n";
        for _ in 0..4 {
            skip_reply(&mut replies).unwrap();
        }
        assert!(skip_reply(&mut replies).is_err());
        assert!(skip_reply(&mut replies).is_err(), "the end");
    }
}
