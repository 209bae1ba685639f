//! The type byte of every frame of version 1. Numbers are stable for ever; `docs/protocol.md` prints the same table.
//!
//! Below 0x80 a receiver must know the type, or it answers ERROR. From [`SKIPPED_FROM`] on it skips what it does not know.

macro_rules! frame_types {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal;)*) => {
        $($(#[doc = $doc])+ pub const $name: u8 = $number;)*

        /// Every type that version 1 knows, with its name, ascending.
        pub const ALL: &[(u8, &str)] = &[$(($name, stringify!($name)),)*];
    };
}

frame_types! {
    /// Client: I am here.
    PING = 0x01;
    /// Server: heard.
    PONG = 0x02;
    /// Client: a message.
    SEND = 0x03;
    /// Server: these messages are safe.
    SEND_ACK = 0x04;
    /// Server: this message is refused, finally.
    SEND_NACK = 0x05;
    /// Server: an entry of the inbox, or an ephemeral message.
    DELIVER = 0x06;
    /// Client: everything delivered up to this id is committed.
    DELIVER_ACK = 0x07;
    /// Client: read up to here.
    READ = 0x08;
    /// Server: how far others have received and read.
    RECEIPT = 0x09;
    /// Either: somebody is typing.
    TYPING = 0x0a;
    /// Either: who is there.
    PRESENCE = 0x0b;
    /// Client: new limits on what may be delivered and unconfirmed.
    CREDIT = 0x0c;
    /// Server: entries in this range will not come.
    GAP = 0x0d;
    /// Client: the first frame.
    HELLO = 0x20;
    /// Server: the answer to HELLO.
    WELCOME = 0x21;
    /// Server: about one frame; the connection stays.
    ERROR = 0x22;
    /// Server: the last frame of this connection.
    GOAWAY = 0x23;
    /// Client: this device signs out.
    LOGOUT = 0x24;
    /// Client: make an account, change its password, or delete it.
    ACCOUNT = 0x27;
    /// Server: the answer to ACCOUNT.
    ACCOUNT_DONE = 0x28;
}

/// An unknown type at or above this number is skipped without an answer.
pub const SKIPPED_FROM: u8 = 0x80;

/// The name of a frame type as the documents write it, if this version knows it.
pub fn name(frame_type: u8) -> Option<&'static str> {
    ALL.iter().find(|(number, _)| *number == frame_type).map(|(_, name)| *name)
}
