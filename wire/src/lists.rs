//! The frames that are lists. What came is iterated where it lies, what goes is borrowed from the caller.

use std::{fmt, iter};

use crate::{
    Counter, Id, Mid, Name, WireError,
    frame::{Presence, ReceiptMark, SafeBy, SendAck},
    frame_type,
    generated::shardwire::{PresenceEntry, ReceiptEntry, SendAckEntry},
    name::NameError,
};

/// The entries of one SEND_ACK: at least one.
#[derive(Clone, Copy)]
pub enum SendAcks<'a> {
    /// Verified bytes, 16 an entry, as they came.
    Bytes(&'a [u8]),
    /// Entries to be encoded.
    List(&'a [SendAck]),
}

/// The marks of one RECEIPT: at least one.
#[derive(Clone, Copy)]
pub enum Marks<'a> {
    /// Verified bytes, 16 a mark, as they came.
    Bytes(&'a [u8]),
    /// Marks to be encoded.
    List(&'a [ReceiptMark]),
}

/// The states of one PRESENCE: at least one.
#[derive(Clone, Copy)]
pub enum Presences<'a> {
    /// Verified bytes, 4 and a name a state, as they came.
    Bytes(&'a [u8]),
    /// States to be encoded.
    List(&'a [Presence<'a>]),
}

impl<'a> SendAcks<'a> {
    /// The entries in order. Bytes that were never verified yield entries up to the first bad one.
    pub fn iter(&self) -> impl Iterator<Item = SendAck> + use<'a> {
        let (bytes, list): (&'a [u8], &'a [SendAck]) = match *self {
            SendAcks::Bytes(bytes) => (bytes, &[]),
            SendAcks::List(list) => (&[], list),
        };
        list.iter().copied().chain(bytes.as_chunks().0.iter().map_while(|bytes| send_ack(bytes).ok()))
    }
}

impl<'a> Marks<'a> {
    /// The marks in order. Bytes that were never verified yield marks up to the first bad one.
    pub fn iter(&self) -> impl Iterator<Item = ReceiptMark> + use<'a> {
        let (bytes, list): (&'a [u8], &'a [ReceiptMark]) = match *self {
            Marks::Bytes(bytes) => (bytes, &[]),
            Marks::List(list) => (&[], list),
        };
        list.iter().copied().chain(bytes.as_chunks().0.iter().map_while(|bytes| receipt_mark(bytes).ok()))
    }
}

impl<'a> Presences<'a> {
    /// The states in order. Bytes that were never verified yield states up to the first bad one.
    pub fn iter(&self) -> impl Iterator<Item = Presence<'a>> + use<'a> {
        let (mut bytes, list): (&'a [u8], &'a [Presence<'a>]) = match *self {
            Presences::Bytes(bytes) => (bytes, &[]),
            Presences::List(list) => (&[], list),
        };
        let came = iter::from_fn(move || {
            let (presence, rest) = presence(bytes).ok()?;
            bytes = rest;
            Some(presence)
        });
        list.iter().copied().chain(came)
    }
}

/// Checks all entries of a SEND_ACK.
pub(crate) fn send_acks(payload: &[u8]) -> Result<SendAcks<'_>, WireError> {
    let (entries, []) = payload.as_chunks() else {
        return Err(WireError::Malformed { frame_type: frame_type::SEND_ACK, what: "not a whole number of entries" });
    };
    if entries.is_empty() {
        return Err(WireError::Malformed { frame_type: frame_type::SEND_ACK, what: "no entry" });
    }
    entries.iter().try_for_each(|bytes| send_ack(bytes).map(drop))?;
    Ok(SendAcks::Bytes(payload))
}

/// Checks all marks of a RECEIPT.
pub(crate) fn marks(bytes: &[u8]) -> Result<Marks<'_>, WireError> {
    let (entries, []) = bytes.as_chunks() else {
        return Err(WireError::Malformed { frame_type: frame_type::RECEIPT, what: "not a whole number of marks" });
    };
    if entries.is_empty() {
        return Err(WireError::Malformed { frame_type: frame_type::RECEIPT, what: "no mark" });
    }
    entries.iter().try_for_each(|bytes| receipt_mark(bytes).map(drop))?;
    Ok(Marks::Bytes(bytes))
}

/// Checks all states of a PRESENCE.
pub(crate) fn presences(payload: &[u8]) -> Result<Presences<'_>, WireError> {
    let mut rest = payload;
    loop {
        rest = presence(rest)?.1;
        if rest.is_empty() {
            return Ok(Presences::Bytes(payload));
        }
    }
}

fn send_ack(bytes: &[u8; 16]) -> Result<SendAck, WireError> {
    const FRAME_TYPE: u8 = frame_type::SEND_ACK;
    let entry = SendAckEntry(*bytes);
    if entry.reserved() != 0 {
        return Err(WireError::ReservedBits { frame_type: FRAME_TYPE });
    }
    let safe_by = match entry.safe_by() {
        0 => SafeBy::Received,
        1 => SafeBy::Stored,
        2 => SafeBy::Duplicate,
        _ => {
            return Err(WireError::OutOfRange { frame_type: FRAME_TYPE, what: "safe_by is 0 to 2" });
        }
    };
    let [.., a, b, c, d, e, f, _, _] = *bytes;
    let counter = Counter(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]));
    if counter == Counter(0) {
        return Err(WireError::OutOfRange { frame_type: FRAME_TYPE, what: "counter is 1 and up" });
    }
    Ok(SendAck { counter, safe_by, self_id: Id(entry.self_id()) })
}

fn receipt_mark(bytes: &[u8; 16]) -> Result<ReceiptMark, WireError> {
    let entry = ReceiptEntry(*bytes);
    let mark = ReceiptMark { delivered: Mid(entry.delivered()), read: Mid(entry.read()) };
    if mark.delivered.device_no() != mark.read.device_no() {
        return Err(WireError::OutOfRange { frame_type: frame_type::RECEIPT, what: "a mark is about one device" });
    }
    Ok(mark)
}

fn presence(bytes: &[u8]) -> Result<(Presence<'_>, &[u8]), WireError> {
    const FRAME_TYPE: u8 = frame_type::PRESENCE;
    const SHORT: WireError = WireError::Malformed { frame_type: FRAME_TYPE, what: "a state is cut short" };
    let (head, rest) = bytes.split_first_chunk().ok_or(SHORT)?;
    let entry = PresenceEntry(*head);
    let (user, rest) = rest.split_at_checked(entry.user_len().into()).ok_or(SHORT)?;
    let user =
        Name::parse_user(user).map_err(|error: NameError| WireError::BadName { frame_type: FRAME_TYPE, error })?;
    Ok((Presence { state: entry.state(), idle_min: entry.idle_min(), user }, rest))
}

macro_rules! as_lists {
    ($($name:ident)*) => {$(
        /// Equal entries, whichever way they are held.
        impl PartialEq for $name<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.iter().eq(other.iter())
            }
        }
        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.iter()).finish()
            }
        }
    )*};
}
as_lists!(SendAcks Marks Presences);
