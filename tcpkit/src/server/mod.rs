//! The port that answers: statistics for people, for Prometheus and for the page, while a run goes on.
//!
//! Everything here happens on the run's main thread. The threads that read packets only count
//! ([`crate::stats`]), and say what their ledger is when they are asked; nobody who asks can make them wait.

mod body;
mod client;
mod deadline;
mod events;
mod history;
mod metrics;
mod operations;
mod page;
mod routes;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{net::TcpListener, sync::Semaphore, time};

use self::events::Events;
use crate::{ledger::Ledger, pipeline::Control, script::Metrics, stats::Statistics};

/// How long the loop that counts may take to say what it counted; then it is what it said before.
const LEDGER_TIME: Duration = Duration::from_millis(500);

/// How long to wait when the system cannot give another connection (too many files are open).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a browser calls an address.
#[must_use]
pub fn url(address: SocketAddr) -> String {
    format!("http://{address}/")
}

/// What there is to tell.
pub struct Sources {
    /// What was counted of transactions.
    pub statistics: Arc<Statistics>,
    /// Whom to ask for the ledger.
    pub control: Arc<Control>,
    /// What a script made known; empty until it runs.
    pub script: Arc<OnceLock<Metrics>>,
    /// The protocols that are decoded.
    pub protocols: Vec<&'static str>,
}

/// A port that is open, and not yet answered at.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Opens a port.
    ///
    /// # Errors
    /// The port is taken, or the address is not this host's.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers all who come, `max_clients` at once; further ones are sent away. Goes on for ever.
    pub async fn run(self, sources: Sources, max_clients: usize) {
        let state = Arc::new(State {
            sources,
            started_unix: unix_now().as_secs(),
            is_local: self.address.ip().is_loopback(),
            events: Events::default(),
        });
        tokio::join!(
            accept(&self.listener, &state, max_clients),
            events::tick_every_second(&state)
        );
    }
}

async fn accept(listener: &TcpListener, state: &Arc<State>, max_clients: usize) {
    let places = Arc::new(Semaphore::new(max_clients));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without a place the stream is dropped, which closes it.
                if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                    let state = Arc::clone(state);
                    tokio::spawn(async move {
                        client::serve(stream, state).await;
                        drop(place);
                    });
                }
            }
            Err(error) => {
                log::debug!("a client could not be accepted: {error}");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What all connections share.
struct State {
    sources: Sources,
    /// When the run began, in s since the Unix epoch.
    started_unix: u64,
    /// Only this host's programs can connect.
    is_local: bool,
    events: Events,
}

impl State {
    /// What was counted of packets, connections and messages until now.
    async fn ledger(&self) -> Ledger {
        self.sources.control.counted(LEDGER_TIME).await
    }
}

/// Since the Unix epoch.
fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
