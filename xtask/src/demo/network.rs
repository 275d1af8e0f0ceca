//! Two network namespaces, joined by a cable that is slow for much data at once.
//!
//! Nothing of it is visible outside: the cable's ends are born inside the namespaces, and the
//! addresses are of the range that is set aside for measuring (198.18.0.0/15).

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
};

use anyhow::{Context as _, Result, bail};

use crate::host;

/// Names of our namespaces begin so; the id of the process that made them follows.
const PREFIX: &str = "tcpkit-demo-";

/// Where iproute2 keeps the names.
const NAMESPACES: &str = "/run/netns";

const CLIENT_ADDRESS: &str = "198.18.0.1";
pub(super) const SERVER_ADDRESS: &str = "198.18.0.2";

/// What the server's end of the cable lets through: small answers pass at once, 12 KB take about 70 ms.
const SLOW_CABLE: [&str; 7] = ["tbf", "rate", "1mbit", "burst", "4kb", "latency", "2s"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

impl Side {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }

    /// This end of the cable.
    pub(super) fn interface(self) -> &'static str {
        match self {
            Self::Client => "to-server",
            Self::Server => "to-client",
        }
    }
}

/// Both namespaces; removed when dropped.
pub(super) struct Network {
    client: Namespace,
    server: Namespace,
    ip: PathBuf,
    setpriv: Option<PathBuf>,
}

impl Network {
    pub(super) fn create() -> Result<Self> {
        let ip = host::find_program("ip").context("there is no ip: type `cargo xtask setup`")?;
        remove_leftovers(&ip);
        let client = Namespace::create(&ip, Side::Client)?;
        let server = Namespace::create(&ip, Side::Server)?;
        let setpriv = host::find_program("setpriv");
        let network = Self { client, server, ip, setpriv };
        let [from, to] = [Side::Client.interface(), Side::Server.interface()];
        network.ip(
            Side::Client,
            &[
                "link",
                "add",
                from,
                "type",
                "veth",
                "peer",
                "name",
                to,
                "netns",
                &network.server.name,
            ],
        )?;
        for (side, address) in [(Side::Client, CLIENT_ADDRESS), (Side::Server, SERVER_ADDRESS)] {
            let address = format!("{address}/30");
            network.ip(side, &["address", "add", &address, "dev", side.interface()])?;
            network.ip(side, &["link", "set", "lo", "up"])?;
            network.ip(side, &["link", "set", side.interface(), "up"])?;
        }
        network.slow_down();
        Ok(network)
    }

    /// `program`, to be started on a side; it ends when xtask is killed.
    pub(super) fn command(&self, side: Side, program: &Path) -> Command {
        let name = &self.namespace(side).name;
        match &self.setpriv {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "TERM"]).arg(&self.ip);
                command.args(["netns", "exec", name]).arg(program);
                command
            }
            None => {
                let mut command = Command::new(&self.ip);
                command.args(["netns", "exec", name]).arg(program);
                command
            }
        }
    }

    fn slow_down(&self) {
        let Some(tc) = host::find_program("tc") else { return };
        let mut command = self.command(Side::Server, &tc);
        command.args(["qdisc", "add", "dev", Side::Server.interface(), "root"]).args(SLOW_CABLE);
        if !command.status().is_ok_and(|status| status.success()) {
            println!(
                "(This kernel cannot slow the cable down: `get big` will be quick as well.)\n"
            );
        }
    }

    fn namespace(&self, side: Side) -> &Namespace {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    fn ip(&self, side: Side, words: &[&str]) -> Result<()> {
        let name = &self.namespace(side).name;
        run(&self.ip, &[&["-netns", name], words].concat())
    }
}

struct Namespace {
    name: String,
    ip: PathBuf,
}

impl Namespace {
    fn create(ip: &Path, side: Side) -> Result<Self> {
        let name = format!("{PREFIX}{}-{}", process::id(), side.name());
        run(ip, &["netns", "add", &name])?;
        Ok(Self { name, ip: ip.to_owned() })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = run(&self.ip, &["netns", "delete", &self.name]) {
            eprintln!("{error:#}: to try again, type `sudo ip netns delete {}`", self.name);
        }
    }
}

fn run(program: &Path, words: &[&str]) -> Result<()> {
    let status = Command::new(program).args(words).status();
    if !status.with_context(|| format!("{} cannot be started", program.display()))?.success() {
        bail!("this failed: {} {}", program.display(), words.join(" "));
    }
    Ok(())
}

/// Removes the namespaces of demos that were killed; their processes ended with them.
fn remove_leftovers(ip: &Path) {
    for entry in fs::read_dir(NAMESPACES).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if owner(&name).is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            drop(Namespace { name, ip: ip.to_owned() });
        }
    }
}

/// The id of the process that made a namespace of this name, if it is one of ours.
fn owner(name: &str) -> Option<&str> {
    let (id, side) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let is_ours = ["client", "server"].contains(&side) && id.parse::<u32>().is_ok();
    is_ours.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_namespaces_are_removed() {
        assert_eq!(owner("tcpkit-demo-123-client"), Some("123"));
        assert_eq!(owner("tcpkit-demo-123-server"), Some("123"));
        assert_eq!(owner("tcpkit-demo-123-other"), None);
        assert_eq!(owner("tcpkit-demo-1x3-client"), None);
        assert_eq!(owner("blue"), None);
    }
}
