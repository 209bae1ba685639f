//! The layout to the byte, written out by hand, and the overheads the protocol promises.

use wire::{
    Counter, Frame, Id,
    frame::{
        Credit, DeliverAck, Gap, Marks, Ping, Presence, Presences, Read, ReceiptMark, Receipts, SafeBy, SendAck,
        SendAcks, SendNack, Typing,
    },
};

use crate::{
    encoded,
    samples::{self, mid, name},
};

#[track_caller]
fn is_on_the_wire(frame: &Frame<'_>, parts: &[&[u8]]) {
    let bytes = parts.concat();
    assert_eq!(encoded(frame), bytes);
    let (header, payload) = bytes.split_at(4);
    assert_eq!(wire::decode(header[3], payload).as_ref(), Ok(&Some(frame.clone())));
}

#[test]
fn ping_and_pong_are_8_bytes() {
    let ping = Ping { token: 0x0403_0201 };
    is_on_the_wire(&Frame::Ping(ping), &[&[4, 0, 0, 0x01], &[1, 2, 3, 4]]);
    is_on_the_wire(&Frame::Pong(ping), &[&[4, 0, 0, 0x02], &[1, 2, 3, 4]]);
}

#[test]
fn send_is_20_bytes_then_the_name_then_the_body() {
    let send = wire::frame::Send {
        mid: mid(0x0807, 0x0605_0403_0201),
        span: 9,
        flags: wire::frame::SendFlags(10),
        kind: 11,
        ..samples::send()
    };
    is_on_the_wire(
        &Frame::Send(send),
        &[&[24, 0, 0, 0x03], &[1, 2, 3, 4, 5, 6, 7, 8], &[0, 0, 0, 0], &[9, 10, 11, 3], b"bob", b"hello"],
    );
}

#[test]
fn a_send_ack_of_one_entry_is_20_bytes() {
    let ack =
        SendAck { counter: Counter(0x0605_0403_0201), safe_by: SafeBy::Duplicate, self_id: Id(0x0807_0605_0403_0201) };
    is_on_the_wire(
        &Frame::SendAck(SendAcks::List(&[ack])),
        &[&[16, 0, 0, 0x04], &[1, 2, 3, 4, 5, 6, 7, 8], &[1, 2, 3, 4, 5, 6], &[2, 0]],
    );
    assert_eq!(encoded(&Frame::SendAck(SendAcks::List(&[ack; 3]))).len(), 4 + 3 * 16);
}

#[test]
fn send_nack_is_12_bytes() {
    let nack = SendNack { counter: Counter(0x0605_0403_0201), code: 0x0194 };
    is_on_the_wire(&Frame::SendNack(nack), &[&[8, 0, 0, 0x05], &[1, 2, 3, 4, 5, 6], &[0x94, 1]]);
}

#[test]
fn deliver_is_28_bytes_then_both_names_then_the_body() {
    let deliver = wire::frame::Deliver {
        id: Id(0x1817_1615_1413_1211),
        mid: mid(0x0807, 0x0605_0403_0201),
        flags: wire::frame::SendFlags(10),
        kind: 11,
        ..samples::deliver()
    };
    is_on_the_wire(
        &Frame::Deliver(deliver),
        &[
            &[37, 0, 0, 0x06],
            &[0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18],
            &[1, 2, 3, 4, 5, 6, 7, 8],
            &[0, 0, 0, 0],
            &[10, 11, 5, 3],
            b"alice",
            b"bob",
            b"hello",
        ],
    );
}

#[test]
fn deliver_ack_is_12_bytes() {
    let ack = DeliverAck { id: Id(0x0807_0605_0403_0201) };
    is_on_the_wire(&Frame::DeliverAck(ack), &[&[8, 0, 0, 0x07], &[1, 2, 3, 4, 5, 6, 7, 8]]);
}

#[test]
fn read_is_20_bytes_then_both_names() {
    let read = Read { mid: mid(0x0807, 1), from: name("bob"), conversation: name("#team") };
    is_on_the_wire(
        &Frame::Read(read),
        &[&[24, 0, 0, 0x08], &[1, 0, 0, 0, 0, 0, 7, 8], &[3, 5], &[0; 6], b"bob", b"#team"],
    );
}

#[test]
fn receipt_is_8_bytes_then_both_names_then_16_a_mark() {
    let mark = ReceiptMark { delivered: mid(2, 9), read: mid(2, 7) };
    let receipts = Receipts { from: name("bob"), conversation: name("#team"), marks: Marks::List(&[mark, mark]) };
    let mark = [9, 0, 0, 0, 0, 0, 2, 0, 7, 0, 0, 0, 0, 0, 2, 0];
    is_on_the_wire(&Frame::Receipt(receipts), &[&[44, 0, 0, 0x09], &[3, 5, 0, 0], b"bob", b"#team", &mark, &mark]);
}

#[test]
fn typing_is_8_bytes_then_both_names() {
    let typing = Typing { state: 1, peer: name("bob"), conversation: name("#team") };
    is_on_the_wire(&Frame::Typing(typing), &[&[12, 0, 0, 0x0a], &[1, 3, 5, 0], b"bob", b"#team"]);
}

#[test]
fn presence_is_4_bytes_and_a_name_each() {
    let presences = [
        Presence { state: 1, idle_min: 0x0201, user: name("bob") },
        Presence { state: 2, idle_min: u16::MAX, user: name("alice") },
    ];
    is_on_the_wire(
        &Frame::Presence(Presences::List(&presences)),
        &[&[16, 0, 0, 0x0b], &[1, 2, 1, 3], b"bob", &[0xff, 0xff, 2, 5], b"alice"],
    );
}

#[test]
fn credit_is_12_bytes() {
    let credit = Credit { entries: 0x0403_0201, bytes: 0x0807_0605 };
    is_on_the_wire(&Frame::Credit(credit), &[&[8, 0, 0, 0x0c], &[1, 2, 3, 4], &[5, 6, 7, 8]]);
}

#[test]
fn gap_is_28_bytes() {
    let gap = Gap { first: Id(1), last: Id(0x0807_0605_0403_0201), reason: 2 };
    is_on_the_wire(
        &Frame::Gap(gap),
        &[&[24, 0, 0, 0x0d], &[1, 0, 0, 0, 0, 0, 0, 0], &[1, 2, 3, 4, 5, 6, 7, 8], &[2, 0, 0, 0, 0, 0, 0, 0]],
    );
}

#[test]
fn overheads_are_within_the_promise() {
    for sample in samples::all() {
        let len = encoded(&sample.frame).len();
        let allowed = match &sample.frame {
            Frame::Ping(_) | Frame::Pong(_) => 8,
            Frame::Send(send) => 24 + send.to.as_str().len() + send.body.len(),
            Frame::SendAck(acks) => 24 * acks.iter().count(),
            Frame::Deliver(deliver) => {
                36 + deliver.from.as_str().len() + deliver.to.as_str().len() + deliver.body.len()
            }
            Frame::DeliverAck(_) => 12,
            _ => continue,
        };
        assert!(len <= allowed, "{}: {len} bytes, {allowed} are promised", sample.name);
    }
}

#[test]
fn a_buffer_with_room_is_not_moved() {
    let mut out = Vec::with_capacity(4096);
    let before = out.as_ptr();
    for sample in samples::all() {
        out.clear();
        wire::encode(&sample.frame, &mut out);
    }
    assert_eq!(out.as_ptr(), before);
}
