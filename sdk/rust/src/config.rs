//! What a client is told when it is made.

use std::fmt;

use wire::frame::Credit;
use wire::{DeviceBuf, NameBuf};

/// A client's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who logs in.
    pub user: NameBuf,
    /// Which device of the user. Two clients of one device replace each other.
    pub device: DeviceBuf,
    /// Proof of who the user is. A ticket that the store keeps from an earlier session is tried first.
    pub credential: Credential,
    /// What the gateway may deliver before it hears DELIVER_ACK.
    pub credit: Credit,
    /// The application's name, at most 64 bytes; more is cut.
    pub client_name: String,
    /// The application's version, at most 64 bytes; more is cut.
    pub client_version: String,
    /// Bytes that may wait to be acknowledged: names and bodies, and 64 bytes for each message. At the bound
    /// [`Client::send`](crate::Client::send) refuses.
    pub outbox_len_max: usize,
    /// How reconnections are spaced.
    pub backoff: Backoff,
    /// How long a commit may wait for its DELIVER_ACK, in milliseconds: 0 to 50; more counts as 50.
    pub ack_delay_ms: u64,
}

impl Config {
    /// The defaults: a credit of 256 entries and 1 MiB, 16 MiB of outbox, 250 ms to 30 s of back-off, 20 ms of delay for
    /// acknowledgements, and this crate's name and version.
    pub fn new(user: NameBuf, device: DeviceBuf, credential: Credential) -> Config {
        Config {
            user,
            device,
            credential,
            credit: Credit { entries: 256, bytes: 1 << 20 },
            client_name: env!("CARGO_PKG_NAME").to_owned(),
            client_version: env!("CARGO_PKG_VERSION").to_owned(),
            outbox_len_max: 16 << 20,
            backoff: Backoff::default(),
            ack_delay_ms: 20,
        }
    }
}

/// Exponential back-off with jitter, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest wait after the first failure; half of it is the shortest wait after any.
    pub first_ms: u64,
    /// The longest wait after any number of failures. `first_ms <= max_ms`, else `first_ms` counts.
    pub max_ms: u64,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { first_ms: 250, max_ms: 30_000 }
    }
}

/// A credential that owns its secret. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A JSON Web Token, signed by the operator's backend.
    Token(Box<str>),
    /// An account's password.
    Password(Box<str>),
    /// From an earlier WELCOME.
    Ticket(Box<[u8]>),
    /// None: only the ticket in the store. Without one, or when the gateway refuses it, [`Event::Ended`](crate::Event::Ended) says so
    /// and the application asks for a password or a token.
    None,
}

impl Credential {
    /// The credential as HELLO carries it, if there is one.
    pub(crate) fn as_wire(&self) -> Option<wire::frame::Credential<'_>> {
        match self {
            Credential::Token(token) => Some(wire::frame::Credential::Token(token)),
            Credential::Password(password) => Some(wire::frame::Credential::Password(password)),
            Credential::Ticket(ticket) => Some(wire::frame::Credential::Ticket(ticket)),
            Credential::None => None,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credential::Token(_) => "Token(..)",
            Credential::Password(_) => "Password(..)",
            Credential::Ticket(_) => "Ticket(..)",
            Credential::None => "None",
        })
    }
}
