//! What systemd is told of a run (sd_notify(3)), where it is systemd that started it.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    sync::Arc,
    time::Duration,
};

use tokio::time::{self, MissedTickBehavior};

use crate::{capture::monotonic_ns, pipeline::Control};

/// Where systemd listens.
const SOCKET: &str = "NOTIFY_SOCKET";

/// After how many µs without a sign of life systemd starts the process anew, and which process it means.
const WATCHDOG: &str = "WATCHDOG_USEC";
const WATCHED: &str = "WATCHDOG_PID";

/// What the run is doing.
#[derive(Clone, Copy, Debug)]
pub(super) enum State<'a> {
    /// It captures; what, in words.
    Ready(&'a str),
    /// It reads its options again, until it is ready.
    Reloading,
    /// It ends.
    Stopping,
    /// All of its threads go round.
    Alive,
}

/// Tells systemd, if it wants to know.
pub(super) fn tell(state: State<'_>) {
    let Some(socket) = env::var_os(SOCKET) else { return };
    let message = match state {
        State::Ready(does) => format!("READY=1\nSTATUS={does}"),
        State::Reloading => format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_ns() / 1_000),
        State::Stopping => "STOPPING=1".to_owned(),
        State::Alive => "WATCHDOG=1".to_owned(),
    };
    if let Err(error) = send(&socket, &message) {
        log::debug!("{SOCKET}: {error}");
    }
}

fn send(to: &OsStr, message: &str) -> io::Result<()> {
    let address = match to.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(to)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address).map(drop)
}

/// How often systemd wants a sign of life from this process at least.
fn watchdog() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    let pid = env::var_os(WATCHED);
    let own = OsString::from(std::process::id().to_string());
    if env::var_os(SOCKET).is_none() || pid.is_some_and(|pid| pid != own) {
        return None;
    }
    number(WATCHDOG).filter(|micros| *micros > 0).map(Duration::from_micros)
}

/// Gives signs of life as long as all threads that read packets go round. Goes on for ever where systemd
/// wants that.
pub(super) async fn give_signs_of_life(control: Arc<Control>) {
    let Some(most) = watchdog() else { return };
    // Twice as often as wanted, as sd_watchdog_enabled(3) says; and once more, so that a loop which is
    // late once is not taken for one that stands still.
    let mut interval = time::interval(most / 4);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if control.all_went_round() {
            tell(State::Alive);
        }
    }
}
