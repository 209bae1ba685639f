//! Properties, tried with numbers that look random from fixed seeds.

use wire::{
    Counter, Cut, DeviceNo, Frame, Id, Incarnation, Mid, Name, cut,
    frame::{
        Account, AccountDone, AccountOp, Credential, Credit, Deliver, DeliverAck, ErrorInfo, Gap, GoAway, Hello,
        Logout, Marks, Ping, Presence, Presences, Read, ReceiptMark, Receipts, SafeBy, Send, SendAck, SendAcks,
        SendFlags, SendNack, Typing, Welcome,
    },
    frame_type,
    limits::PAYLOAD_LEN_MAX,
};

use crate::{
    Random, encoded, payload,
    samples::{self, mid, name},
};

const NAMES: [&str; 4] = ["a", "bob", samples::NAME_64, "0._@+:=-"];
const CONVERSATIONS: [&str; 4] = ["#a", "bob", samples::GROUP_64, samples::NAME_64];

fn counter(random: &mut Random) -> u64 {
    1 + random.number() % (Counter::MAX.0 - 1)
}

#[expect(clippy::cast_possible_truncation, reason = "any number will do")]
fn any_mid(random: &mut Random) -> Mid {
    mid(random.number() as u16, counter(random))
}

/// What every kind of frame is made of.
struct Parts {
    user: Name<'static>,
    conversation: Name<'static>,
    body: Vec<u8>,
    a: u64,
    b: u64,
    flags: SendFlags,
    count: usize,
}

impl Parts {
    #[expect(clippy::cast_possible_truncation, reason = "any number will do")]
    fn any(random: &mut Random) -> Parts {
        let len = random.below(300);
        Parts {
            user: name(NAMES[random.below(4)]),
            conversation: name(CONVERSATIONS[random.below(4)]),
            body: random.bytes(len),
            a: random.number(),
            b: random.number(),
            flags: SendFlags(random.next() as u8 & SendFlags::KNOWN & !SendFlags::EPHEMERAL),
            count: 1 + random.below(9),
        }
    }
}

/// A frame that looks random, handed to `check` since it borrows.
fn with_any_frame(random: &mut Random, check: &dyn Fn(&Frame<'_>)) {
    let parts = Parts::any(random);
    match random.below(4) {
        0 => with_any_message(random, &parts, check),
        1 => with_any_list(random, &parts, check),
        2 => with_any_state(random, &parts, check),
        _ => with_any_control(random, &parts, check),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "any number will do")]
fn with_any_message(random: &mut Random, parts: &Parts, check: &dyn Fn(&Frame<'_>)) {
    let Parts { user, conversation, ref body, a, flags, .. } = *parts;
    let mid = any_mid(random);
    let span = random.next() % mid.counter().0.min(64);
    let kind = a as u8;
    check(&Frame::Send(Send { mid, span: span as u8, flags, kind, to: conversation, body }));
    check(&Frame::Deliver(Deliver { id: Id(a | 1), mid, flags, kind, from: user, to: conversation, body }));
    let ephemeral = SendFlags(flags.0 | SendFlags::EPHEMERAL);
    let mid = Mid::new(mid.device_no(), Counter(0));
    check(&Frame::Send(Send { mid, span: 0, flags: ephemeral, kind, to: user, body }));
    check(&Frame::Deliver(Deliver { id: Id::NONE, mid, flags: ephemeral, kind, from: user, to: user, body }));
}

#[expect(clippy::cast_possible_truncation, reason = "any number will do")]
fn with_any_list(random: &mut Random, parts: &Parts, check: &dyn Fn(&Frame<'_>)) {
    let ack = |random: &mut Random| SendAck {
        counter: Counter(counter(random)),
        safe_by: [SafeBy::Received, SafeBy::Stored, SafeBy::Duplicate][random.below(3)],
        self_id: Id(random.number()),
    };
    let acks: Vec<_> = (0..parts.count).map(|_| ack(random)).collect();
    check(&Frame::SendAck(SendAcks::List(&acks)));

    let mark = |random: &mut Random| {
        let device_no = random.number() as u16;
        let (delivered, read) = (counter(random), counter(random) - 1);
        ReceiptMark { delivered: mid(device_no, delivered), read: mid(device_no, read) }
    };
    let marks: Vec<_> = (0..parts.count).map(|_| mark(random)).collect();
    let Parts { user, conversation, .. } = *parts;
    check(&Frame::Receipt(Receipts { from: user, conversation, marks: Marks::List(&marks) }));

    let state = |random: &mut Random| Presence {
        state: random.next() as u8,
        idle_min: random.next() as u16,
        user: name(NAMES[random.below(4)]),
    };
    let states: Vec<_> = (0..parts.count).map(|_| state(random)).collect();
    check(&Frame::Presence(Presences::List(&states)));
}

#[expect(clippy::cast_possible_truncation, reason = "any number will do")]
fn with_any_state(random: &mut Random, parts: &Parts, check: &dyn Fn(&Frame<'_>)) {
    let Parts { user, conversation, a, b, .. } = *parts;
    check(&Frame::Ping(Ping { token: a as u32 }));
    check(&Frame::Pong(Ping { token: b as u32 }));
    check(&Frame::SendNack(SendNack { counter: Counter(counter(random)), code: a as u16 }));
    check(&Frame::DeliverAck(DeliverAck { id: Id(a) }));
    check(&Frame::Read(Read { mid: any_mid(random), from: user, conversation }));
    check(&Frame::Typing(Typing { state: a as u8, peer: user, conversation }));
    check(&Frame::Credit(Credit { entries: a as u32 | 1, bytes: b as u32 | 1 }));
    let (first, last) = (Id((a | 1).min(b | 1)), Id((a | 1).max(b | 1)));
    check(&Frame::Gap(Gap { first, last, reason: b as u8 }));
}

#[expect(clippy::cast_possible_truncation, reason = "any number will do")]
fn with_any_control(random: &mut Random, parts: &Parts, check: &dyn Fn(&Frame<'_>)) {
    let Parts { user, conversation, ref body, a, b, .. } = *parts;
    let ticket = [&[1], &body[..]].concat();
    let in_flight = random.below(65) as u64;
    let highest_sent = Counter(in_flight.max(counter(random)));
    check(&Frame::Hello(Hello {
        version_max: 1 | a as u16,
        features: a,
        user,
        credential: Credential::Ticket(&ticket),
        incarnation: Incarnation(b),
        lowest_unresolved: Counter(highest_sent.0 + 1 - in_flight),
        highest_sent,
        last_id: Id(b),
        store: if b % 2 == 0 { &[] } else { &[8; 16] },
        ..samples::hello()
    }));
    check(&Frame::Welcome(Welcome {
        features: a,
        device_no: DeviceNo(1 | a as u16),
        boot: b,
        ticket: body,
        store: if a % 2 == 0 { &[] } else { &[9; 16] },
        ..samples::welcome()
    }));
    let (code, text) = (a as u16, conversation.as_str());
    check(&Frame::Error(ErrorInfo { code, frame_type: b as u8, text }));
    check(&Frame::GoAway(GoAway { code, slot_start_ms: a as u32, slot_len_ms: b as u32, text }));
    check(&Frame::Logout(Logout { forget: a % 2 == 0 }));
    let (password, request) = (user.as_str(), b as u32);
    let new_password = if a % 3 == 0 { "" } else { text };
    check(&Frame::Account(Account { request, op: AccountOp::Register { user, password } }));
    check(&Frame::Account(Account { request, op: AccountOp::ChangePassword { password, new_password } }));
    check(&Frame::Account(Account { request, op: AccountOp::Delete { password } }));
    check(&Frame::AccountDone(AccountDone { request, code, text, ticket: body, retry_ms: a as u32 }));
}

#[test]
fn what_was_encoded_decodes_to_itself() {
    let mut random = Random(1);
    for round in 0..5_000 {
        with_any_frame(&mut random, &|frame| {
            let bytes = encoded(frame);
            let Ok(Cut::Frame { frame_type, payload, len }) = cut(&bytes, PAYLOAD_LEN_MAX) else {
                panic!("round {round}: not a whole frame: {frame:?}");
            };
            assert_eq!(len, bytes.len());
            assert_eq!(wire::decode(frame_type, payload).as_ref(), Ok(&Some(frame.clone())), "round {round}");
        });
    }
}

/// Decodes; what is taken must be written again as it came (a table: must mean the same).
fn decode_and_encode(frame_type: u8, bytes: &[u8], taken: &mut u32) {
    let Ok(Some(frame)) = wire::decode(frame_type, bytes) else {
        return;
    };
    *taken += 1;
    let again = payload(&frame);
    if frame_type < frame_type::HELLO {
        assert_eq!(again, bytes, "{frame:?}");
    }
    assert_eq!(wire::decode(frame_type, &again), Ok(Some(frame)));
}

/// Random, but of the kinds that frames are made of: otherwise nearly all fail at the first check.
fn likely_bytes(random: &mut Random) -> Vec<u8> {
    let len = random.below(64);
    (0..len)
        .map(|_| match random.below(8) {
            0..4 => 0,
            4 => random.next().to_le_bytes()[0],
            5 => [1, 2, 4, 8, 16][random.below(5)],
            _ => b"#abcAB01._@"[random.below(11)],
        })
        .collect()
}

#[test]
fn random_bytes_never_panic_and_mean_one_thing_when_taken() {
    let mut random = Random(2);
    let mut taken = 0;
    for _ in 0..5000 {
        let bytes = likely_bytes(&mut random);
        for frame_type in 0..=u8::MAX {
            decode_and_encode(frame_type, &bytes, &mut taken);
        }
    }
    assert!(taken > 1000, "only {taken} were taken: the test has lost its aim");
}

#[test]
fn damaged_frames_never_panic_and_mean_one_thing_when_taken() {
    let mut random = Random(3);
    let frames: Vec<_> =
        samples::all().iter().map(|sample| (sample.frame.frame_type(), payload(&sample.frame))).collect();
    let mut taken = 0;
    for _ in 0..1000 {
        for (frame_type, whole) in &frames {
            let mut bytes = whole.clone();
            for _ in 0..=random.below(4) {
                let index = random.below(bytes.len());
                bytes[index] = match random.below(3) {
                    0 => bytes[index] ^ 1 << random.below(8),
                    1 => [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
                    _ => random.next().to_le_bytes()[0],
                };
            }
            if random.below(4) == 0 {
                bytes.truncate(random.below(bytes.len()));
            }
            decode_and_encode(*frame_type, &bytes, &mut taken);
        }
    }
    assert!(taken > 1000, "only {taken} were taken: the test has lost its aim");
}
