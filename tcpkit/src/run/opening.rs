//! Opens what packets come from: the kernel, by eBPF or packet sockets, or a file.

use std::{
    io::{self, IsTerminal},
    num::NonZero,
    path::Path,
    thread,
};

use caps::Capability;

use crate::{
    capture::{
        AttachMode, CaptureError, IngressHook, LinkType, LiveConfig, LiveSource, LiveWorker,
        OfflineSource, PacketSocketSource, Screen, Source,
    },
    cli::{Backend, Cli},
    filter::CaptureFilter,
    script::Wants,
    sink::file::FileLink,
    stdout::Stdout,
};

/// A source that is ready to be read.
pub(super) struct Opened {
    pub(super) source: Box<dyn Source>,
    /// Those of the other workers.
    pub(super) workers: Vec<LiveWorker>,
    /// What packets begin with in a file of them.
    pub(super) link: FileLink,
    /// Whether packets come from several interfaces.
    pub(super) several: bool,
    /// Whether it is this host's traffic, now.
    pub(super) follows_host: bool,
    /// What it still needs to be read.
    pub(super) capabilities: Vec<Capability>,
    /// Where lines go.
    pub(super) stdout: Stdout,
    /// What it does, for the user.
    pub(super) does: String,
}

pub(super) fn open(cli: &Cli, filter: &CaptureFilter, wants: Wants) -> anyhow::Result<Opened> {
    if let Some(file) = cli.source.read() {
        return open_file(file, filter, cli.shows_top());
    }
    let config = LiveConfig {
        interfaces: cli.source.interfaces().to_vec(),
        ring_bytes: cli.source.buffer_bytes(),
        workers: cli.workers(thread::available_parallelism().map_or(1, NonZero::get)),
        snaplen: cli.snaplen(wants.packets),
        filter,
        debug: cli.verbosity() >= 3,
        attach: AttachMode::Auto,
        hook: cli.source.hook(),
        directions: cli.source.directions(),
        promiscuous: cli.source.promiscuous(),
    };
    let opened = match cli.source.backend() {
        Backend::Packet => open_sockets(&config)?,
        Backend::Ebpf => open_ebpf(&config)?,
        Backend::Auto => match open_ebpf(&config) {
            Err(error) if error.is_about_ebpf() => {
                // Of the two reasons the first is what helps.
                let opened = open_sockets(&config).map_err(|second| for_both(&error, second))?;
                let hook = match config.hook {
                    IngressHook::Tc => "",
                    IngressHook::Xdp => ", and have no --hook",
                };
                let workers = match cli.source.workers() {
                    Some(2..) => ", and are read by one worker",
                    _ => "",
                };
                log::warn!(
                    "{error}; capturing through packet sockets instead, which cost \
                     more{hook}{workers}"
                );
                opened
            }
            opened => opened?,
        },
    };
    Ok(opened)
}

/// Neither way can be had. A filter that libpcap refuses is wrong whatever the first reason was.
fn for_both(first: &CaptureError, second: CaptureError) -> anyhow::Error {
    match second {
        CaptureError::Filter(error) => error.into(),
        second => anyhow::anyhow!("{first} (nor through packet sockets: {second})"),
    }
}

fn open_ebpf(config: &LiveConfig<'_>) -> Result<Opened, CaptureError> {
    let mut source = LiveSource::open(config)?;
    let (workers, capabilities) = (source.take_workers(), source.capabilities());
    let (link, several, names) = (source.link(), source.is_several(), source.interfaces());
    Ok(Opened { workers, capabilities, ..live(Box::new(source), link, several, &names) })
}

fn open_sockets(config: &LiveConfig<'_>) -> Result<Opened, CaptureError> {
    let source = PacketSocketSource::open(config)?;
    let (link, several, names) = (source.link(), source.is_several(), source.interfaces());
    Ok(live(Box::new(source), link, several, &names))
}

fn live(source: Box<dyn Source>, link: Option<LinkType>, several: bool, names: &str) -> Opened {
    Opened {
        source,
        workers: Vec::new(),
        link: link.map_or(FileLink::Cooked, FileLink::Same),
        several,
        follows_host: true,
        capabilities: Vec::new(),
        stdout: Stdout::default(),
        does: format!("listening on {names}"),
    }
}

fn open_file(file: &Path, filter: &CaptureFilter, shows_top: bool) -> anyhow::Result<Opened> {
    let screen = Screen::new(io::stderr().is_terminal() && !shows_top);
    let source = OfflineSource::open(file, filter, screen.clone())?;
    let on_screen = io::stdout().is_terminal();
    let stdout = if on_screen { Stdout::beside(screen) } else { Stdout::default() };
    Ok(Opened {
        source: Box::new(source),
        workers: Vec::new(),
        link: FileLink::First,
        several: false,
        follows_host: false,
        capabilities: Vec::new(),
        stdout,
        does: format!("reading from {}", file.display()),
    })
}
