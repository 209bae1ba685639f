//! Step 9 of the walk backwards: values become bytes. Hot frames allocate nothing besides growth of the buffer.

use crate::{
    Counter, Frame, control,
    frame::{Deliver, Gap, Read, Receipts, Send, Typing},
    generated::shardwire::{
        CreditHead, DeliverAckHead, DeliverHead, GapHead, PingHead, PresenceEntry, ReadHead, ReceiptEntry, ReceiptHead,
        SendAckEntry, SendHead, SendNackHead, TypingHead,
    },
    limits::{HEADER_LEN, PAYLOAD_LEN_MAX},
};

/// Appends header and payload of `frame` to `out`. Control frames allocate while their table is built.
///
/// # Panics
/// When the payload is longer than [`PAYLOAD_LEN_MAX`] or a counter above [`Counter::MAX`]: lengths and ranges are the caller's
/// to keep. With debug assertions also when [`crate::decode`] would refuse what was written.
pub fn encode(frame: &Frame<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, frame.frame_type()]);
    write_payload(frame, out);
    let payload_len = out.len() - start - HEADER_LEN;
    assert!(payload_len <= PAYLOAD_LEN_MAX, "a payload of {payload_len} bytes does not fit into a frame");
    let [a, b, c, ..] = payload_len.to_le_bytes();
    out[start..start + 3].copy_from_slice(&[a, b, c]);
    debug_assert_eq!(crate::decode(frame.frame_type(), &out[start + HEADER_LEN..]), Ok(Some(frame.clone())));
}

fn write_payload(frame: &Frame<'_>, out: &mut Vec<u8>) {
    match frame {
        Frame::Ping(ping) | Frame::Pong(ping) => {
            out.extend_from_slice(&PingHead::new(ping.token).0);
        }
        Frame::Send(send) => write_send(send, out),
        Frame::SendAck(acks) => {
            for ack in acks.iter() {
                let entry = SendAckEntry::new(ack.self_id.0, &counter(ack.counter), ack.safe_by as u8, 0);
                out.extend_from_slice(&entry.0);
            }
        }
        Frame::SendNack(nack) => {
            out.extend_from_slice(&SendNackHead::new(&counter(nack.counter), nack.code).0);
        }
        Frame::Deliver(deliver) => write_deliver(deliver, out),
        Frame::DeliverAck(ack) => out.extend_from_slice(&DeliverAckHead::new(ack.id.0).0),
        Frame::Read(read) => write_read(read, out),
        Frame::Receipt(receipts) => write_receipts(receipts, out),
        Frame::Typing(typing) => write_typing(typing, out),
        Frame::Presence(presences) => {
            for presence in presences.iter() {
                let user = presence.user.as_str();
                let entry = PresenceEntry::new(presence.idle_min, presence.state, name_len(user));
                write(out, &entry.0, [user.as_bytes()]);
            }
        }
        Frame::Credit(credit) => {
            out.extend_from_slice(&CreditHead::new(credit.entries, credit.bytes).0);
        }
        Frame::Gap(Gap { first, last, reason }) => {
            out.extend_from_slice(&GapHead::new(first.0, last.0, *reason, &[0; 7]).0);
        }
        Frame::Hello(hello) => control::write_hello(hello, out),
        Frame::Welcome(welcome) => control::write_welcome(welcome, out),
        Frame::Error(error) => control::write_error(error, out),
        Frame::GoAway(goaway) => control::write_goaway(goaway, out),
        Frame::Logout(logout) => control::write_logout(*logout, out),
        Frame::Account(account) => control::write_account(account, out),
        Frame::AccountDone(done) => control::write_account_done(done, out),
    }
}

fn write_send(send: &Send<'_>, out: &mut Vec<u8>) {
    let to = send.to.as_str();
    let head = SendHead::new(send.mid.0, 0, send.span, send.flags.0, send.kind, name_len(to));
    write(out, &head.0, [to.as_bytes(), send.body]);
}

fn write_deliver(deliver: &Deliver<'_>, out: &mut Vec<u8>) {
    let (from, to) = (deliver.from.as_str(), deliver.to.as_str());
    let head =
        DeliverHead::new(deliver.id.0, deliver.mid.0, 0, deliver.flags.0, deliver.kind, name_len(from), name_len(to));
    write(out, &head.0, [from.as_bytes(), to.as_bytes(), deliver.body]);
}

fn write_read(read: &Read<'_>, out: &mut Vec<u8>) {
    let (from, conversation) = (read.from.as_str(), read.conversation.as_str());
    let head = ReadHead::new(read.mid.0, name_len(from), name_len(conversation), &[0; 6]);
    write(out, &head.0, [from.as_bytes(), conversation.as_bytes()]);
}

fn write_receipts(receipts: &Receipts<'_>, out: &mut Vec<u8>) {
    let (from, conversation) = (receipts.from.as_str(), receipts.conversation.as_str());
    let head = ReceiptHead::new(name_len(from), name_len(conversation), 0);
    write(out, &head.0, [from.as_bytes(), conversation.as_bytes()]);
    for mark in receipts.marks.iter() {
        out.extend_from_slice(&ReceiptEntry::new(mark.delivered.0, mark.read.0).0);
    }
}

fn write_typing(typing: &Typing<'_>, out: &mut Vec<u8>) {
    let (peer, conversation) = (typing.peer.as_str(), typing.conversation.as_str());
    let head = TypingHead::new(typing.state, name_len(peer), name_len(conversation), 0);
    write(out, &head.0, [peer.as_bytes(), conversation.as_bytes()]);
}

/// One growth at most, whatever the tail.
fn write<const N: usize>(out: &mut Vec<u8>, head: &[u8], tail: [&[u8]; N]) {
    out.reserve(head.len() + tail.iter().map(|part| part.len()).sum::<usize>());
    out.extend_from_slice(head);
    for part in tail {
        out.extend_from_slice(part);
    }
}

fn counter(counter: Counter) -> [u8; 6] {
    assert!(counter <= Counter::MAX, "a counter has 48 bits, {counter} does not fit");
    let [bytes @ .., _, _] = counter.0.to_le_bytes();
    bytes
}

fn name_len(name: &str) -> u8 {
    u8::try_from(name.len()).expect("a checked name has at most 64 bytes")
}
