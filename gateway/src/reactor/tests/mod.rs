//! The reactor over loopback, without a runtime: the clients are plain sockets of the same thread.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;

mod plain;
mod slow;
mod tls;

const PAYLOAD_LEN_MAX: u32 = 64 * 1024;

/// A reactor and the address it listens on. `pump` runs it until something is true.
struct Bench {
    reactor: Reactor,
    address: SocketAddr,
}

impl Bench {
    fn new() -> Bench {
        Bench::with_descriptors(1000)
    }

    fn with_descriptors(count: usize) -> Bench {
        let mut reactor = Reactor::new(DescriptorBudget::new(count), PAYLOAD_LEN_MAX).unwrap();
        let (mut listeners, address) = listen("127.0.0.1:0".parse().unwrap(), 1, Duration::ZERO).unwrap();
        reactor.net().start_accepting(listeners.remove(0), false);
        Bench { reactor, address }
    }

    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).unwrap();
        client.set_nodelay(true).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client
    }

    /// Turns, with `on` as the application, until `done`. What happened is written down in `log`, in words.
    fn pump(
        &mut self,
        log: &mut Vec<String>,
        mut on: impl FnMut(&mut Net, &Event<'_>),
        mut done: impl FnMut(&mut Vec<String>, &mut Net) -> bool,
    ) {
        let give_up = Instant::now() + Duration::from_secs(10);
        loop {
            let mut record = |net: &mut Net, event: Event<'_>| {
                on(net, &event);
                log.extend(describe(&event));
            };
            let is_busy = self.reactor.turn(64, &mut record).unwrap();
            if done(log, &mut self.reactor.net) {
                return;
            }
            assert!(Instant::now() < give_up, "not done after {log:?}");
            if !is_busy {
                self.wait();
            }
        }
    }

    /// Turns until nothing more happens by itself.
    fn settle(&mut self, log: &mut Vec<String>, mut on: impl FnMut(&mut Net, &Event<'_>)) {
        loop {
            let mut record = |net: &mut Net, event: Event<'_>| {
                on(net, &event);
                log.extend(describe(&event));
            };
            if !self.reactor.turn(64, &mut record).unwrap() {
                return;
            }
        }
    }

    fn wait(&mut self) {
        let Some(fd) = self.reactor.wait_fd() else {
            return;
        };
        let tenth = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        if poll(&mut fds, Some(&tenth)).unwrap() > 0 {
            rustix::io::read(fd, &mut [0; 8]).unwrap();
        }
    }

    /// Accepts the connections that are under way.
    fn accept(&mut self, count: usize) -> Vec<ConnId> {
        let mut ids = Vec::new();
        let mut opened = |_: &mut Net, event: &Event<'_>| {
            if let Event::Opened { conn } = event {
                ids.push(*conn);
            }
        };
        self.pump(&mut Vec::new(), &mut opened, |_, net| net.count() >= count);
        ids
    }

    fn log_in(&mut self, id: ConnId) {
        self.reactor.net.conns.get_mut(id).unwrap().socket.welcome();
    }

    fn pair(&mut self) -> (TcpStream, ConnId) {
        let before = self.reactor.net.count();
        let client = self.connect();
        let ids = self.accept(before + 1);
        (client, ids[0])
    }
}

/// Frames by type and length, the rest by name.
fn describe(event: &Event<'_>) -> Option<String> {
    Some(match event {
        Event::Opened { .. } => "opened".to_owned(),
        Event::Frame { frame_type, payload, .. } => format!("frame {frame_type} {}", payload.len()),
        Event::Broken { error, .. } => format!("broken {:?}", error.code()),
        Event::Heard { .. } => "heard".to_owned(),
        Event::Blocked { .. } => "blocked".to_owned(),
        Event::Sent { left, .. } => format!("sent, {left} left"),
        Event::Closed { .. } => "closed".to_owned(),
        Event::Released { .. } => "released".to_owned(),
        Event::WakeFailed { .. } => "wake failed".to_owned(),
        Event::TurnEnd => return None,
    })
}

fn frame(frame_type: u8, len: usize) -> Vec<u8> {
    let [a, b, c, ..] = len.to_le_bytes();
    let mut bytes = vec![a, b, c, frame_type];
    bytes.extend((0..=250).cycle().take(len));
    bytes
}

fn echo(net: &mut Net, event: &Event<'_>) {
    if let Event::Frame { conn, frame_type, payload } = event {
        net.write(*conn, &frame(*frame_type, payload.len()));
    }
}

fn ignore(_: &mut Net, _: &Event<'_>) {}

fn count(log: &[String], what: &str) -> usize {
    log.iter().filter(|line| line.starts_with(what)).count()
}
