//! The protocol state on top of a connection.

use wire::limits::HELLO_TIMEOUT;
use wire::{Code, DeviceNo};

use crate::counters::Proof;
use crate::envelope::{Parcel, UserRef};
use crate::event::{ConnId, Login, ShardIndex};

/// Where a session is in its life.
#[derive(Debug)]
pub(crate) enum State {
    /// HELLO is expected, or an ACCOUNT that makes one.
    Opened {
        /// Accounts asked for on this connection.
        register_count: u8,
    },
    /// ACCOUNT came and is not answered; then HELLO is expected again.
    MakingAccount {
        /// As in `Opened`.
        register_count: u8,
    },
    /// Its credential is being checked.
    Authenticating(Box<Login>),
    /// At home, its device's registration not yet durable.
    Registering(Box<Login>, UserRef, DeviceNo),
    /// Welcomed.
    Ready(UserRef, DeviceNo),
    /// Signed out; it is told when that is durable.
    Leaving,
}

/// A message that found no room on its lane.
#[derive(Debug)]
pub(crate) struct Stalled {
    pub(crate) to: ShardIndex,
    pub(crate) parcel: Parcel,
}

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) conn: ConnId,
    pub(crate) state: State,
    /// When it was last heard; while blocked, when it last took bytes; when opened.
    pub(crate) heard_us: u64,
    /// Its socket does not take what it is given.
    pub(crate) is_blocked: bool,
    /// The shell was told not to read.
    pub(crate) is_paused: bool,
    /// ACCOUNT came in the session and is not answered.
    pub(crate) awaits_account: bool,
    /// What its HELLO brought to prove who it is.
    pub(crate) proof: Proof,
    /// When its login was proven.
    pub(crate) proven_us: u64,
    pub(crate) stalled: Option<Box<Stalled>>,
    /// When its place on the wheel comes up; an entry that comes up before that is an older one.
    pub(crate) wheel_us: u64,
}

impl Session {
    pub(crate) fn new(conn: ConnId, state: State, now_us: u64) -> Session {
        Session {
            conn,
            is_paused: !matches!(state, State::Opened { .. }),
            state,
            heard_us: now_us,
            is_blocked: false,
            awaits_account: false,
            proof: Proof::Token,
            proven_us: 0,
            stalled: None,
            wheel_us: u64::MAX,
        }
    }

    /// Its user and device, once welcomed.
    pub(crate) fn ready(&self) -> Option<(UserRef, DeviceNo)> {
        match self.state {
            State::Ready(user, device_no) => Some((user, device_no)),
            _ => None,
        }
    }

    /// Its user and device, once at home.
    pub(crate) fn at_home(&self) -> Option<(UserRef, DeviceNo)> {
        match self.state {
            State::Ready(user, device_no) | State::Registering(_, user, device_no) => Some((user, device_no)),
            _ => None,
        }
    }

    /// Whether it should be read from. Before HELLO only a TLS handshake is written, which nothing piles up behind.
    pub(crate) fn wants_reading(&self) -> bool {
        let is_blocked = match self.state {
            State::Opened { .. } => false,
            State::Ready(..) => self.is_blocked,
            _ => return false,
        };
        !is_blocked && !self.awaits_account && self.stalled.is_none()
    }

    /// The socket took bytes, or began not to. Before and after the session at home deadlines stay where they are: whoever takes a TLS
    /// handshake, or the answer to ACCOUNT, byte by byte has no longer than others.
    pub(crate) fn on_moved(&mut self, now_us: u64) {
        if self.at_home().is_some() {
            self.heard_us = now_us;
        }
    }

    /// When it is closed if nothing moves, and with which code. While the gateway itself does not read, the peer's
    /// deadline rests.
    pub(crate) fn deadline(&self, heartbeat_s: u32) -> Option<(u64, Code)> {
        let heartbeat_us = u64::from(heartbeat_s) * 1_500_000 + 10_000_000;
        let (after_us, code) = match self.state {
            State::Opened { .. } => (micros(HELLO_TIMEOUT), Code::HelloTimeout),
            // Whoever waited so long has given up, or should: a storm of logins is not to be answered after it is over.
            State::MakingAccount { .. } | State::Authenticating(_) | State::Leaving => {
                (micros(HELLO_TIMEOUT), Code::Busy)
            }
            _ if self.is_blocked => (SLOW_READER_US, Code::SlowReader),
            State::Ready(..) if !self.is_paused => (heartbeat_us, Code::HeartbeatTimeout),
            _ => return None,
        };
        Some((self.heard_us + after_us, code))
    }
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).expect("a short time")
}

/// A connection that takes nothing for so long is closed.
const SLOW_READER_US: u64 = 60_000_000;

/// The sessions of a shard, by the index of their connection.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    list: Vec<Option<Box<Session>>>,
    count: usize,
}

impl Sessions {
    pub(crate) fn insert(&mut self, session: Session) {
        let index = session.conn.index as usize;
        while self.list.len() <= index {
            self.list.push(None);
        }
        let before = self.list[index].replace(Box::new(session));
        assert!(before.is_none(), "a connection's place is used again only after its end was handed in");
        self.count += 1;
    }

    pub(crate) fn get(&self, conn: ConnId) -> Option<&Session> {
        self.list.get(conn.index as usize)?.as_deref().filter(|session| session.conn == conn)
    }

    pub(crate) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Session> {
        self.list.get_mut(conn.index as usize)?.as_deref_mut().filter(|session| session.conn == conn)
    }

    pub(crate) fn remove(&mut self, conn: ConnId) -> Option<Box<Session>> {
        self.get(conn)?;
        self.count -= 1;
        self.list[conn.index as usize].take()
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Every connection with a session, by index.
    pub(crate) fn conns(&self) -> Vec<ConnId> {
        self.list.iter().flatten().map(|session| session.conn).collect()
    }
}
