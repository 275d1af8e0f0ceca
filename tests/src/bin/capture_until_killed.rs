//! Captures on an interface until it is killed: `capture_until_killed <interface> <tcx|netlink>`.

use std::{env, ops::ControlFlow};

use tcpkit::{
    capture::{AttachMode, LiveConfig, LiveSource, Source},
    filter::CaptureFilter,
};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [interface, mode] = arguments.as_slice() else { anyhow::bail!("two arguments") };
    let filter = CaptureFilter::default();
    let mut source = LiveSource::open(&LiveConfig {
        interfaces: vec![interface.clone()],
        ring_bytes: 1 << 20,
        snaplen: 64,
        filter: &filter,
        debug: false,
        attach: if mode == "tcx" { AttachMode::Tcx } else { AttachMode::Netlink },
    })?;
    println!("ready");
    loop {
        source.read(&mut |_frame| ControlFlow::Continue(()))?;
    }
}
