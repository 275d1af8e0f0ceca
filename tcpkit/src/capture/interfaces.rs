//! Network interfaces: which there are, and what their packets begin with.

#![expect(unsafe_code, reason = "one ioctl that has no safe wrapper")]

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

/// All interfaces of this thread's network namespace.
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
        // An interface may vanish between the two calls: then it is not there.
        if let Ok(hardware) = hardware_of(&socket, name) {
            interfaces.push(Interface { index: entry.index(), name: name.to_owned(), hardware });
        }
    }
    Ok(interfaces)
}

/// Finds the interfaces that the user named; none or [`ANY`] stands for all whose packets are
/// understood.
///
/// # Errors
/// An interface is unknown, or what its packets begin with is.
pub fn select(names: &[String]) -> Result<Vec<(Interface, LinkType)>, CaptureError> {
    select_from(list()?, names)
}

fn select_from(
    all: Vec<Interface>,
    names: &[String],
) -> Result<Vec<(Interface, LinkType)>, CaptureError> {
    let mut selected: Vec<(Interface, LinkType)> = Vec::new();
    if names.is_empty() || names.iter().any(|name| name == ANY) {
        for interface in all {
            match interface.link() {
                Some(link) => selected.push((interface, link)),
                None => log::debug!(
                    "{}: left out, its link type {} is not understood",
                    interface.name,
                    interface.hardware
                ),
            }
        }
        return Ok(selected);
    }
    for name in names {
        let Some(interface) = all.iter().find(|interface| interface.name == *name) else {
            let known: Vec<&str> = all.iter().map(|interface| interface.name.as_str()).collect();
            return Err(CaptureError::UnknownInterface {
                name: name.clone(),
                known: known.join(", "),
            });
        };
        let Some(link) = interface.link() else {
            return Err(CaptureError::UnsupportedLink {
                name: name.clone(),
                hardware: interface.hardware,
            });
        };
        if selected.iter().all(|(other, _)| other.index != interface.index) {
            selected.push((interface.clone(), link));
        }
    }
    Ok(selected)
}

/// Asks the socket's network namespace, which /sys need not belong to.
fn hardware_of(socket: &OwnedFd, name: &str) -> io::Result<u16> {
    // SAFETY: an `ifreq` is plain data, for which zeroes are valid.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // One byte less than fits: the name ends with a zero.
    let room = request.ifr_name.len().saturating_sub(1);
    for (to, from) in request.ifr_name.iter_mut().take(room).zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    // SAFETY: the request is an `ifreq` with a terminated name, which the kernel fills; on success
    // the union holds the hardware address.
    unsafe {
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFHWADDR, &raw mut request) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(request.ifr_ifru.ifru_hwaddr.sa_family)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(index: u32, name: &str, hardware: u16) -> Interface {
        Interface { index, name: name.to_owned(), hardware }
    }

    fn some() -> Vec<Interface> {
        vec![
            interface(1, "lo", libc::ARPHRD_LOOPBACK),
            interface(2, "eth0", libc::ARPHRD_ETHER),
            interface(3, "wg0", libc::ARPHRD_NONE),
            interface(4, "mon0", libc::ARPHRD_IEEE80211_RADIOTAP),
        ]
    }

    fn selected(names: &[&str]) -> Vec<String> {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let selected = select_from(some(), &names).unwrap();
        selected.into_iter().map(|(interface, _)| interface.name).collect()
    }

    #[test]
    fn any_and_none_mean_all_that_are_understood() {
        for names in [&[][..], &["any"], &["eth0", "any"]] {
            assert_eq!(selected(names), ["lo", "eth0", "wg0"]);
        }
        assert_eq!(selected(&["wg0", "lo", "wg0"]), ["wg0", "lo"]);
    }

    #[test]
    fn errors_say_what_there_is() {
        let error = select_from(some(), &["eth1".to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "no interface 'eth1'; there are: lo, eth0, wg0, mon0, any");
        let error = select_from(some(), &["mon0".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("mon0") && error.contains("803"), "{error}");
    }

    #[test]
    fn this_machine_has_a_loopback() {
        let lo = list().unwrap().into_iter().find(|interface| interface.name == "lo").unwrap();
        assert!(lo.is_loopback() && lo.index > 0);
        assert_eq!(lo.link(), Some(LinkType::Ethernet));
    }
}
