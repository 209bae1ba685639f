//! Taking connections: a listener per shard on the same address, plain or TLS, the kernel spreads what comes.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Type};
use tracing::warn;

use super::conn::{DescriptorBudget, Socket};
use super::ring::{Completion, Op, Ring, Tag};
use super::trouble::Trouble;
use crate::error::Error;

/// One of a shard's listeners and its multishot accept.
pub(crate) struct Acceptor {
    tag: Tag,
    listener: Option<OwnedFd>,
    budget: Arc<DescriptorBudget>,
    is_armed: bool,
    is_stopped: bool,
    /// When to try again after none could be accepted.
    retry_at: Option<Instant>,
    trouble: Trouble,
    accepted: u64,
    failures: u64,
}

impl Acceptor {
    /// One that has no listener yet. Its completions come under `index`.
    pub(crate) fn new(index: u32, budget: Arc<DescriptorBudget>) -> Acceptor {
        let tag = Tag::of(Op::Accept, index);
        Acceptor {
            tag,
            listener: None,
            budget,
            is_armed: false,
            is_stopped: false,
            retry_at: None,
            trouble: Trouble::default(),
            accepted: 0,
            failures: 0,
        }
    }

    /// Begins to take connections.
    pub(crate) fn start(&mut self, listener: OwnedFd, ring: &mut Ring) {
        if !self.is_stopped {
            self.listener = Some(listener);
            self.arm(ring);
        }
    }

    /// Takes no more, for good. Those that wait in the listener's queue are reset once its last completion came.
    pub(crate) fn stop(&mut self, ring: &mut Ring) {
        self.is_stopped = true;
        self.retry_at = None;
        if self.is_armed {
            ring.cancel(self.tag);
        } else {
            self.listener = None;
        }
    }

    /// Connections taken so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Connections that could not be taken, or not be kept.
    pub(crate) fn failures(&self) -> u64 {
        self.failures
    }

    /// When [`Acceptor::on_time`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Tries again if it is time.
    pub(crate) fn on_time(&mut self, now: Instant, ring: &mut Ring) {
        if self.retry_at.is_some_and(|at| at <= now) {
            if self.budget.is_spent() {
                self.retry_at = Some(now + BACK_OFF);
                self.on_trouble(now, None);
            } else {
                self.retry_at = None;
                self.arm(ring);
            }
        }
    }

    /// A connection came, or none could.
    pub(crate) fn on_completion(&mut self, completion: Completion, ring: &mut Ring) -> Option<Socket> {
        self.is_armed = completion.has_more;
        let socket = match completion.accepted() {
            Ok(descriptor) => {
                self.trouble.on_success();
                let socket = Socket::admit(descriptor, &self.budget);
                self.accepted += u64::from(socket.is_some());
                self.failures += u64::from(socket.is_none());
                socket
            }
            // The peer went away before it was accepted, or the like: it concerns that one only.
            Err(ECONNABORTED | EPROTO | EINTR | ECANCELED) => None,
            // No descriptor or no memory is left, or something that does not go away at once either.
            Err(errno) => {
                let now = Instant::now();
                self.failures += 1;
                self.retry_at = Some(now + BACK_OFF);
                self.on_trouble(now, Some(errno));
                None
            }
        };
        if self.is_stopped {
            if !self.is_armed {
                self.listener = None;
            }
            return None;
        }
        if self.budget.is_spent() {
            // The queue of the listener holds the others until there is room.
            self.retry_at = Some(Instant::now() + BACK_OFF);
            if self.is_armed {
                ring.cancel(self.tag);
            }
        } else if !self.is_armed && self.retry_at.is_none() {
            self.arm(ring);
        }
        socket
    }

    /// Nobody can be accepted, because of this error, or because no descriptor is left. Clients wait in the listener's queue.
    fn on_trouble(&mut self, now: Instant, errno: Option<i32>) {
        let Some(lasted) = self.trouble.on_failure(now) else { return };
        let error = errno.map_or_else(
            || "as many connections as the limit on open files allows (ulimit -n)".to_owned(),
            |errno| io::Error::from_raw_os_error(errno).to_string(),
        );
        warn!(seconds = lasted.as_secs(), error, "new connections cannot be accepted: they wait");
    }

    fn arm(&mut self, ring: &mut Ring) {
        if let Some(listener) = &self.listener
            && !self.is_armed
        {
            ring.accept(listener.as_fd(), self.tag);
            self.is_armed = true;
        }
    }
}

/// `count` sockets that listen on `address` together, and the address they have: port 0 becomes a free one.
///
/// Connections inherit TCP_NODELAY from them: what a turn gathered is one send, and nothing follows soon that would be worth
/// waiting for.
///
/// An address in use is tried again for as long as `patience`: the kernel takes down the rings of a process that was killed, and
/// with them its listeners, some time after the process is gone.
///
/// # Errors
/// [`Error::AddressInUse`] also when the other party shares its port, as another gateway would; [`Error::Listen`].
pub(crate) fn listen(address: SocketAddr, count: u16, patience: Duration) -> Result<(Vec<OwnedFd>, SocketAddr), Error> {
    let explain = |cause: io::Error| match cause.kind() {
        io::ErrorKind::AddrInUse => Error::AddressInUse(address),
        _ => Error::Listen { address, cause },
    };
    let give_up = Instant::now() + patience;
    // Without SO_REUSEPORT, which is what finds out whether somebody else is there.
    let probe = loop {
        match bind(address, false) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < give_up => {
                std::thread::sleep(BIND_INTERVAL);
            }
            other => break other.map_err(explain)?,
        }
    };
    let actual = probe.local_addr().map_err(explain)?;
    let actual = actual.as_socket().expect("an internet address was bound");
    drop(probe);
    let sockets = (0..count).map(|_| {
        let socket = bind(actual, true)?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    });
    let sockets = sockets.collect::<io::Result<Vec<_>>>().map_err(explain)?;
    Ok((sockets, actual))
}

fn bind(address: SocketAddr, is_shared: bool) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of an earlier run that the kernel still remembers do not count as somebody else.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(is_shared)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// How long to wait when there is no descriptor left: long enough to cost nothing, short beside a client's patience.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Between two attempts at an address in use.
const BIND_INTERVAL: Duration = Duration::from_millis(20);
/// Connections that may wait to be accepted; the kernel cuts it to net.core.somaxconn.
const BACKLOG: i32 = 4096;

const EINTR: i32 = 4;
const EPROTO: i32 = 71;
const ECONNABORTED: i32 = 103;
const ECANCELED: i32 = 125;

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    #[test]
    fn a_taken_port_is_told_even_if_it_is_shared() {
        let (first, address) = listen(LOOPBACK, 2, Duration::ZERO).unwrap();
        assert_eq!(first.len(), 2);
        let second = listen(address, 1, Duration::ZERO);
        assert!(matches!(second, Err(Error::AddressInUse(taken)) if taken == address));
        drop(first);
        assert!(listen(address, 1, Duration::ZERO).is_ok());
    }

    #[test]
    fn a_port_that_is_given_up_meanwhile_is_taken() {
        let (first, address) = listen(LOOPBACK, 1, Duration::ZERO).unwrap();
        let leaves = std::thread::spawn(move || drop(first));
        assert!(listen(address, 1, Duration::from_secs(60)).is_ok());
        leaves.join().unwrap();
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        let address = "192.0.2.1:1".parse().unwrap();
        assert!(matches!(listen(address, 1, Duration::ZERO), Err(Error::Listen { .. })));
    }
}
