//! What a run and its workers say to each other: one JSON value a line, through the worker's standard input and output.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::latency::Buckets;
use crate::scenario::Scenario;
use crate::timeline::SlotPart;
use crate::verify::{Numbers, Sent};

/// From the run to a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Order {
    /// The first line: log your users in.
    Plan(Box<Plan>),
    /// Messages flow from this time of the machine's monotonic clock on. Comes once.
    Start { at_ns: u64 },
    /// The run is over: send [`Word::Result`] and end.
    Finish,
}

/// From a worker to the run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Word {
    /// How far it is; several a second.
    Progress(Progress),
    /// It cannot go on, and why. Nothing follows.
    Failed(String),
    /// What it measured. Nothing follows.
    Result(Box<Part>),
}

/// A worker's task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) scenario: Scenario,
    pub(crate) target: SocketAddr,
    /// With TLS: the host that the gateway's certificate must be for, and PEM of whom to trust.
    pub(crate) tls: Option<(String, String)>,
    /// PEM of the key that signs the users' tokens.
    pub(crate) token_key: String,
    /// Which worker this is, from 0, and of how many.
    pub(crate) index: u32,
    pub(crate) count: u32,
    /// Logins a second of this worker.
    pub(crate) connect_rate: f64,
    /// How long a user's commit may wait for its DELIVER_ACK, in milliseconds.
    pub(crate) ack_delay_ms: u64,
    pub(crate) seed: u64,
}

/// Counts so far. All but `online` only go up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Users who have been welcomed; those who will be away have left again.
    pub(crate) registered: u32,
    /// Users who were away and have been welcomed again.
    pub(crate) returned: u32,
    /// Sessions now.
    pub(crate) online: u32,
    pub(crate) sent: u64,
    /// SEND_ACK came: `received + stored + duplicate`.
    pub(crate) acked: u64,
    pub(crate) refused: u64,
    /// Messages that came for the first time.
    pub(crate) delivered: u64,
    /// Sessions after a user's first that the run had not planned.
    pub(crate) reconnects: u64,
    /// Handshakes of TLS that were completed.
    pub(crate) handshakes: u64,
    /// Of these: with the ticket of an earlier session.
    pub(crate) handshakes_resumed: u64,
    /// What went wrong by itself: failed connections, sessions ended by the gateway, gaps.
    pub(crate) errors: BTreeMap<String, u64>,
}

impl Progress {
    /// Sent, and neither acknowledged nor refused.
    pub(crate) fn unresolved(&self) -> u64 {
        self.sent.saturating_sub(self.acked + self.refused)
    }

    /// Sums up workers.
    pub(crate) fn add(&mut self, other: &Progress) {
        self.registered += other.registered;
        self.returned += other.returned;
        self.online += other.online;
        self.sent += other.sent;
        self.acked += other.acked;
        self.refused += other.refused;
        self.delivered += other.delivered;
        self.reconnects += other.reconnects;
        self.handshakes += other.handshakes;
        self.handshakes_resumed += other.handshakes_resumed;
        for (error, count) in &other.errors {
            *self.errors.entry(error.clone()).or_default() += count;
        }
    }

    /// What must change from time to time if the run is getting anywhere.
    pub(crate) fn pulse(&self) -> [u64; 5] {
        [u64::from(self.registered), u64::from(self.returned), self.acked, self.refused, self.delivered]
    }
}

/// What a worker measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) progress: Progress,
    /// Of `progress.acked`: safe because every device of the recipient has it.
    pub(crate) received: u64,
    /// Of `progress.acked`: safe because it is in the log.
    pub(crate) stored: u64,
    /// Acknowledged between start and end of the run.
    pub(crate) acked_in_time: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupted: u64,
    /// One for each user of this worker.
    pub(crate) sent: Vec<Sent>,
    /// By index of the sender, over all workers' users: what arrived here.
    pub(crate) arrived: Vec<Numbers>,
    /// Intended time to SEND_ACK.
    pub(crate) accepted: Buckets,
    /// Intended time to delivery, for recipients who were not away.
    pub(crate) delivered: Buckets,
    /// Intended time to delivery, for recipients who were away.
    pub(crate) caught_up: Buckets,
    /// How late messages were handed to the client library: the load generator's own doing.
    pub(crate) lag: Buckets,
    /// The first login's beginning, and when the last user of the first phase was welcomed.
    pub(crate) connect_ns: (u64, u64),
    /// Processor time used between start and end of the run.
    pub(crate) cpu_ns: u64,
    /// And the time in which the process was ready to run and had no processor.
    pub(crate) waited_ns: u64,
    /// From the start of the run on.
    pub(crate) slots: Vec<SlotPart>,
}

/// Writes one line.
///
/// # Errors
/// When the other side is gone.
pub(crate) fn say<T: Serialize>(to: &mut impl Write, what: &T) -> Result<()> {
    let mut line = serde_json::to_vec(what).context("cannot put a message into JSON")?;
    line.push(b'\n');
    to.write_all(&line).and_then(|()| to.flush()).context("the other process is gone")
}

/// Reads one line.
///
/// # Errors
/// When it is not what the other side would say.
pub(crate) fn hear<T: for<'a> Deserialize<'a>>(line: &[u8]) -> Result<T> {
    serde_json::from_slice(line).context("the other process speaks another language")
}
