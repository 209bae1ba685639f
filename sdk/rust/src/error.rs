//! What can go wrong on the client's own side.

use std::{io, path::Path};

/// Why a message was not taken. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// [`Config::outbox_len_max`](crate::Config::outbox_len_max) is reached. Send again after the next
    /// [`Event::Accepted`](crate::Event::Accepted).
    #[error("too much waits to be acknowledged")]
    OutboxFull,
    /// The body is longer than the gateway takes.
    #[error("a message has at most {max} bytes, this one has {len}")]
    TooLarge {
        /// Bytes of the body.
        len: usize,
        /// Bytes a body may have.
        max: usize,
    },
    /// An ephemeral message goes out at once or not at all, and there is no session.
    #[error("not connected")]
    NotWelcomed,
    /// An ephemeral message goes out at once or not at all, and the transport has not taken what was sent before.
    #[error("the connection is behind")]
    Behind,
    /// The message could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why nothing was asked for about the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The password is changed, and the account deleted, in a session; there is none.
    #[error("not connected")]
    NotWelcomed,
    /// An account is made before login, and there is a session or a login under way.
    #[error("logged in already")]
    LoggedIn,
    /// The answer to an earlier one is still to come.
    #[error("another request about the account is under way")]
    Pending,
    /// No gateway takes such a password.
    #[error("a password has {min} to {max} bytes, this one has {len}")]
    BadPassword {
        /// Bytes it has.
        len: usize,
        /// The least it may have.
        min: usize,
        /// The most it may have.
        max: usize,
    },
}

/// Why a store failed. The client stops then: what it cannot commit it must not acknowledge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("{doing} {path}: {text}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: String,
        /// What kind of error.
        kind: io::ErrorKind,
        /// The system's words.
        text: String,
    },
    /// Another process, or another client of this one, has it open.
    #[error("{path} is in use by another client")]
    InUse {
        /// The file.
        path: String,
    },
    /// It is not a store of this version.
    #[error("{path} is not a store that this version reads: {what}")]
    NotAStore {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// For stores of the application's own.
    #[error("{0}")]
    Other(String),
}

impl StoreError {
    /// An error of the operating system.
    pub fn io(doing: &'static str, path: &Path, error: &io::Error) -> StoreError {
        StoreError::Io { doing, path: path.display().to_string(), kind: error.kind(), text: error.to_string() }
    }
}
