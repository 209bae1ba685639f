//! A logged-in connection on its way to its user's home shard.

use std::collections::BTreeMap;

use gateway_core::{ConnId, Login, ShardIndex};

use crate::reactor::Detached;

/// What is handed over.
///
/// Lost: the connection is closed, and the client connects again. Late: WELCOME comes late. Twice: cannot be.
pub(crate) struct Handoff {
    /// The connection, with what it read behind HELLO.
    pub(crate) detached: Box<Detached>,
    /// What HELLO said.
    pub(crate) login: Box<Login>,
}

/// Connections that the shard has let go and the reactor still holds, until the last completion of their polls.
#[derive(Default)]
pub(crate) struct Leaving {
    whereto: BTreeMap<ConnId, (ShardIndex, Box<Login>)>,
}

impl Leaving {
    /// Notes where it will go.
    pub(crate) fn add(&mut self, conn: ConnId, to: ShardIndex, login: Box<Login>) {
        self.whereto.insert(conn, (to, login));
    }

    /// The reactor has let it go.
    ///
    /// # Panics
    /// When it was not added.
    pub(crate) fn remove(&mut self, conn: ConnId, detached: Box<Detached>) -> (ShardIndex, Handoff) {
        let (to, login) = self.whereto.remove(&conn).expect("what leaves was noted");
        (to, Handoff { detached, login })
    }
}
