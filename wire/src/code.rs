//! The one table of status and close codes. Numbers are stable for ever; `docs/protocol.md` prints the same table.

/// What a client does next about a code that ended its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Not by itself: a person or the application must change something first.
    Never,
    /// At once, with jittered back-off.
    Now,
    /// Inside the slot that GOAWAY gave.
    Slot,
}

/// Whose doing it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The client broke a rule of the protocol.
    Client,
    /// The person or the application asked for what cannot be had.
    Application,
    /// The network, or a peer that went silent.
    Network,
    /// The gateway or its machine.
    Server,
    /// Nobody: it is how things end.
    Nobody,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $fault:ident, $retry:ident;)*) => {
        /// A status or close code, sent in ERROR (the connection stays), GOAWAY (it ends) and SEND_NACK (about one message).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Code {
            $($(#[doc = $doc])+ $name = $number,)*
        }

        impl Code {
            /// Every code, ascending.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The code of that number, if this version knows it.
            pub fn from_number(number: u16) -> Option<Code> {
                match number {
                    $($number => Some(Code::$name),)*
                    _ => None,
                }
            }

            /// Whose doing it was.
            pub fn fault(self) -> Fault {
                match self {
                    $(Code::$name => Fault::$fault,)*
                }
            }

            /// What the client does next when it ended the connection.
            pub fn retry(self) -> Retry {
                match self {
                    $(Code::$name => Retry::$retry,)*
                }
            }

            /// What it means, in a sentence.
            pub fn text(self) -> &'static str {
                match self {
                    $(Code::$name => concat!($($doc,)+).trim_ascii(),)*
                }
            }
        }
    };
}

impl Code {
    /// The number on the wire.
    pub fn number(self) -> u16 {
        self as u16
    }
}

codes! {
    /// The frame is longer than the limit in force.
    FrameTooLarge = 100, Client, Never;
    /// The frame is shorter than its type needs, or its table does not verify.
    Malformed = 101, Client, Never;
    /// A type below 0x80 that this gateway does not know.
    UnknownType = 102, Client, Never;
    /// The frame may not come now: before WELCOME, after GOAWAY, a second HELLO, or a type that only a server sends.
    OutOfState = 103, Client, Never;
    /// A reserved bit or field is not zero.
    ReservedBits = 104, Client, Never;
    /// No version of the protocol that both sides speak.
    Version = 105, Client, Never;
    /// No complete HELLO within the time allowed.
    HelloTimeout = 106, Network, Now;
    /// Nothing was heard for longer than the heartbeat allows.
    HeartbeatTimeout = 107, Network, Now;
    /// A name is empty, too long or has a byte outside its alphabet.
    BadName = 108, Client, Never;
    /// A mid of another device, out of order, or too far ahead of the lowest unresolved.
    BadMid = 109, Client, Never;
    /// DELIVER_ACK for more than was delivered; it counts up to what was.
    BadAck = 110, Client, Never;
    /// The frame is known, and this gateway does not offer what it asks for.
    Unsupported = 111, Client, Never;
    /// Nothing could be written to the connection for a minute.
    SlowReader = 112, Network, Now;
    /// A value is outside its range.
    OutOfRange = 113, Client, Never;
    /// A frame was begun and not finished within the time allowed.
    FrameTimeout = 114, Network, Now;

    /// The credential is not valid here: its signature, its key or its form.
    BadCredential = 200, Application, Never;
    /// The credential was valid once.
    CredentialExpired = 201, Application, Never;
    /// The credential is of another user than HELLO names.
    WrongUser = 202, Application, Never;
    /// HELLO must carry exactly one credential.
    OneCredential = 203, Client, Never;
    /// This gateway does not take that kind of credential.
    CredentialUnsupported = 204, Application, Never;
    /// The client knows less than the gateway does of what it sent: it must take a new incarnation.
    NewIncarnation = 205, Application, Now;
    /// The user has as many devices as a user may have, and none has been away for a day.
    TooManyDevices = 206, Application, Never;
    /// There is an account of that name already.
    NameTaken = 207, Application, Never;
    /// The password is shorter than 8 or longer than 128 bytes.
    BadPassword = 208, Application, Never;
    /// The account is disabled.
    AccountDisabled = 209, Application, Never;
    /// Passwords are not taken over an unencrypted connection from another machine.
    PasswordInClear = 210, Application, Never;
    /// Too many wrong passwords; come back in the slot.
    TooManyAttempts = 211, Application, Slot;
    /// This gateway lets nobody make an account.
    RegistrationClosed = 212, Application, Never;

    /// A newer session of the same device took this one's place.
    Replaced = 300, Nobody, Never;
    /// The device signed out.
    LoggedOut = 301, Nobody, Never;
    /// The device was removed from its user.
    Revoked = 302, Application, Never;
    /// The gateway drains; come back in the slot.
    Draining = 303, Nobody, Slot;
    /// The gateway has no room now; come back in the slot.
    Busy = 304, Server, Slot;

    /// Nobody of that name, and the gateway stores nothing for strangers.
    UnknownRecipient = 400, Application, Never;
    /// The recipient does not take messages from this sender.
    Blocked = 401, Application, Never;
    /// Not a member of that group, or no such group.
    NotAMember = 402, Application, Never;
    /// The body is longer than a message may be.
    BodyTooLarge = 403, Application, Never;
    /// The message would have to be stored, and the disk has no room or has failed.
    StorageFull = 404, Server, Slot;
    /// The recipient's inbox holds as much as it may.
    InboxFull = 405, Application, Never;

    /// The gateway failed.
    Internal = 500, Server, Slot;
}
