//! Puts the programs on interfaces, and takes them off again.

use std::{error::Error, io};

use aya::programs::{
    ProgramError, SchedClassifier, TcAttachType, XdpMode,
    links::LinkOrder,
    tc::{NlOptions, SchedClassifierLinkId, TcAttachOptions},
    xdp::XdpLinkId,
};
use caps::Capability;
use nix::{errno::Errno, net::if_::if_nametoindex};

use super::{
    CaptureError, HookDirection, LinkType,
    error::os_error,
    guardian::Guardian,
    interfaces::Interface,
    netlink::{Netlink, Request},
    programs::{Hook, Programs, kernel_release, kernel_version},
    promiscuous::Promiscuous,
};

/// The first kernel whose interfaces take programs by links (TCX).
const FIRST_TCX_KERNEL: (u32, u32) = (6, 6);

/// How programs are attached to interfaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttachMode {
    /// As the kernel's version allows.
    #[default]
    Auto,
    /// By links that vanish with the agent; from kernel 6.6.
    Tcx,
    /// As filters of the `clsact` qdisc, which a child process removes when the agent is gone.
    Netlink,
}

/// Where packets that come in are captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum IngressHook {
    /// In traffic control, behind the driver and merging (GRO); works on every interface.
    #[default]
    Tc,
    /// In the driver (XDP) where it can, else right behind it.
    Xdp,
}

/// Which way packets go that are captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Directions {
    /// Those that the host receives.
    In,
    /// Those that it sends.
    Out,
    /// Both.
    #[default]
    Inout,
}

impl Directions {
    fn hooks(self) -> &'static [Hook] {
        match self {
            Self::In => &[Hook::Ingress],
            Self::Out => &[Hook::Egress],
            Self::Inout => &[Hook::Ingress, Hook::Egress],
        }
    }
}

/// A program on an interface.
#[derive(Debug)]
enum Link {
    /// Owned by the program, and gone with it.
    Tcx(Hook, SchedClassifierLinkId),
    /// Undone by this request, or by the guardian.
    Filter(Hook, Request),
    /// Owned by the program, and gone with it.
    Xdp(XdpMode, XdpLinkId),
}

/// The programs on one interface.
#[derive(Debug)]
pub(super) struct Attachment {
    link: LinkType,
    links: Vec<Link>,
    _promiscuous: Option<Promiscuous>,
}

impl Attachment {
    /// What packets begin with.
    pub(super) fn link(&self) -> LinkType {
        self.link
    }

    /// Which ways packets are captured.
    pub(super) fn directions(&self) -> impl Iterator<Item = HookDirection> {
        self.links.iter().map(|link| match link {
            Link::Tcx(Hook::Ingress, _) | Link::Filter(Hook::Ingress, _) | Link::Xdp(..) => {
                HookDirection::Ingress
            }
            Link::Tcx(Hook::Egress, _) | Link::Filter(Hook::Egress, _) => HookDirection::Egress,
        })
    }
}

/// Attaches programs, and sees to it that they come off again.
pub(super) struct Attacher {
    hook: IngressHook,
    directions: Directions,
    promiscuous: bool,
    /// Present in netlink mode.
    netlink: Option<Netlink>,
    guardian: Option<Guardian>,
}

impl Attacher {
    pub(super) fn new(
        mode: AttachMode,
        hook: IngressHook,
        directions: Directions,
    ) -> Result<Self, CaptureError> {
        let by_link = match mode {
            AttachMode::Auto => {
                kernel_version(&kernel_release()).is_none_or(|found| found >= FIRST_TCX_KERNEL)
            }
            AttachMode::Tcx => true,
            AttachMode::Netlink => false,
        };
        if by_link {
            return Ok(Self {
                hook,
                directions,
                promiscuous: false,
                netlink: None,
                guardian: None,
            });
        }
        let failed = |error: io::Error| CaptureError::attaching("all", &error);
        let netlink = Netlink::open().map_err(|error| failed(error.into()))?;
        let guardian = Guardian::start().map_err(failed)?;
        let (netlink, guardian) = (Some(netlink), Some(guardian));
        Ok(Self { hook, directions, promiscuous: false, netlink, guardian })
    }

    /// Whether interfaces receive what is for others while programs are attached.
    pub(super) fn promiscuous(self, promiscuous: bool) -> Self {
        Self { promiscuous, ..self }
    }

    /// What it takes to go on: to attach to interfaces that come later, and to take programs off.
    ///
    /// Links of programs that are loaded already take no capability: the kernel asked for it when they
    /// were loaded (`bpf_prog_attach_check_attach_type` in its `kernel/bpf/syscall.c`).
    pub(super) fn capabilities(&self) -> impl Iterator<Item = Capability> {
        let needs = [
            (self.netlink.is_some(), Capability::CAP_NET_ADMIN),
            (self.promiscuous, Capability::CAP_NET_RAW),
        ];
        needs.into_iter().filter_map(|(needs, capability)| needs.then_some(capability))
    }

    /// Loads everything that an interface that comes later may need: the verifier takes its time, and
    /// the first packets would pass meanwhile.
    pub(super) fn load_all(&self, programs: &mut Programs) -> Result<(), CaptureError> {
        for link in [LinkType::Ethernet, LinkType::RawIp] {
            for &hook in self.directions.hooks() {
                self.load(programs, link, hook)?;
            }
        }
        Ok(())
    }

    /// Loads what an interface needs at TC, before anything is attached to it: what its first hooks
    /// capture while the verifier looks at the others would only fill the rings.
    pub(super) fn load_for(
        &self,
        programs: &mut Programs,
        interface: &Interface,
        link: LinkType,
    ) -> Result<(), CaptureError> {
        for &hook in self.hooks(interface) {
            if !self.is_xdp(hook) {
                self.load(programs, link, hook)?;
            }
        }
        Ok(())
    }

    /// Loads the program for a hook; whether it is attached as a filter or by TCX.
    fn load(
        &self,
        programs: &mut Programs,
        link: LinkType,
        hook: Hook,
    ) -> Result<bool, CaptureError> {
        if self.is_xdp(hook) {
            programs.xdp_program(link, XdpMode::Driver)?;
            programs.xdp_program(link, XdpMode::Skb)?;
            Ok(false)
        } else {
            programs.program(link, hook)?;
            Ok(true)
        }
    }

    /// The hooks of an interface. On a loopback each packet goes out and comes in again at once: one
    /// of the two will do.
    fn hooks(&self, interface: &Interface) -> &'static [Hook] {
        match self.directions {
            Directions::Inout if interface.is_loopback() => Directions::In.hooks(),
            directions => directions.hooks(),
        }
    }

    /// Which ways packets are captured on an interface.
    pub(super) fn directions(
        &self,
        interface: &Interface,
    ) -> impl Iterator<Item = HookDirection> + use<> {
        self.hooks(interface).iter().map(|hook| match hook {
            Hook::Ingress => HookDirection::Ingress,
            Hook::Egress => HookDirection::Egress,
        })
    }

    fn is_xdp(&self, hook: Hook) -> bool {
        hook == Hook::Ingress && self.hook == IngressHook::Xdp
    }

    /// Attaches to all hooks of an interface, or to none.
    pub(super) fn attach(
        &mut self,
        programs: &mut Programs,
        interface: &Interface,
        link: LinkType,
    ) -> Result<Attachment, CaptureError> {
        let hooks = self.hooks(interface);
        let mut uses_filters = false;
        // What cannot be loaded must not leave anything behind.
        for &hook in hooks {
            uses_filters |= self.load(programs, link, hook)?;
        }
        let created = uses_filters && self.add_clsact(interface)?;
        let mut result = Ok(());
        let failed = |error: io::Error| CaptureError::Promiscuous(interface.name.clone(), error);
        let promiscuous = match self.promiscuous {
            true => Some(Promiscuous::on(interface.index).map_err(failed)?),
            false => None,
        };
        let mut attachment = Attachment { link, links: Vec::new(), _promiscuous: promiscuous };
        for &hook in hooks {
            let attached = if self.is_xdp(hook) {
                attach_xdp(programs, interface, link)
            } else {
                self.attach_program(programs.program(link, hook)?, interface, hook)
            };
            match attached {
                Ok(link) => attachment.links.push(link),
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        if created {
            self.remember(interface, &Request::delete_clsact(interface.index))?;
        }
        // Programs are attached by name, and it may have been given to another interface meanwhile.
        let result = result.and_then(|()| match if_nametoindex(interface.name.as_str()) {
            Ok(index) if index == interface.index => Ok(()),
            _ => Err(CaptureError::attaching(&interface.name, &io::Error::from(Errno::ENODEV))),
        });
        match result {
            Ok(()) => Ok(attachment),
            Err(error) => {
                // One direction alone would look like loss.
                self.detach(programs, &interface.name, attachment);
                Err(error)
            }
        }
    }

    /// In netlink mode makes room for filters; whether it was not there.
    fn add_clsact(&self, interface: &Interface) -> Result<bool, CaptureError> {
        let Some(netlink) = &self.netlink else { return Ok(false) };
        match netlink.send(&Request::add_clsact(interface.index)) {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(error) => Err(CaptureError::attaching(&interface.name, &io::Error::from(error))),
        }
    }

    /// In front of other programs: what those redirect or drop was on the wire all the same.
    fn attach_program(
        &self,
        program: &mut SchedClassifier,
        interface: &Interface,
        hook: Hook,
    ) -> Result<Link, CaptureError> {
        let attach_type = match hook {
            Hook::Ingress => TcAttachType::Ingress,
            Hook::Egress => TcAttachType::Egress,
        };
        let options = match self.netlink {
            None => TcAttachOptions::TcxOrder(LinkOrder::first()),
            // Without a priority, the kernel puts a filter in front of those that are there.
            Some(_) => TcAttachOptions::Netlink(NlOptions::default()),
        };
        let failed = |error| CaptureError::attaching(&interface.name, &error);
        let id =
            program.attach_with_options(&interface.name, attach_type, options).map_err(failed)?;
        if self.netlink.is_none() {
            return Ok(Link::Tcx(hook, id));
        }
        let link = program.take_link(id).map_err(failed)?;
        let (priority, handle) = (link.priority().map_err(failed)?, link.handle().map_err(failed)?);
        let undo = Request::delete_filter(interface.index, hook, priority, handle.into());
        // From here on the guardian takes it off, whatever becomes of the agent.
        std::mem::forget(link);
        if let (Err(error), Some(netlink)) = (self.remember(interface, &undo), &self.netlink) {
            // What nobody would undo must not be there.
            let _ignored = netlink.send(&undo);
            return Err(error);
        }
        Ok(Link::Filter(hook, undo))
    }

    /// Takes the programs off an interface that is gone, or that went to another network namespace,
    /// which takes TCX programs along.
    pub(super) fn detach(&self, programs: &mut Programs, name: &str, attachment: Attachment) {
        for link in attachment.links {
            let result: Result<(), Box<dyn Error>> = match link {
                Link::Tcx(hook, id) => programs
                    .program(attachment.link, hook)
                    .map_err(Into::into)
                    .and_then(|program| program.detach(id).map_err(Into::into)),
                Link::Xdp(mode, id) => programs
                    .xdp_program(attachment.link, mode)
                    .map_err(Into::into)
                    .and_then(|program| program.detach(id).map_err(Into::into)),
                Link::Filter(_, undo) => match &self.netlink {
                    Some(netlink) => netlink.send(&undo).map_err(Into::into),
                    None => Ok(()),
                },
            };
            if let Err(error) = result {
                // Usually it went with its interface.
                log::debug!("a program was not taken off {name}: {error}");
            }
        }
    }

    /// Undoes what the programs do not undo themselves.
    pub(super) fn close(&mut self) {
        self.guardian = None;
    }

    fn remember(&self, interface: &Interface, undo: &Request) -> Result<(), CaptureError> {
        let Some(guardian) = &self.guardian else { return Ok(()) };
        guardian.remember(undo).map_err(|error| CaptureError::attaching(&interface.name, &error))
    }
}

/// In the driver if it can, else in front of everything behind it.
fn attach_xdp(
    programs: &mut Programs,
    interface: &Interface,
    link: LinkType,
) -> Result<Link, CaptureError> {
    let mut attach = |mode| -> Result<Result<Link, ProgramError>, CaptureError> {
        let program = programs.xdp_program(link, mode)?;
        Ok(program.attach_to_if_index(interface.index, mode).map(|id| Link::Xdp(mode, id)))
    };
    let attached = match attach(XdpMode::Driver)? {
        Err(native) if !is_taken(&native) => {
            log::debug!("no native XDP on {}, trying without the driver: {native}", interface.name);
            attach(XdpMode::Skb)?
        }
        attached => attached,
    };
    attached.map_err(|error| match is_taken(&error) {
        true => CaptureError::XdpTaken(interface.name.clone()),
        false => CaptureError::attaching(&interface.name, &error),
    })
}

/// Whether an interface has an XDP program already.
fn is_taken(error: &ProgramError) -> bool {
    matches!(os_error(error), Some(libc::EBUSY | libc::EEXIST))
}
