//! What is printed instead of capturing: the compiled filter (`-d`), and other texts.

use std::{
    io::{self, Write as _},
    ops::ControlFlow,
};

use crate::{
    capture::{
        CaptureError, IngressHook, LinkType, OfflineSource, Progress, Screen, Source as _,
        interfaces,
    },
    cli::Cli,
    filter::CaptureFilter,
    stdout::Stdout,
};

/// Prints the compiled filter, for the file that is read or the first interface that is named.
pub(super) fn dump(cli: &Cli, filter: &CaptureFilter) -> anyhow::Result<()> {
    if let Some(file) = cli.source.read() {
        let all = CaptureFilter::parse(&[])?;
        let source = OfflineSource::open(file, &all, Screen::default())?;
        return print(&filter.list_for_link(first_link(source)?)?);
    }
    let selection = interfaces::Selection::new(cli.source.interfaces())?;
    let link = match selection.is_any() {
        true => LinkType::Ethernet,
        false => selection.present()?.first().map_or(LinkType::Ethernet, |(_, link)| *link),
    };
    if let (LinkType::RawIp, Some(error)) = (link, filter.no_raw_ip()) {
        return Err(error.clone().into());
    }
    if cli.source.dump() > 1 {
        filter.for_kernel()?;
    }
    let xdp = filter.xdp();
    let compiled = match (link, cli.source.hook()) {
        (LinkType::RawIp, IngressHook::Tc) => filter.raw_ip(),
        (_, IngressHook::Tc) => filter.ethernet(),
        (LinkType::RawIp, IngressHook::Xdp) => xdp.as_ref().map_err(Clone::clone)?.raw_ip(),
        (_, IngressHook::Xdp) => xdp.as_ref().map_err(Clone::clone)?.ethernet(),
    };
    print(&if cli.source.dump() == 1 { compiled.list_classic() } else { compiled.list_ebpf() })
}

/// What a file's first packet begins with.
fn first_link(mut file: OfflineSource) -> Result<LinkType, CaptureError> {
    let mut link = None;
    while link.is_none() {
        let progress = file.read(&mut |frame| {
            link = Some(frame.link);
            ControlFlow::Break(())
        })?;
        if progress == Progress::Eof {
            break;
        }
    }
    Ok(link.unwrap_or(LinkType::Ethernet))
}

/// Prints a text as a whole.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    match Stdout::default().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
