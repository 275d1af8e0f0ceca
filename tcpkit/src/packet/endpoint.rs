//! An IP address and a port, in the one form that flow keys compare and hash.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// One end of a connection. IPv4 addresses are held as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2), so
/// that every address is 16 bytes, in two numbers that stay in registers.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoint {
    high: u64,
    low: u64,
    port: u16,
}

/// What stands in front of the IPv4 address in the lower number.
const MAPPED: u64 = 0xffff << 32;

impl Endpoint {
    /// An IPv4 end; the address is in network order.
    #[must_use]
    #[inline]
    pub fn v4(address: [u8; 4], port: u16) -> Self {
        Self { high: 0, low: MAPPED | u64::from(u32::from_be_bytes(address)), port }
    }

    /// An IPv6 end; the address is in network order.
    #[must_use]
    #[inline]
    pub fn v6(address: [u8; 16], port: u16) -> Self {
        let number = u128::from_be_bytes(address);
        #[expect(clippy::cast_possible_truncation, reason = "its two halves")]
        Self { high: (number >> 64) as u64, low: number as u64, port }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        match self.as_v4() {
            Some(address) => IpAddr::V4(address),
            None => IpAddr::V6(Ipv6Addr::from(self.number())),
        }
    }

    fn as_v4(&self) -> Option<Ipv4Addr> {
        let address = u32::try_from(self.low ^ MAPPED).ok()?;
        (self.high == 0).then(|| Ipv4Addr::from(address))
    }

    /// Whether this end comes before another in the one order that there is: by address, then by port.
    #[inline]
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        let (own, others) = (self.number(), other.number());
        own < others || own == others && self.port < other.port
    }

    /// The address as one number.
    #[inline]
    pub(crate) fn number(&self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        match address.ip() {
            IpAddr::V4(ip) => Self::v4(ip.octets(), address.port()),
            IpAddr::V6(ip) => Self::v6(ip.octets(), address.port()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            IpAddr::V4(ip) => write!(f, "{ip}:{}", self.port),
            IpAddr::V6(ip) => write!(f, "[{ip}]:{}", self.port),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_print_as_socket_addresses() {
        for text in ["192.168.0.1:51137", "[::1]:6379", "[2001:db8::2]:80", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().expect("a socket address");
            assert_eq!(Endpoint::from(address).to_string(), text);
        }
    }
}
