//! The watch over frames that were begun and do not come whole.
//!
//! A heartbeat deadline does not catch a peer that sends a byte now and then: it is heard. So a connection in mid-frame is looked
//! at every few seconds, and is given up when so many looks have found it in the same frame. It costs an entry only while a
//! connection is, or was a moment ago, in mid-frame, and nothing at all for each frame.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use gateway_core::ConnId;

/// Whom to look at, and when.
#[derive(Default)]
pub(crate) struct Watch {
    /// Each connection once, in the order of time.
    looks: VecDeque<(Instant, ConnId)>,
}

impl Watch {
    /// Looks at it after a while.
    pub(crate) fn add(&mut self, now: Instant, conn: ConnId) {
        self.looks.push_back((now + LOOK_INTERVAL, conn));
    }

    /// Who is to be looked at.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<ConnId> {
        self.looks.pop_front_if(|(at, _)| *at <= now).map(|(_, conn)| conn)
    }

    /// When [`Watch::pop_due`] has somebody.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.looks.front().map(|(at, _)| *at)
    }
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// It is not in mid-frame any more.
    Well,
    /// Look again.
    Again,
    /// It took too long.
    Stale,
}

/// Counts a look at a connection that is in mid-frame or not, and is being read or not: while the gateway itself does not read,
/// the deadline rests.
pub(crate) fn look(stale_looks: &mut u8, is_in_mid_frame: bool, is_read: bool) -> Look {
    if !is_in_mid_frame {
        return Look::Well;
    }
    *stale_looks += u8::from(is_read);
    if *stale_looks >= STALE_LOOKS { Look::Stale } else { Look::Again }
}

const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// So many intervals after the first look a frame is at least [`wire::limits::FRAME_TIMEOUT`] old.
const STALE_LOOKS: u8 = 7;

const _: () = assert!(LOOK_INTERVAL.as_secs() * (STALE_LOOKS as u64 - 1) == wire::limits::FRAME_TIMEOUT.as_secs());
