//! Every frame of version 1, as plain borrowed values. `decode` is the one place where bytes from outside are verified.

use std::fmt;

use crate::{Code, Counter, Device, DeviceNo, Id, Incarnation, Mid, Name, frame_type};

pub use crate::control::verifier_options;
pub use crate::lists::{Marks, Presences, SendAcks};

/// A decoded frame. Hot frames borrow their tail from the payload; nothing is allocated.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame<'a> {
    /// Client: I am here. The server answers with the same token.
    Ping(Ping),
    /// Server: heard.
    Pong(Ping),
    /// Client: a message.
    Send(Send<'a>),
    /// Server: these messages are safe.
    SendAck(SendAcks<'a>),
    /// Server: this message is refused, finally.
    SendNack(SendNack),
    /// Server: an entry of the inbox, or an ephemeral message.
    Deliver(Deliver<'a>),
    /// Client: everything delivered up to this id is committed here.
    DeliverAck(DeliverAck),
    /// Client: read up to here.
    Read(Read<'a>),
    /// Server: how far others have received and read.
    Receipt(Receipts<'a>),
    /// Either: somebody is typing.
    Typing(Typing<'a>),
    /// Either: who is there.
    Presence(Presences<'a>),
    /// Client: new limits on what may be delivered and unconfirmed.
    Credit(Credit),
    /// Server: entries in this range were trimmed and will not come.
    Gap(Gap),
    /// Client: the first frame.
    Hello(Hello<'a>),
    /// Server: the answer to HELLO.
    Welcome(Welcome<'a>),
    /// Server: about one frame; the connection stays.
    Error(ErrorInfo<'a>),
    /// Server: the last frame of this connection.
    GoAway(GoAway<'a>),
    /// Client: this device signs out; GOAWAY answers.
    Logout(Logout),
    /// Client: make an account, change its password, or delete it.
    Account(Account<'a>),
    /// Server: the answer to ACCOUNT.
    AccountDone(AccountDone<'a>),
}

impl Frame<'_> {
    /// The type byte of the header.
    pub fn frame_type(&self) -> u8 {
        match self {
            Frame::Ping(_) => frame_type::PING,
            Frame::Pong(_) => frame_type::PONG,
            Frame::Send(_) => frame_type::SEND,
            Frame::SendAck(_) => frame_type::SEND_ACK,
            Frame::SendNack(_) => frame_type::SEND_NACK,
            Frame::Deliver(_) => frame_type::DELIVER,
            Frame::DeliverAck(_) => frame_type::DELIVER_ACK,
            Frame::Read(_) => frame_type::READ,
            Frame::Receipt(_) => frame_type::RECEIPT,
            Frame::Typing(_) => frame_type::TYPING,
            Frame::Presence(_) => frame_type::PRESENCE,
            Frame::Credit(_) => frame_type::CREDIT,
            Frame::Gap(_) => frame_type::GAP,
            Frame::Hello(_) => frame_type::HELLO,
            Frame::Welcome(_) => frame_type::WELCOME,
            Frame::Error(_) => frame_type::ERROR,
            Frame::GoAway(_) => frame_type::GOAWAY,
            Frame::Logout(_) => frame_type::LOGOUT,
            Frame::Account(_) => frame_type::ACCOUNT,
            Frame::AccountDone(_) => frame_type::ACCOUNT_DONE,
        }
    }
}

/// PING and PONG. 8 bytes with the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ping {
    /// Returned as it came; for the client's own measurement.
    pub token: u32,
}

/// What a SEND and its DELIVER have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SendFlags(pub u8);

impl SendFlags {
    /// To live devices only, never stored or retried; takes no counter and has no outcome.
    pub const EPHEMERAL: u8 = 1;
    /// For the recipient's attention now.
    pub const URGENT: u8 = 2;
    /// No push notification for this one.
    pub const NO_PUSH: u8 = 4;
    /// The body is opaque even to the application's servers.
    pub const ENCRYPTED: u8 = 8;
    /// The sender asks for a receipt.
    pub const WANT_RECEIPT: u8 = 16;
    /// All bits that version 1 knows; others are refused.
    pub const KNOWN: u8 = 31;

    /// Whether the message is ephemeral.
    pub fn is_ephemeral(self) -> bool {
        self.0 & Self::EPHEMERAL != 0
    }
}

/// SEND: 20 bytes, the recipient's name, the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Send<'a> {
    /// Ephemeral: the counter is 0.
    pub mid: Mid,
    /// `counter − lowest unresolved`, 0 to 63.
    pub span: u8,
    /// See [`SendFlags`].
    pub flags: SendFlags,
    /// The application's; a few are reserved.
    pub kind: u8,
    /// User or group.
    pub to: Name<'a>,
    /// Opaque.
    pub body: &'a [u8],
}

/// How a message became safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SafeBy {
    /// Every device of the recipient confirmed it.
    Received = 0,
    /// It is durable in the log.
    Stored = 1,
    /// It was safe before; this answers a retry whose first answer's detail is forgotten.
    Duplicate = 2,
}

/// One outcome inside SEND_ACK: 16 bytes. The device_no is the session's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendAck {
    /// Which message.
    pub counter: Counter,
    /// How it is safe.
    pub safe_by: SafeBy,
    /// Position of the self-copy in the sender's own inbox, [`Id::NONE`] if the sender has no other device.
    pub self_id: Id,
}

/// SEND_NACK: 12 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendNack {
    /// Which message.
    pub counter: Counter,
    /// Why; a number this version does not know is kept as it is.
    pub code: u16,
}

/// DELIVER: 28 bytes, from, to, body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deliver<'a> {
    /// [`Id::NONE`] when ephemeral.
    pub id: Id,
    /// The sender's name for it.
    pub mid: Mid,
    /// As sent.
    pub flags: SendFlags,
    /// As sent.
    pub kind: u8,
    /// Who sent it.
    pub from: Name<'a>,
    /// The user himself, a group, or, when `from` is the user himself, whom he wrote to.
    pub to: Name<'a>,
    /// As sent.
    pub body: &'a [u8],
}

/// DELIVER_ACK: 12 bytes, cumulative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliverAck {
    /// Everything delivered up to and with this id is committed on the device.
    pub id: Id,
}

/// READ: the reader has seen everything of this sender device up to `mid`, in the conversation `peer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read<'a> {
    /// Up to and with this message.
    pub mid: Mid,
    /// The user it came from.
    pub from: Name<'a>,
    /// The conversation: the same user, or a group.
    pub conversation: Name<'a>,
}

/// One mark inside RECEIPT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptMark {
    /// This device's messages are received up to here; counter 0 is none.
    pub delivered: Mid,
    /// And read up to here.
    pub read: Mid,
}

/// RECEIPT: who, in which conversation, and one mark per sender device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Receipts<'a> {
    /// Whose device has it.
    pub from: Name<'a>,
    /// Where.
    pub conversation: Name<'a>,
    /// The marks.
    pub marks: Marks<'a>,
}

/// TYPING: ephemeral.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Typing<'a> {
    /// 0 stopped, 1 typing; others are the application's.
    pub state: u8,
    /// Client: whom for. Server: who types.
    pub peer: Name<'a>,
    /// The conversation.
    pub conversation: Name<'a>,
}

/// One user's state inside PRESENCE: 4 bytes and the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence<'a> {
    /// 0 offline, 1 available, 2 away, 3 busy, 4 invisible (from a client only).
    pub state: u8,
    /// Minutes since last active, 65,535 for unknown.
    pub idle_min: u16,
    /// Client: the user himself. Server: whom it is about.
    pub user: Name<'a>,
}

/// CREDIT: 12 bytes. What may be delivered above the last DELIVER_ACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// Entries, 1 and up.
    pub entries: u32,
    /// Bytes of names and bodies, 1 and up; one entry may always be out, whatever its size.
    pub bytes: u32,
}

/// GAP: entries with `first <= id <= last` will not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first id that may be missing.
    pub first: Id,
    /// The last id that may be missing.
    pub last: Id,
    /// 0 quota, 1 time to live, 2 damage.
    pub reason: u8,
}

/// Proof of who the user is. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    /// A JSON Web Token, signed by the operator's backend.
    Token(&'a str),
    /// An account's password.
    Password(&'a str),
    /// From an earlier WELCOME or ACCOUNT_DONE.
    Ticket(&'a [u8]),
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credential::Token(_) => "Token(..)",
            Credential::Password(_) => "Password(..)",
            Credential::Ticket(_) => "Ticket(..)",
        })
    }
}

/// HELLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello<'a> {
    /// Lowest version the client speaks.
    pub version_min: u16,
    /// Highest version the client speaks.
    pub version_max: u16,
    /// Feature bits the client would use.
    pub features: u64,
    /// Who logs in.
    pub user: Name<'a>,
    /// Exactly one.
    pub credential: Credential<'a>,
    /// Which device of the user.
    pub device: Device<'a>,
    /// Born with the client's local store.
    pub incarnation: Incarnation,
    /// Neither SEND_ACK nor SEND_NACK was heard for it; one above `highest_sent` when all are resolved.
    pub lowest_unresolved: Counter,
    /// 0 when nothing was ever sent.
    pub highest_sent: Counter,
    /// The client's own last id; [`Id::NONE`] for a new store.
    pub last_id: Id,
    /// As in CREDIT.
    pub credit: Credit,
    /// The client's software; for the operator's eyes.
    pub client_name: &'a str,
    /// And its version.
    pub client_version: &'a str,
    /// The store that an earlier WELCOME named, to which `last_id` belongs; empty when none did. A gateway with another store does
    /// not count `last_id`.
    pub store: &'a [u8],
}

/// WELCOME.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Welcome<'a> {
    /// The version both speak from here on.
    pub version: u16,
    /// Feature bits in force.
    pub features: u64,
    /// Durable before it is told.
    pub device_no: DeviceNo,
    /// Goes up each time the gateway starts.
    pub boot: u64,
    /// The last id given in this inbox.
    pub head: Id,
    /// The oldest id kept, [`Id::NONE`] when nothing is.
    pub oldest: Id,
    /// How often the client pings, in seconds.
    pub heartbeat_s: u32,
    /// The longest payload the client may send, in bytes.
    pub payload_len_max: u32,
    /// Messages the client may have in flight.
    pub in_flight_max: u16,
    /// Whether `stored` means synced to the disk (true) or only written.
    pub stored_is_synced: bool,
    /// For the next HELLO; empty when none is given.
    pub ticket: &'a [u8],
    /// Microseconds since 1970 on the home shard's clock.
    pub server_time_us: u64,
    /// Names the gateway's store, in 16 bytes; empty when it does not say. Another name than the last time: the gateway lost
    /// everything, and ids, boot numbers and devices of the old store mean nothing.
    pub store: &'a [u8],
}

/// ERROR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorInfo<'a> {
    /// What is wrong; a number this version does not know is kept as it is.
    pub code: u16,
    /// The type byte of the frame it is about, 0 for none.
    pub frame_type: u8,
    /// For a person who reads a log.
    pub text: &'a str,
}

/// GOAWAY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoAway<'a> {
    /// Why; a number this version does not know is kept as it is.
    pub code: u16,
    /// The reconnect slot begins so many milliseconds from now.
    pub slot_start_ms: u32,
    /// And is this long; the client picks a moment inside at random.
    pub slot_len_ms: u32,
    /// For a person who reads a log.
    pub text: &'a str,
}

impl GoAway<'static> {
    /// A GOAWAY without a slot.
    pub fn of(code: Code) -> GoAway<'static> {
        GoAway { code: code.number(), slot_start_ms: 0, slot_len_ms: 0, text: code.text() }
    }
}

/// LOGOUT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logout {
    /// Also remove the device from the user.
    pub forget: bool,
}

/// ACCOUNT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account<'a> {
    /// The client's number for it, returned in ACCOUNT_DONE.
    pub request: u32,
    /// What to do.
    pub op: AccountOp<'a>,
}

/// What ACCOUNT asks for. Passwords have at most [`crate::limits::ACCOUNT_PASSWORD_LEN_MAX`] bytes; `Debug` does not show them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AccountOp<'a> {
    /// Make an account. Before HELLO only.
    Register {
        /// Its name.
        user: Name<'a>,
        /// Its password.
        password: &'a str,
    },
    /// Give the session's account another password. In a session only.
    ChangePassword {
        /// The present one.
        password: &'a str,
        /// The new one.
        new_password: &'a str,
    },
    /// Delete the session's account, its devices and what waits for them. In a session only.
    Delete {
        /// The present one.
        password: &'a str,
    },
}

impl AccountOp<'_> {
    /// The number on the wire.
    pub fn number(&self) -> u8 {
        match self {
            AccountOp::Register { .. } => 1,
            AccountOp::ChangePassword { .. } => 2,
            AccountOp::Delete { .. } => 3,
        }
    }
}

impl fmt::Debug for AccountOp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccountOp::Register { user, .. } => write!(f, "Register({user}, ..)"),
            AccountOp::ChangePassword { .. } => f.write_str("ChangePassword(..)"),
            AccountOp::Delete { .. } => f.write_str("Delete(..)"),
        }
    }
}

/// ACCOUNT_DONE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountDone<'a> {
    /// As ACCOUNT said it.
    pub request: u32,
    /// 0: it is done, durably. Else why not; a number this version does not know is kept as it is.
    pub code: u16,
    /// For a person who reads a log.
    pub text: &'a str,
    /// For the next HELLO, instead of the earlier one; empty when none is given.
    pub ticket: &'a [u8],
    /// Not before so many milliseconds from now will the same be heard again; 0 when that does not matter.
    pub retry_ms: u32,
}
