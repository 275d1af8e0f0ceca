//! The view on a terminal: it shows what clients did, and leaves the terminal whole however it ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

#[path = "terminal/contents.rs"]
mod contents;
#[path = "terminal/ends.rs"]
mod ends;
#[path = "terminal/files.rs"]
mod files;
#[path = "terminal/stuck.rs"]
mod stuck;

use tcpkit_tests::{
    netns::Netns,
    redis::{Client, RedisServer, SERVER},
    terminal::{OnTerminal, USUAL},
};

/// What the agent is told in most tests.
const TOP: &str = "-p redis --top -P off -i veth0 tcp port 6379";

/// [`TOP`] with further options.
fn top_with(options: &str) -> String {
    format!("{options} {TOP}")
}

/// A client's host, a server and the view of what goes on between them.
struct Seen {
    near: Netns,
    _far: Netns,
    _redis: RedisServer,
    terminal: OnTerminal,
}

impl Seen {
    fn start(size: (u16, u16), options: &str) -> Self {
        let (near, far) = Netns::pair();
        let redis = RedisServer::start(&far);
        let mut terminal = OnTerminal::agent(&near, size, options);
        terminal.wait_for_text("ENDPOINT");
        Self { near, _far: far, _redis: redis, terminal }
    }

    fn usual() -> Self {
        Self::start(USUAL, TOP)
    }

    fn client(&self) -> Client {
        Client::connect(&self.near, SERVER)
    }
}

/// The words of a line.
fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}
