//! Where a client stands, and what it keeps as long as one connection lives.

use std::fmt;

use wire::frame::{Credit, Welcome};
use wire::limits::IN_FLIGHT_MAX;
use wire::{Counter, Id};

use crate::heartbeat::Heartbeat;

/// Where a client stands between two connections, or in one. Times in microseconds.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Not connected, and to be connected from this moment on.
    Waiting {
        at_us: u64,
    },
    Connecting,
    /// ACCOUNT is on its way, and HELLO follows.
    Registering {
        deadline_us: u64,
    },
    /// HELLO is on its way.
    Greeting {
        deadline_us: u64,
    },
    Welcomed(Session),
    /// Not to be connected unless the application says so.
    Ended,
    /// The store failed.
    Failed,
}

/// From WELCOME to the end of the connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) boot: u64,
    pub(crate) in_flight_max: u64,
    pub(crate) heartbeat: Heartbeat,
    /// The highest counter offered on this connection: `lowest unresolved − 1` at its beginning.
    pub(crate) offered: Counter,
    pub(crate) confirm: Confirm,
    /// LOGOUT is on its way.
    pub(crate) logout_deadline_us: Option<u64>,
    /// ACCOUNT is on its way.
    pub(crate) account: Option<Box<Wish>>,
}

/// What was asked for about the account in a session.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) request: u32,
    pub(crate) kind: WishKind,
}

/// What of it.
pub(crate) enum WishKind {
    /// The new password.
    ChangePassword(Box<str>),
    Delete,
}

impl fmt::Debug for WishKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WishKind::ChangePassword(_) => "ChangePassword(..)",
            WishKind::Delete => "Delete",
        })
    }
}

impl Session {
    pub(crate) fn new(now_us: u64, welcome: &Welcome<'_>, offered: Counter) -> Session {
        Session {
            boot: welcome.boot,
            in_flight_max: u64::from(welcome.in_flight_max).clamp(1, IN_FLIGHT_MAX),
            heartbeat: Heartbeat::new(now_us, welcome.heartbeat_s),
            offered,
            confirm: Confirm::default(),
            logout_deadline_us: None,
            account: None,
        }
    }
}

/// What was delivered on this connection and committed, and not yet confirmed.
#[derive(Debug, Default)]
pub(crate) struct Confirm {
    /// The highest id delivered on this connection: the gateway would refuse more.
    delivered: Id,
    entries: u64,
    bytes: u64,
    /// When DELIVER_ACK leaves at the latest; none when everything is confirmed.
    due_us: Option<u64>,
}

impl Confirm {
    /// An entry is committed. It is confirmed after `delay_us`, or at once when half the credit is used.
    pub(crate) fn add(&mut self, now_us: u64, delay_us: u64, credit: Credit, id: Id, len: usize) {
        self.delivered = self.delivered.max(id);
        self.entries += 1;
        self.bytes += len as u64;
        let is_half = self.entries * 2 >= credit.entries.into() || self.bytes * 2 >= credit.bytes.into();
        let due_us = now_us + if is_half { 0 } else { delay_us };
        self.due_us = Some(self.due_us.map_or(due_us, |due| due.min(due_us)));
    }

    pub(crate) fn due_us(&self) -> Option<u64> {
        self.due_us
    }

    /// What DELIVER_ACK shall say now, if there is anything to say.
    pub(crate) fn take(&mut self) -> Option<Id> {
        self.due_us.take()?;
        self.entries = 0;
        self.bytes = 0;
        Some(self.delivered)
    }
}
