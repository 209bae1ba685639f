//! Sockets: many of them, from many addresses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::{io, net};

/// A connection to the gateway that does not block. Closed when it is dropped.
#[derive(Debug)]
pub(crate) struct Socket(OwnedFd);

/// How a read or a write went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing now: wait for the socket to be ready.
    Later,
    /// The connection is over.
    Over(String),
}

impl Socket {
    /// Begins to connect. The outcome shows with the first write or read.
    ///
    /// # Errors
    /// When the system refuses a socket or the way to the target.
    pub(crate) fn connect(target: SocketAddr, source: Option<Ipv4Addr>) -> io::Result<Socket> {
        let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = net::socket_with(family, SocketType::STREAM, flags, None)?;
        net::sockopt::set_tcp_nodelay(&fd, true)?;
        if let Some(source) = source {
            net::bind(&fd, &SocketAddr::from((source, 0)))?;
        }
        match net::connect(&fd, &target) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(Socket(fd)),
            Err(error) => Err(error),
        }
    }

    /// Why connecting failed, once it has.
    pub(crate) fn connect_error(&self) -> Option<Errno> {
        net::sockopt::socket_error(&self.0).unwrap_or_else(Err).err()
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.0
    }

    pub(crate) fn read(&self, buffer: &mut [u8]) -> Progress {
        match net::recv(&self.0, buffer, RecvFlags::empty()) {
            Ok((0, _)) => Progress::Over("closed by the gateway".into()),
            Ok((len, _)) => Progress::Bytes(len),
            Err(error) => from_error(error),
        }
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> Progress {
        match net::send(&self.0, bytes, SendFlags::NOSIGNAL) {
            Ok(len) => Progress::Bytes(len),
            Err(error) => from_error(error),
        }
    }
}

fn from_error(error: Errno) -> Progress {
    match error {
        Errno::AGAIN | Errno::INTR => Progress::Later,
        _ => Progress::Over(error.to_string()),
    }
}

/// The address that user `index` comes from: a loopback target is reached from many addresses, a thousand users each, so that
/// ports do not run out however often they reconnect. Other targets are reached from where the system chooses.
pub(crate) fn source(target: SocketAddr, index: u32) -> Option<Ipv4Addr> {
    match target.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => {
            let host = index / USERS_PER_ADDRESS % HOSTS;
            Some(Ipv4Addr::from(FIRST_SOURCE.to_bits() + host))
        }
        _ => None,
    }
}

const USERS_PER_ADDRESS: u32 = 1_000;
/// Away from 127.0.0.1, where servers and other clients live.
const FIRST_SOURCE: Ipv4Addr = Ipv4Addr::new(127, 64, 0, 1);
/// Addresses up to 127.127.255.255.
const HOSTS: u32 = (64 << 16) - 1;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_million_users_on_loopback_never_share_an_address_with_too_many() {
        let target = SocketAddr::from(([127, 0, 0, 1], 7400));
        let mut users: HashMap<Ipv4Addr, u32> = HashMap::new();
        for index in 0..1_000_000 {
            *users.entry(source(target, index).unwrap()).or_default() += 1;
        }
        assert!(users.keys().all(Ipv4Addr::is_loopback));
        assert!(users.values().all(|count| *count == USERS_PER_ADDRESS));
        assert!(source(target, u32::MAX).unwrap().is_loopback());
    }

    #[test]
    fn elsewhere_the_system_chooses_the_source() {
        assert_eq!(source(SocketAddr::from(([192, 0, 2, 1], 7400)), 5), None);
        assert_eq!(source("[::1]:7400".parse().unwrap(), 5), None);
    }
}
