//! Step 2 of the walk: the one place where bytes from outside are verified. Whoever holds a [`Frame`] need not check it again.

use crate::{
    Counter, Frame, Id, Mid, Name, WireError, control,
    frame::{Credit, Deliver, DeliverAck, Gap, Ping, Read, Receipts, Send, SendFlags, SendNack, Typing},
    frame_type,
    generated::shardwire::{
        CreditHead, DeliverAckHead, DeliverHead, GapHead, PingHead, ReadHead, ReceiptHead, SendHead, SendNackHead,
        TypingHead,
    },
    limits::IN_FLIGHT_MAX,
    lists,
};

/// Verifies one payload and gives its values. Hot frames allocate nothing and cost O(1) besides their names (lists: O(entries)).
/// `None` is a frame to be skipped: of a type at or above [`frame_type::SKIPPED_FROM`] that this version does not know.
///
/// Only the bytes are judged here, not whether the frame may come now or from this side.
///
/// # Errors
/// [`WireError`]; [`WireError::is_fatal`] says whether the connection can go on.
pub fn decode(frame_type: u8, payload: &[u8]) -> Result<Option<Frame<'_>>, WireError> {
    Ok(Some(match frame_type {
        frame_type::PING => Frame::Ping(ping(frame_type, payload)?),
        frame_type::PONG => Frame::Pong(ping(frame_type, payload)?),
        frame_type::SEND => Frame::Send(send(payload)?),
        frame_type::SEND_ACK => Frame::SendAck(lists::send_acks(payload)?),
        frame_type::SEND_NACK => Frame::SendNack(send_nack(payload)?),
        frame_type::DELIVER => Frame::Deliver(deliver(payload)?),
        frame_type::DELIVER_ACK => {
            Frame::DeliverAck(DeliverAck { id: Id(DeliverAckHead(*exact(frame_type, payload)?).id()) })
        }
        frame_type::READ => Frame::Read(read(payload)?),
        frame_type::RECEIPT => Frame::Receipt(receipts(payload)?),
        frame_type::TYPING => Frame::Typing(typing(payload)?),
        frame_type::PRESENCE => Frame::Presence(lists::presences(payload)?),
        frame_type::CREDIT => {
            let head = CreditHead(*exact(frame_type, payload)?);
            Frame::Credit(credit(frame_type, head.entries(), head.bytes())?)
        }
        frame_type::GAP => Frame::Gap(gap(payload)?),
        frame_type::HELLO => Frame::Hello(control::read_hello(payload)?),
        frame_type::WELCOME => Frame::Welcome(control::read_welcome(payload)?),
        frame_type::ERROR => Frame::Error(control::read_error(payload)?),
        frame_type::GOAWAY => Frame::GoAway(control::read_goaway(payload)?),
        frame_type::LOGOUT => Frame::Logout(control::read_logout(payload)?),
        frame_type::ACCOUNT => Frame::Account(control::read_account(payload)?),
        frame_type::ACCOUNT_DONE => Frame::AccountDone(control::read_account_done(payload)?),
        frame_type::SKIPPED_FROM.. => return Ok(None),
        _ => return Err(WireError::UnknownType(frame_type)),
    }))
}

fn ping(frame_type: u8, payload: &[u8]) -> Result<Ping, WireError> {
    Ok(Ping { token: PingHead(*exact(frame_type, payload)?).token() })
}

fn send(payload: &[u8]) -> Result<Send<'_>, WireError> {
    const FRAME_TYPE: u8 = frame_type::SEND;
    let (head, tail) = head(FRAME_TYPE, payload)?;
    let head = SendHead(*head);
    let flags = flags(FRAME_TYPE, head.flags(), head.reserved())?;
    let (to, body) = tail.split_at_checked(head.to_len().into()).ok_or(short_tail(FRAME_TYPE))?;
    let mid = Mid(head.mid());
    if u64::from(head.span()) >= IN_FLIGHT_MAX {
        return Err(out_of_range(FRAME_TYPE, "span is 0 to 63"));
    }
    if flags.is_ephemeral() {
        if mid.counter() != Counter(0) || head.span() != 0 {
            return Err(out_of_range(FRAME_TYPE, "an ephemeral message has counter 0 and span 0"));
        }
    } else if u64::from(head.span()) >= mid.counter().0 {
        return Err(out_of_range(FRAME_TYPE, "the lowest unresolved counter, counter - span, is 1 and up"));
    }
    Ok(Send { mid, span: head.span(), flags, kind: head.kind(), to: name(FRAME_TYPE, to)?, body })
}

fn send_nack(payload: &[u8]) -> Result<SendNack, WireError> {
    let bytes: &[u8; 8] = exact(frame_type::SEND_NACK, payload)?;
    let [a, b, c, d, e, f, ..] = *bytes;
    let counter = Counter(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]));
    if counter == Counter(0) {
        return Err(out_of_range(frame_type::SEND_NACK, "counter is 1 and up"));
    }
    Ok(SendNack { counter, code: SendNackHead(*bytes).code() })
}

fn deliver(payload: &[u8]) -> Result<Deliver<'_>, WireError> {
    const FRAME_TYPE: u8 = frame_type::DELIVER;
    let (head, tail) = head(FRAME_TYPE, payload)?;
    let head = DeliverHead(*head);
    let flags = flags(FRAME_TYPE, head.flags(), head.reserved())?;
    let [from, to, body] = names(FRAME_TYPE, tail, head.from_len(), head.to_len())?;
    let (id, mid) = (Id(head.id()), Mid(head.mid()));
    if (id == Id::NONE) != flags.is_ephemeral() || (mid.counter() == Counter(0)) != flags.is_ephemeral() {
        return Err(out_of_range(FRAME_TYPE, "id and counter are 0 in an ephemeral delivery, and only there"));
    }
    let (from, to) = (user(FRAME_TYPE, from)?, name(FRAME_TYPE, to)?);
    Ok(Deliver { id, mid, flags, kind: head.kind(), from, to, body })
}

fn read(payload: &[u8]) -> Result<Read<'_>, WireError> {
    const FRAME_TYPE: u8 = frame_type::READ;
    let (head, tail): (&[u8; 16], _) = head(FRAME_TYPE, payload)?;
    let [.., a, b, c, d, e, f] = *head;
    reserved(FRAME_TYPE, [a, b, c, d, e, f] != [0; 6])?;
    let head = ReadHead(*head);
    let [from, conversation, rest] = names(FRAME_TYPE, tail, head.from_len(), head.conversation_len())?;
    nothing_left(FRAME_TYPE, rest)?;
    let mid = Mid(head.mid());
    if mid.counter() == Counter(0) {
        return Err(out_of_range(FRAME_TYPE, "counter is 1 and up"));
    }
    Ok(Read { mid, from: user(FRAME_TYPE, from)?, conversation: name(FRAME_TYPE, conversation)? })
}

fn receipts(payload: &[u8]) -> Result<Receipts<'_>, WireError> {
    const FRAME_TYPE: u8 = frame_type::RECEIPT;
    let (head, tail) = head(FRAME_TYPE, payload)?;
    let head = ReceiptHead(*head);
    reserved(FRAME_TYPE, head.reserved() != 0)?;
    let [from, conversation, rest] = names(FRAME_TYPE, tail, head.from_len(), head.conversation_len())?;
    let (from, conversation) = (user(FRAME_TYPE, from)?, name(FRAME_TYPE, conversation)?);
    Ok(Receipts { from, conversation, marks: lists::marks(rest)? })
}

fn typing(payload: &[u8]) -> Result<Typing<'_>, WireError> {
    const FRAME_TYPE: u8 = frame_type::TYPING;
    let (head, tail) = head(FRAME_TYPE, payload)?;
    let head = TypingHead(*head);
    reserved(FRAME_TYPE, head.reserved() != 0)?;
    let [peer, conversation, rest] = names(FRAME_TYPE, tail, head.peer_len(), head.conversation_len())?;
    nothing_left(FRAME_TYPE, rest)?;
    Ok(Typing { state: head.state(), peer: name(FRAME_TYPE, peer)?, conversation: name(FRAME_TYPE, conversation)? })
}

/// CREDIT, and the same two numbers in HELLO.
pub(crate) fn credit(frame_type: u8, entries: u32, bytes: u32) -> Result<Credit, WireError> {
    if entries == 0 || bytes == 0 {
        return Err(out_of_range(frame_type, "a credit of 0 entries or 0 bytes would let nothing through"));
    }
    Ok(Credit { entries, bytes })
}

fn gap(payload: &[u8]) -> Result<Gap, WireError> {
    const FRAME_TYPE: u8 = frame_type::GAP;
    let bytes: &[u8; 24] = exact(FRAME_TYPE, payload)?;
    let [.., a, b, c, d, e, f, g] = *bytes;
    reserved(FRAME_TYPE, [a, b, c, d, e, f, g] != [0; 7])?;
    let head = GapHead(*bytes);
    let (first, last) = (Id(head.first()), Id(head.last()));
    if first == Id::NONE || last < first {
        return Err(out_of_range(FRAME_TYPE, "a gap is 1 <= first <= last"));
    }
    Ok(Gap { first, last, reason: head.reason() })
}

/// A user's name.
pub(crate) fn user(frame_type: u8, bytes: &[u8]) -> Result<Name<'_>, WireError> {
    Name::parse_user(bytes).map_err(|error| WireError::BadName { frame_type, error })
}

/// A user's or a group's name.
fn name(frame_type: u8, bytes: &[u8]) -> Result<Name<'_>, WireError> {
    Name::parse(bytes).map_err(|error| WireError::BadName { frame_type, error })
}

/// The struct at the beginning, and the tail.
fn head<const N: usize>(frame_type: u8, payload: &[u8]) -> Result<(&[u8; N], &[u8]), WireError> {
    payload.split_first_chunk().ok_or(WireError::Malformed { frame_type, what: "shorter than its struct" })
}

/// The struct that is the whole payload.
fn exact<const N: usize>(frame_type: u8, payload: &[u8]) -> Result<&[u8; N], WireError> {
    let (head, rest) = head(frame_type, payload)?;
    nothing_left(frame_type, rest)?;
    Ok(head)
}

/// Two names, unchecked, and what follows them.
fn names(frame_type: u8, tail: &[u8], first_len: u8, second_len: u8) -> Result<[&[u8]; 3], WireError> {
    let (first, tail) = tail.split_at_checked(first_len.into()).ok_or(short_tail(frame_type))?;
    let (second, rest) = tail.split_at_checked(second_len.into()).ok_or(short_tail(frame_type))?;
    Ok([first, second, rest])
}

fn flags(frame_type: u8, flags: u8, reserved_field: u32) -> Result<SendFlags, WireError> {
    reserved(frame_type, flags & !SendFlags::KNOWN != 0 || reserved_field != 0)?;
    Ok(SendFlags(flags))
}

fn reserved(frame_type: u8, is_set: bool) -> Result<(), WireError> {
    if is_set { Err(WireError::ReservedBits { frame_type }) } else { Ok(()) }
}

fn nothing_left(frame_type: u8, rest: &[u8]) -> Result<(), WireError> {
    if rest.is_empty() { Ok(()) } else { Err(WireError::Malformed { frame_type, what: "bytes behind its end" }) }
}

fn short_tail(frame_type: u8) -> WireError {
    WireError::Malformed { frame_type, what: "shorter than its names" }
}

pub(crate) fn out_of_range(frame_type: u8, what: &'static str) -> WireError {
    WireError::OutOfRange { frame_type, what }
}
