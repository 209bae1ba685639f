//! What the accounts thread is asked, and what it answers.

use std::net::IpAddr;

use gateway_core::{ConnId, Refusal};
use wire::{DeviceBuf, NameBuf};

use super::backoff::Attempt;
use super::command::{CommandAnswer, CommandError};
use super::password::Password;
use crate::mesh::Letter;

/// Something that needs a hash.
pub(crate) enum Ask {
    /// A login with a password.
    Login {
        /// Who asks.
        from: From,
        /// Who it says it is.
        user: NameBuf,
        /// For the ticket.
        device: DeviceBuf,
        /// The proof.
        password: Password,
    },
    /// ACCOUNT.
    Account {
        /// Who asks.
        from: From,
        /// The client's number for it.
        request: u32,
        /// Whose account.
        user: NameBuf,
        /// For the ticket; none before HELLO.
        device: Option<DeviceBuf>,
        /// What to do.
        deed: Deed,
    },
    /// An operator's `add` or `passwd`.
    Command {
        /// Whose account.
        user: NameBuf,
        /// Make the account, or give it another password.
        is_new: bool,
        /// The new one.
        password: Password,
        /// Whom to answer.
        reply: Reply,
    },
}

/// A connection, and where it is from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct From {
    /// The shard that has it.
    pub(crate) shard: u16,
    /// Its name there.
    pub(crate) conn: ConnId,
    /// Of the peer.
    pub(crate) address: IpAddr,
}

/// What a person asks for.
pub(crate) enum Deed {
    /// An account with this password.
    Register(Password),
    /// Another password.
    Change {
        /// The present one.
        old: Password,
        /// The other one.
        new: Password,
    },
    /// The account's end, with the present password.
    Delete(Password),
}

/// Where the answer to an operator goes.
pub(crate) type Reply = Box<dyn FnOnce(Result<CommandAnswer, CommandError>) + Send>;

/// An answer.
pub(crate) enum Answer {
    /// To a shard.
    Letter {
        /// Which.
        shard: u16,
        /// What.
        letter: Letter,
    },
    /// To an operator.
    Reply {
        /// Whom to call.
        reply: Reply,
        /// With what.
        result: Result<CommandAnswer, CommandError>,
    },
}

impl Ask {
    /// What is held against whom; `None` for operators.
    pub(crate) fn attempt(&self) -> Option<(Attempt, &NameBuf, IpAddr)> {
        match self {
            Ask::Login { from, user, .. } => Some((Attempt::Login, user, from.address)),
            Ask::Account { from, user, deed: Deed::Register(_), .. } => Some((Attempt::Register, user, from.address)),
            Ask::Account { from, user, .. } => Some((Attempt::Inside, user, from.address)),
            Ask::Command { .. } => None,
        }
    }

    /// Whose account it is about.
    pub(crate) fn user(&self) -> &NameBuf {
        match self {
            Ask::Login { user, .. } | Ask::Account { user, .. } | Ask::Command { user, .. } => user,
        }
    }

    /// No.
    pub(crate) fn refuse(self, refusal: Refusal) -> Answer {
        match self {
            Ask::Login { from, user, device, .. } => {
                let letter = Letter::LoginChecked { conn: from.conn, user, device, verdict: Err(refusal) };
                Answer::Letter { shard: from.shard, letter }
            }
            Ask::Account { from, request, .. } => {
                let letter = Letter::AccountDone { conn: from.conn, request, result: Err(refusal) };
                Answer::Letter { shard: from.shard, letter }
            }
            Ask::Command { reply, .. } => Answer::Reply { reply, result: Err(CommandError::Busy) },
        }
    }
}
