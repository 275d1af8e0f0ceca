//! Captures on an interface until it is killed: `capture_until_killed <interface> <tcx|netlink> [filter]`.

use std::{env, ops::ControlFlow};

use tcpkit::{
    capture::{AttachMode, LiveConfig, LiveSource, Source},
    filter::CaptureFilter,
};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [interface, mode, filter @ ..] = arguments.as_slice() else {
        anyhow::bail!("an interface and a mode are needed")
    };
    let filter = CaptureFilter::parse(filter)?;
    let mut source = LiveSource::open(&LiveConfig {
        attach: if mode == "tcx" { AttachMode::Tcx } else { AttachMode::Netlink },
        ..LiveConfig::new(&[interface], &filter)
    })?;
    println!("ready");
    loop {
        source.read(&mut |_frame| ControlFlow::Continue(()))?;
    }
}
