//! The border between a shard's decisions and the machine that carries them out.

use std::fmt;

use storage::{DiskDone, DiskOp, LogState};
use wire::frame::Credit;
use wire::{Code, Counter, DeviceBuf, Frame, Id, Incarnation, NameBuf};

use crate::envelope::Envelope;

/// The time, twice, both in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Never goes back; its zero is arbitrary. All deadlines are on it.
    pub mono_us: u64,
    /// Since 1970; may jump. Ids come from it.
    pub wall_us: u64,
}

/// Which shard, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardIndex(pub u16);

/// A connection of one shard. `index` is dense and used again, `generation` tells the uses apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    /// Place in the shell's slab.
    pub index: u32,
    /// Up by one at each use of that place.
    pub generation: u32,
}

/// Something that happened. An input about a connection the shard has closed, or does not know, changes nothing.
#[derive(Debug)]
pub enum Input<'a> {
    /// Accepted; HELLO is expected. The shell reads from it and limits payloads to `HELLO_PAYLOAD_LEN_MAX`.
    Opened {
        /// The new connection.
        conn: ConnId,
    },
    /// A whole frame that decoded.
    Frame {
        /// Where it came.
        conn: ConnId,
        /// What came.
        frame: Frame<'a>,
    },
    /// Bytes that the deframer or the decoder refused. After a fatal error the shell reads no more from it.
    Broken {
        /// Where it came.
        conn: ConnId,
        /// What was wrong.
        error: wire::WireError,
    },
    /// Bytes came that complete no frame: the peer lives.
    Heard {
        /// From whom.
        conn: ConnId,
    },
    /// The answer to [`Output::Authenticate`].
    Authenticated {
        /// Which connection.
        conn: ConnId,
        /// What it proves, or why it does not.
        verdict: Result<Grant, Refusal>,
    },
    /// The answer to [`Output::Account`]: what was asked for is done and durable, or refused and nothing was changed.
    AccountDone {
        /// Which connection.
        conn: ConnId,
        /// As it was asked.
        request: u32,
        /// Done: a fresh ticket for the session, empty for none (register has none). After a change of password it stands for a
        /// proof given at `before_us` of the [`Input::Void`] that follows.
        result: Result<Box<[u8]>, Refusal>,
    },
    /// Logins of a user that were proven before a moment are void. To the user's home, for each change of a password, each time an
    /// account is disabled, enabled or deleted, and once after [`Output::Ready`] for each account whose moment may still
    /// matter. The newest counts, also one that goes back. Lost or late: old logins stay good. Twice: changes nothing.
    Void {
        /// Whose.
        user: NameBuf,
        /// Logins proven before this are void; `u64::MAX`: all, until another `Void` says otherwise.
        before_us: u64,
        /// What the sessions that end by it are told.
        code: Code,
        /// The account is deleted: the user's devices are forgotten and the inbox is emptied. [`Output::Purged`] answers; until then
        /// nobody else may have the name, and after a restart it is to be said again.
        purge: bool,
        /// The session that changed the password: it stays, with `before_us` for its proof.
        except: Option<ConnId>,
    },
    /// A connection that logged in was handed to this shard, its user's home. The shell does not read from it until
    /// [`Output::ResumeRead`]; then bytes that came together with HELLO come first.
    Adopt {
        /// Its name here.
        conn: ConnId,
        /// What HELLO said.
        login: Box<Login>,
    },
    /// The socket took less than it was given. While a connection is blocked, `Sent` reports each further progress.
    Blocked {
        /// Which connection.
        conn: ConnId,
    },
    /// A blocked connection took bytes; with `left` 0 it is not blocked any more.
    Sent {
        /// Which connection.
        conn: ConnId,
        /// Bytes still waiting.
        left: usize,
    },
    /// The peer or the network ended the connection.
    Closed {
        /// Which connection.
        conn: ConnId,
    },
    /// From another shard. Envelopes of one class from one shard come in the order of their [`Output::Forward`], none is
    /// lost, none comes twice.
    Envelope {
        /// The sender.
        from: ShardIndex,
        /// What it says.
        envelope: Envelope,
    },
    /// A disk operation is done.
    Disk(DiskDone),
    /// No new work; finish the old, then say [`Output::Drained`].
    Drain,
    /// The turn's inputs are all handed in: what was gathered leaves now (acknowledgements, the log's next batch).
    TurnEnd,
    /// A deadline passed.
    Tick,
}

/// Something to do.
#[derive(Debug)]
pub enum Output {
    /// Append these bytes of [`Outputs::bytes`] (whole frames) to the connection's outbox.
    Write {
        /// Which connection.
        conn: ConnId,
        /// Where the frames begin.
        start: u32,
        /// So many bytes.
        len: u32,
    },
    /// Check a credential; [`Input::Authenticated`] answers, at any later time.
    Authenticate {
        /// Which connection; reading from it is paused.
        conn: ConnId,
        /// Who it says it is.
        user: NameBuf,
        /// On which device: what a ticket must be of, and a fresh one is for.
        device: DeviceBuf,
        /// With what proof.
        credential: Credential,
    },
    /// Do something to an account; [`Input::AccountDone`] answers, at any later time.
    Account {
        /// Which connection; reading from it is paused until the answer.
        conn: ConnId,
        /// What is asked for.
        request: AccountRequest,
    },
    /// What a deleted account left is gone, durably: the name is free.
    Purged {
        /// Whose it was.
        user: NameBuf,
    },
    /// Move the connection, with every byte read but not handed in, to the user's home (perhaps this shard): it arrives
    /// there as [`Input::Adopt`]. This shard has forgotten it.
    Handoff {
        /// Which connection.
        conn: ConnId,
        /// Whereto.
        to: ShardIndex,
        /// For [`Input::Adopt`].
        login: Box<Login>,
    },
    /// To another shard, never to this one. The core keeps the number of envelopes without an outcome bounded per peer,
    /// so that the lane's end here may hold what does not fit yet.
    Forward {
        /// Whereto.
        to: ShardIndex,
        /// What.
        envelope: Envelope,
    },
    /// For this shard's disk.
    Disk(DiskOp),
    /// Hand in no further frames of this connection: not even those already read.
    PauseRead {
        /// Which connection.
        conn: ConnId,
    },
    /// Go on where [`Output::PauseRead`] stopped.
    ResumeRead {
        /// Which connection.
        conn: ConnId,
    },
    /// Close the connection once its outbox is written (GOAWAY is in it), or soon in any case. The shard has forgotten it.
    Close {
        /// Which connection.
        conn: ConnId,
    },
    /// Recovery is over: connections may come.
    Ready {
        /// Goes up each time this shard's log is opened.
        boot: u64,
    },
    /// Drain is complete: nothing is unsafe that was accepted (unless the log takes nothing; then its senders were told
    /// nothing), every connection was told, the disk is idle.
    Drained,
    /// Something an operator may want to read.
    Notice(Notice),
}

/// For the operator's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The store cannot be used; the process must end with this text.
    Unusable(String),
    /// Recovery cut bytes behind the log's end that nobody had been told were safe.
    TornTail {
        /// Which file.
        file: storage::File,
        /// From this byte on.
        offset: u64,
    },
    /// Bytes that were durable are damaged.
    Damage {
        /// Which file.
        file: storage::File,
        /// From this byte on.
        offset: u64,
        /// How many records are lost, as far as known.
        lost_count: u64,
    },
    /// What the log can do has changed.
    Log(LogState),
    /// Stored entries of an inbox could not be read. What was read of them is delivered; the device that asked is
    /// disconnected when nothing could be, and asks again when it is back.
    ReadFailed,
    /// A batch could not be stored; its messages go back to where they waited.
    CommitFailed(storage::DiskError),
}

/// What HELLO said, kept until the session has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: NameBuf,
    /// The device.
    pub device: DeviceBuf,
    /// Of the device's store.
    pub incarnation: Incarnation,
    /// As the client knows it.
    pub lowest_unresolved: Counter,
    /// As the client knows it.
    pub highest_sent: Counter,
    /// As the client knows it.
    pub last_id: Id,
    /// What may be delivered unconfirmed.
    pub credit: Credit,
    /// Chosen from the client's range.
    pub version: u16,
    /// Bits both know.
    pub features: u64,
    /// What the credential proved.
    pub grant: Grant,
}

/// A credential was good.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Grant {
    /// When the proof was given, in microseconds since 1970, on the clock that [`Input::Void`] is counted on. A password or a
    /// token: a moment before it was looked at. A ticket: what it says, so what it was sealed with; a ticket that is given for
    /// a ticket carries that on, or a login that was void could be renewed past the moment that voids it.
    pub proven_us: u64,
    /// Whether the proof was a ticket: those are good for registered devices only.
    pub by_ticket: bool,
    /// A fresh ticket for WELCOME, empty for none.
    pub ticket: Box<[u8]>,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Grant { proven_us, by_ticket, ticket } = self;
        write!(f, "Grant {{ proven_us: {proven_us}, by_ticket: {by_ticket}, ticket: {} bytes }}", ticket.len())
    }
}

/// Why not, and when to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// What the client is told.
    pub code: Code,
    /// With a code of [`wire::code::Retry::Slot`]: not before so many milliseconds are over. 0 when that does not matter.
    pub retry_ms: u32,
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Refusal {
        Refusal { code, retry_ms: 0 }
    }
}

/// What ACCOUNT asked for. `Debug` does not show the passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRequest {
    /// The client's number for it.
    pub request: u32,
    /// What.
    pub kind: AccountKind,
    /// The session's device: what the fresh ticket is for. None before HELLO.
    pub device: Option<DeviceBuf>,
}

/// What ACCOUNT can ask for. Passwords are as the client sent them, up to 1,024 bytes.
#[derive(Clone, PartialEq, Eq)]
pub enum AccountKind {
    /// Make an account.
    Register {
        /// Its name.
        user: NameBuf,
        /// Its password.
        password: Box<str>,
    },
    /// Give the session's account another password.
    ChangePassword {
        /// Whose.
        user: NameBuf,
        /// The present one, to be checked.
        password: Box<str>,
        /// The new one.
        new_password: Box<str>,
    },
    /// Delete the session's account.
    Delete {
        /// Whose.
        user: NameBuf,
        /// The present password, to be checked.
        password: Box<str>,
    },
}

impl AccountKind {
    /// Whose account.
    pub fn user(&self) -> &NameBuf {
        match self {
            AccountKind::Register { user, .. }
            | AccountKind::ChangePassword { user, .. }
            | AccountKind::Delete { user, .. } => user,
        }
    }
}

impl fmt::Debug for AccountKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            AccountKind::Register { .. } => "Register",
            AccountKind::ChangePassword { .. } => "ChangePassword",
            AccountKind::Delete { .. } => "Delete",
        };
        write!(f, "{name}({}, ..)", self.user())
    }
}

/// A credential that owns its secret. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A JSON Web Token.
    Token(Box<str>),
    /// An account's password.
    Password(Box<str>),
    /// A resume ticket.
    Ticket(Box<[u8]>),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credential::Token(_) => "Token(..)",
            Credential::Password(_) => "Password(..)",
            Credential::Ticket(_) => "Ticket(..)",
        })
    }
}

/// The ordered list a shard writes to, and the bytes its [`Output::Write`]s point into. The caller owns it, carries
/// everything out in order, and clears it: its capacity stays, so a busy shard allocates nothing here.
#[derive(Debug, Default)]
pub struct Outputs {
    /// What to do, in order.
    pub list: Vec<Output>,
    /// Encoded frames; one encoding may be written to several connections.
    pub bytes: Vec<u8>,
}

impl Outputs {
    /// Empties both lists and keeps their capacity.
    pub fn clear(&mut self) {
        self.list.clear();
        self.bytes.clear();
    }

    /// The bytes of an [`Output::Write`].
    pub fn frames(&self, start: u32, len: u32) -> &[u8] {
        &self.bytes[start as usize..][..len as usize]
    }
}
