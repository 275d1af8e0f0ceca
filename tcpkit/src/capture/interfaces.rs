//! Network interfaces: which there are, and what their packets begin with.

#![expect(unsafe_code, reason = "ioctls that have no safe wrapper")]

use std::{
    io, mem,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::{
    net::if_::if_nameindex,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

use super::{CaptureError, LinkType};

/// Kinds of devices without a link header that libc does not name.
const ARPHRD_RAWIP: u16 = 519;
const ARPHRD_IP6GRE: u16 = 823;

/// The name that stands for all interfaces.
pub const ANY: &str = "any";

/// One network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The kernel's number for the kind of its link header (`ARPHRD_*`).
    pub hardware: u16,
    /// Its state (`IFF_*`).
    pub flags: u32,
}

impl Interface {
    /// What its packets begin with, where that is known.
    #[must_use]
    pub fn link(&self) -> Option<LinkType> {
        link_of(self.hardware)
    }

    /// Whether it is a loopback, on which every packet that leaves arrives again.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.hardware == libc::ARPHRD_LOOPBACK
    }

    fn has(&self, flag: libc::c_int) -> bool {
        self.flags & flag.cast_unsigned() != 0
    }

    /// Its state in words, as `tcpdump -D` has them.
    fn state(&self) -> String {
        let words = [
            (self.has(libc::IFF_UP), "Up"),
            (self.has(libc::IFF_RUNNING), "Running"),
            (self.is_loopback(), "Loopback"),
            (self.link().is_none(), "Link type not understood"),
        ];
        let words: Vec<_> = words.iter().filter(|(is_so, _)| *is_so).map(|it| it.1).collect();
        if words.is_empty() { String::new() } else { format!(" [{}]", words.join(", ")) }
    }

    /// Where it stands in the list: what is likely wanted comes first, as in libpcap.
    fn rank(&self) -> (bool, bool, u32) {
        (!(self.has(libc::IFF_UP) && self.has(libc::IFF_RUNNING)), self.is_loopback(), self.index)
    }
}

/// What the packets of a kind of device begin with when TC sees them.
fn link_of(hardware: u16) -> Option<LinkType> {
    match hardware {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Some(LinkType::Ethernet),
        // tun and WireGuard, mobile broadband, PPP, and IP tunnels: the header that the kernel
        // prepends comes behind TC on the way out, and is gone before it on the way in.
        libc::ARPHRD_NONE
        | ARPHRD_RAWIP
        | libc::ARPHRD_PPP
        | libc::ARPHRD_TUNNEL
        | libc::ARPHRD_TUNNEL6
        | libc::ARPHRD_SIT
        | libc::ARPHRD_IPGRE
        | ARPHRD_IP6GRE => Some(LinkType::RawIp),
        _ => None,
    }
}

/// All interfaces of this thread's network namespace, those that are likely wanted first.
///
/// # Errors
/// The kernel did not give the list.
pub fn list() -> Result<Vec<Interface>, CaptureError> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|error| CaptureError::Interfaces(error.into()))?;
    let names = if_nameindex().map_err(|error| CaptureError::Interfaces(error.into()))?;
    let mut interfaces = Vec::new();
    for entry in &names {
        let Ok(name) = entry.name().to_str() else { continue };
        // An interface may vanish between the calls: then it is not there.
        if let Ok((hardware, flags)) = describe(&socket, name) {
            let name = name.to_owned();
            interfaces.push(Interface { index: entry.index(), name, hardware, flags });
        }
    }
    interfaces.sort_by_key(Interface::rank);
    Ok(interfaces)
}

/// The interfaces as `tcpdump -D` lists them: a number that `-i` takes, the name, the state.
///
/// # Errors
/// The kernel did not give the list.
pub fn listing() -> Result<String, CaptureError> {
    let all = list()?;
    let lines = all.iter().map(|it| format!("{}{}", it.name, it.state()));
    let lines = lines.chain([format!("{ANY} (all of them, also those that come later)")]);
    Ok(lines.enumerate().map(|(at, line)| format!("{}.{line}\n", at + 1)).collect())
}

/// Which interfaces are watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Their names; `None` for all.
    names: Option<Vec<String>>,
}

impl Selection {
    /// Interfaces by their names or their numbers in [`listing`]; none, or [`ANY`] among them, stands
    /// for all whose packets are understood.
    ///
    /// # Errors
    /// An interface is unknown, or what its packets begin with is.
    pub fn new(names: &[String]) -> Result<Self, CaptureError> {
        Self::among(&list()?, names)
    }

    fn among(all: &[Interface], names: &[String]) -> Result<Self, CaptureError> {
        let mut selected: Vec<String> = Vec::new();
        for name in names {
            let named = all.iter().find(|interface| interface.name == *name);
            let number = name.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            if name == ANY || (named.is_none() && number == Some(all.len())) {
                return Ok(Self::default());
            }
            let numbered = || number.and_then(|at| all.get(at));
            let Some(interface) = named.or_else(numbered) else {
                let known: Vec<&str> = all.iter().map(|it| it.name.as_str()).collect();
                let known = known.join(", ");
                return Err(CaptureError::UnknownInterface { name: name.clone(), known });
            };
            if interface.link().is_none() {
                return Err(CaptureError::UnsupportedLink {
                    name: interface.name.clone(),
                    hardware: interface.hardware,
                });
            }
            if !selected.contains(&interface.name) {
                selected.push(interface.name.clone());
            }
        }
        Ok(Self { names: (!selected.is_empty()).then_some(selected) })
    }

    /// Whether all interfaces are watched.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.names.is_none()
    }

    /// The names, unless all are watched.
    #[must_use]
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// Those of the selected interfaces that are there now, with what their packets begin with.
    ///
    /// # Errors
    /// The kernel did not give the list.
    pub fn present(&self) -> Result<Vec<(Interface, LinkType)>, CaptureError> {
        Ok(self.present_in(list()?))
    }

    fn present_in(&self, all: Vec<Interface>) -> Vec<(Interface, LinkType)> {
        let wanted = |name: &String| self.names.as_ref().is_none_or(|names| names.contains(name));
        let selected = all.into_iter().filter(|interface| wanted(&interface.name));
        selected.filter_map(|interface| interface.link().map(|link| (interface, link))).collect()
    }
}

/// The kind of an interface's link header and its flags. Asks the socket's network namespace, which
/// /sys need not belong to.
fn describe(socket: &OwnedFd, name: &str) -> io::Result<(u16, u32)> {
    // SAFETY: an `ifreq` is plain data, for which zeroes are valid.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // One byte less than fits: the name ends with a zero.
    let room = request.ifr_name.len().saturating_sub(1);
    for (to, from) in request.ifr_name.iter_mut().take(room).zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    let mut ask = |what| {
        // SAFETY: the request is an `ifreq` with a terminated name, which the kernel fills.
        match unsafe { libc::ioctl(socket.as_raw_fd(), what, &raw mut request) } {
            0 => Ok(request),
            _ => Err(io::Error::last_os_error()),
        }
    };
    let (hardware, flags) = (ask(libc::SIOCGIFHWADDR)?, ask(libc::SIOCGIFFLAGS)?);
    // SAFETY: after these requests the unions hold the hardware address and the flags.
    let (hardware, flags) = unsafe {
        (hardware.ifr_ifru.ifru_hwaddr.sa_family, flags.ifr_ifru.ifru_flags.cast_unsigned())
    };
    Ok((hardware, flags.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: u32 = (libc::IFF_UP | libc::IFF_RUNNING).cast_unsigned();

    fn interface(index: u32, name: &str, hardware: u16) -> Interface {
        Interface { index, name: name.to_owned(), hardware, flags: RUNNING }
    }

    fn some() -> Vec<Interface> {
        vec![
            interface(2, "eth0", libc::ARPHRD_ETHER),
            interface(3, "wg0", libc::ARPHRD_NONE),
            interface(4, "mon0", libc::ARPHRD_IEEE80211_RADIOTAP),
            interface(1, "lo", libc::ARPHRD_LOOPBACK),
        ]
    }

    fn select(names: &[&str]) -> Result<Selection, CaptureError> {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        Selection::among(&some(), &names)
    }

    #[test]
    fn any_and_none_mean_all_that_are_understood() {
        for names in [&[][..], &["any"], &["eth0", "any"], &["5"]] {
            let selection = select(names).unwrap();
            assert!(selection.is_any(), "{names:?}");
            let present = selection.present_in(some()).into_iter();
            let names: Vec<_> = present.map(|(interface, _)| interface.name).collect();
            assert_eq!(names, ["eth0", "wg0", "lo"]);
        }
    }

    #[test]
    fn names_and_numbers_select() {
        for names in [&["wg0", "lo", "wg0"][..], &["2", "4"], &["wg0,lo"]] {
            let names: Vec<_> = names.iter().flat_map(|it| it.split(',')).collect();
            assert_eq!(select(&names).unwrap().names().unwrap(), ["wg0", "lo"]);
        }
        let mut gone = some();
        gone.retain(|it| it.name != "wg0");
        let present = select(&["wg0", "lo"]).unwrap().present_in(gone);
        assert_eq!(present.len(), 1, "one of them is not there for now");
    }

    #[test]
    fn errors_say_what_there_is() {
        for name in ["eth1", "0", "6", "-1"] {
            let error = select(&[name]).unwrap_err().to_string();
            let expect = format!("no interface '{name}'; there are: eth0, wg0, mon0, lo, any");
            assert_eq!(error, expect);
        }
        for name in ["mon0", "3"] {
            let error = select(&[name]).unwrap_err().to_string();
            assert!(error.contains("mon0") && error.contains("803"), "{error}");
        }
    }

    #[test]
    fn the_state_is_said_in_words() {
        assert_eq!(interface(1, "lo", libc::ARPHRD_LOOPBACK).state(), " [Up, Running, Loopback]");
        let down = Interface { flags: 0, ..interface(2, "eth0", libc::ARPHRD_ETHER) };
        assert_eq!(down.state(), "");
        assert!(down.rank() > interface(9, "lo", libc::ARPHRD_LOOPBACK).rank());
    }

    #[test]
    fn this_machine_has_a_loopback() {
        let lo = list().unwrap().into_iter().find(|interface| interface.name == "lo").unwrap();
        assert!(lo.is_loopback() && lo.index > 0);
        assert_eq!(lo.link(), Some(LinkType::Ethernet));
        assert!(listing().unwrap().contains(".lo"));
    }
}
