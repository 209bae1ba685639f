//! Properties, tried with numbers that look random from fixed seeds.

use wire::{
    Cut, DeviceNo, Frame, Id, Incarnation, Mid, cut,
    frame::{
        Credential, Credit, DeliverAck, ErrorInfo, Gap, GoAway, Logout, Marks, Ping, Presence,
        Presences, Read, ReceiptMark, Receipts, SafeBy, SendAck, SendAcks, SendFlags, SendNack,
        Typing,
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
    1 + random.number() % (wire::Counter::MAX.0 - 1)
}

#[expect(clippy::cast_possible_truncation, reason = "any number will do")]
fn any_mid(random: &mut Random) -> Mid {
    mid(random.number() as u16, counter(random))
}

/// A frame that looks random, handed to `check` since it borrows.
#[expect(clippy::cast_possible_truncation, reason = "any number will do")]
fn with_any_frame(random: &mut Random, check: impl Fn(&Frame<'_>)) {
    let user = name(NAMES[random.below(4)]);
    let conversation = name(CONVERSATIONS[random.below(4)]);
    let len = random.below(300);
    let body = random.bytes(len);
    let (a, b) = (random.number(), random.number());
    let count = 1 + random.below(9);
    let id = Id(a | 1);
    let flags = SendFlags(b as u8 & SendFlags::KNOWN & !SendFlags::EPHEMERAL);
    let ticket = [&[1], &body[..]].concat();
    match random.below(16) {
        0 => check(&Frame::Ping(Ping { token: a as u32 })),
        1 => {
            let mid = any_mid(random);
            let span = random.next() % mid.counter().0.min(64);
            let send = wire::frame::Send {
                mid,
                span: span as u8,
                flags,
                kind: a as u8,
                to: conversation,
                body: &body,
            };
            check(&Frame::Send(send));
        }
        2 => {
            let entry = |random: &mut Random| SendAck {
                counter: wire::Counter(counter(random)),
                safe_by: [SafeBy::Received, SafeBy::Stored, SafeBy::Duplicate][random.below(3)],
                self_id: Id(random.number()),
            };
            let acks: Vec<_> = (0..count).map(|_| entry(random)).collect();
            check(&Frame::SendAck(SendAcks::List(&acks)));
        }
        3 => check(&Frame::SendNack(SendNack {
            counter: wire::Counter(counter(random)),
            code: a as u16,
        })),
        4 => {
            let mid = any_mid(random);
            let deliver = wire::frame::Deliver {
                id,
                mid,
                flags,
                kind: a as u8,
                from: user,
                to: conversation,
                body: &body,
            };
            check(&Frame::Deliver(deliver));
        }
        5 => check(&Frame::DeliverAck(DeliverAck { id: Id(a) })),
        6 => check(&Frame::Read(Read {
            mid: any_mid(random),
            from: user,
            conversation,
        })),
        7 => {
            let mark = |random: &mut Random| {
                let device_no = random.number() as u16;
                ReceiptMark {
                    delivered: mid(device_no, counter(random)),
                    read: mid(device_no, counter(random) - 1),
                }
            };
            let marks: Vec<_> = (0..count).map(|_| mark(random)).collect();
            check(&Frame::Receipt(Receipts {
                from: user,
                conversation,
                marks: Marks::List(&marks),
            }));
        }
        8 => check(&Frame::Typing(Typing {
            state: a as u8,
            peer: user,
            conversation,
        })),
        9 => {
            let state = |random: &mut Random| Presence {
                state: random.next() as u8,
                idle_min: random.next() as u16,
                user: name(NAMES[random.below(4)]),
            };
            let states: Vec<_> = (0..count).map(|_| state(random)).collect();
            check(&Frame::Presence(Presences::List(&states)));
        }
        10 => check(&Frame::Credit(Credit {
            entries: a as u32 | 1,
            bytes: b as u32 | 1,
        })),
        11 => check(&Frame::Gap(Gap {
            first: Id(id.0.min(b | 1)),
            last: Id(id.0.max(b | 1)),
            reason: b as u8,
        })),
        12 => {
            let in_flight = random.below(65) as u64;
            let highest = wire::Counter(in_flight.max(counter(random)));
            let hello = wire::frame::Hello {
                version_max: 1 | a as u16,
                features: a,
                user,
                credential: Credential::Ticket(&ticket),
                incarnation: Incarnation(b),
                lowest_unresolved: wire::Counter(highest.0 + 1 - in_flight),
                highest_sent: highest,
                last_id: Id(b),
                ..samples::hello()
            };
            check(&Frame::Hello(hello));
        }
        13 => {
            let device_no = DeviceNo(1 | a as u16);
            let welcome = wire::frame::Welcome {
                features: a,
                device_no,
                boot: b,
                ticket: &body,
                ..samples::welcome()
            };
            check(&Frame::Welcome(welcome));
        }
        14 => check(&Frame::Error(ErrorInfo {
            code: a as u16,
            frame_type: b as u8,
            text: conversation.as_str(),
        })),
        _ => {
            let (slot_start_ms, slot_len_ms) = (a as u32, b as u32);
            check(&Frame::GoAway(GoAway {
                code: a as u16,
                slot_start_ms,
                slot_len_ms,
                text: user.as_str(),
            }));
            check(&Frame::Logout(Logout { forget: a % 2 == 0 }));
        }
    }
}

#[test]
fn what_was_encoded_decodes_to_itself() {
    let mut random = Random(1);
    for round in 0..20_000 {
        with_any_frame(&mut random, |frame| {
            let bytes = encoded(frame);
            let Ok(Cut::Frame {
                frame_type,
                payload,
                len,
            }) = cut(&bytes, PAYLOAD_LEN_MAX)
            else {
                panic!("round {round}: not a whole frame: {frame:?}");
            };
            assert_eq!(len, bytes.len());
            assert_eq!(
                wire::decode(frame_type, payload).as_ref(),
                Ok(&Some(frame.clone())),
                "round {round}"
            );
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
    assert!(
        taken > 1000,
        "only {taken} were taken: the test has lost its aim"
    );
}

#[test]
fn damaged_frames_never_panic_and_mean_one_thing_when_taken() {
    let mut random = Random(3);
    let frames: Vec<_> = samples::all()
        .iter()
        .map(|sample| (sample.frame.frame_type(), payload(&sample.frame)))
        .collect();
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
    assert!(
        taken > 1000,
        "only {taken} were taken: the test has lost its aim"
    );
}
