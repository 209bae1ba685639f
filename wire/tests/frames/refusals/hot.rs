//! Hot frames with one fault each.

use wire::{
    Code,
    frame_type::{self as t},
};

use super::cases::{Refusal, cut, longer, refusal, sample_payload, set};
use crate::samples::NAME_64;

pub(super) fn all() -> Vec<Refusal> {
    [of_send(), of_outcomes(), of_deliver(), of_states()]
        .into_iter()
        .flatten()
        .collect()
}

fn of_send() -> Vec<Refusal> {
    use Code::{BadName, Malformed, OutOfRange, ReservedBits};
    let to = |name: &[u8]| {
        let mut bytes = cut("send", 15);
        bytes.push(u8::try_from(name.len()).expect("short"));
        [&bytes[..], name].concat()
    };
    vec![
        refusal(
            "send-cut",
            Malformed,
            t::SEND,
            cut("send", 15),
            "One byte short of its struct.",
        ),
        refusal(
            "send-name-cut",
            Malformed,
            t::SEND,
            cut("send", 18),
            "One byte short of its name.",
        ),
        refusal(
            "send-reserved-field",
            ReservedBits,
            t::SEND,
            set("send", 11, 1),
            "The reserved field is set.",
        ),
        refusal(
            "send-reserved-flag",
            ReservedBits,
            t::SEND,
            set("send", 13, 32),
            "A flag that version 1 does not know.",
        ),
        refusal(
            "send-span-64",
            OutOfRange,
            t::SEND,
            set("send-lowest-unresolved-one", 12, 64),
            "A span above 63.",
        ),
        refusal(
            "send-span-too-long",
            OutOfRange,
            t::SEND,
            set("send", 12, 1),
            "Counter 1 with span 1: lowest unresolved 0.",
        ),
        refusal(
            "send-counter-0",
            OutOfRange,
            t::SEND,
            set("send", 0, 0),
            "Counter 0, and not ephemeral.",
        ),
        refusal(
            "send-ephemeral-counter",
            OutOfRange,
            t::SEND,
            set("send-ephemeral", 0, 1),
            "Ephemeral with a counter.",
        ),
        refusal(
            "send-ephemeral-span",
            OutOfRange,
            t::SEND,
            set("send-ephemeral", 12, 1),
            "Ephemeral with a span.",
        ),
        refusal(
            "send-to-nobody",
            BadName,
            t::SEND,
            to(b""),
            "An empty name.",
        ),
        refusal(
            "send-to-65",
            BadName,
            t::SEND,
            to(&[NAME_64.as_bytes(), b"a"].concat()),
            "A name of 65 bytes.",
        ),
        refusal(
            "send-to-group-65",
            BadName,
            t::SEND,
            to(&[b"#", NAME_64.as_bytes()].concat()),
            "65 bytes with the #.",
        ),
        refusal(
            "send-to-hash",
            BadName,
            t::SEND,
            to(b"#"),
            "A group without a name.",
        ),
        refusal(
            "send-to-space",
            BadName,
            t::SEND,
            to(b"bo b"),
            "A byte outside the alphabet.",
        ),
        refusal(
            "send-to-hash-inside",
            BadName,
            t::SEND,
            to(b"bo#b"),
            "A # that is not at the beginning.",
        ),
        refusal(
            "send-to-not-ascii",
            BadName,
            t::SEND,
            to("b\u{f6}b".as_bytes()),
            "A letter outside ASCII.",
        ),
        refusal(
            "send-to-not-utf8",
            BadName,
            t::SEND,
            to(&[b'b', 0xff]),
            "Not even UTF-8.",
        ),
    ]
}

fn of_outcomes() -> Vec<Refusal> {
    use Code::{Malformed, OutOfRange, ReservedBits};
    vec![
        refusal(
            "ping-cut",
            Malformed,
            t::PING,
            cut("ping", 3),
            "One byte short.",
        ),
        refusal(
            "ping-long",
            Malformed,
            t::PING,
            longer("ping", &[0]),
            "One byte too long.",
        ),
        refusal(
            "pong-empty",
            Malformed,
            t::PONG,
            vec![],
            "Nothing behind the header.",
        ),
        refusal(
            "send-ack-empty",
            Malformed,
            t::SEND_ACK,
            vec![],
            "No entry.",
        ),
        refusal(
            "send-ack-cut",
            Malformed,
            t::SEND_ACK,
            cut("send-ack-three", 47),
            "The last entry is one byte short.",
        ),
        refusal(
            "send-ack-reserved",
            ReservedBits,
            t::SEND_ACK,
            set("send-ack-three", 31, 128),
            "Set in the second entry.",
        ),
        refusal(
            "send-ack-safe-by-3",
            OutOfRange,
            t::SEND_ACK,
            set("send-ack", 14, 3),
            "No such way of being safe.",
        ),
        refusal(
            "send-ack-counter-0",
            OutOfRange,
            t::SEND_ACK,
            set("send-ack", 8, 0),
            "Counter 0.",
        ),
        refusal(
            "send-nack-cut",
            Malformed,
            t::SEND_NACK,
            cut("send-nack", 7),
            "One byte short.",
        ),
        refusal(
            "send-nack-long",
            Malformed,
            t::SEND_NACK,
            longer("send-nack", &[0; 8]),
            "It is not a list.",
        ),
        refusal(
            "send-nack-counter-0",
            OutOfRange,
            t::SEND_NACK,
            set("send-nack", 0, 0),
            "Counter 0.",
        ),
    ]
}

fn of_deliver() -> Vec<Refusal> {
    use Code::{BadName, Malformed, OutOfRange, ReservedBits};
    let id_zero = [&[0; 8], &sample_payload("deliver")[8..]].concat();
    vec![
        refusal(
            "deliver-cut",
            Malformed,
            t::DELIVER,
            cut("deliver", 23),
            "One byte short of its struct.",
        ),
        refusal(
            "deliver-from-cut",
            Malformed,
            t::DELIVER,
            cut("deliver", 28),
            "One byte short of `from`.",
        ),
        refusal(
            "deliver-to-cut",
            Malformed,
            t::DELIVER,
            cut("deliver", 31),
            "One byte short of `to`.",
        ),
        refusal(
            "deliver-reserved",
            ReservedBits,
            t::DELIVER,
            set("deliver", 16, 1),
            "The reserved field is set.",
        ),
        refusal(
            "deliver-reserved-flag",
            ReservedBits,
            t::DELIVER,
            set("deliver", 20, 64),
            "A flag unknown to version 1.",
        ),
        refusal(
            "deliver-id-0",
            OutOfRange,
            t::DELIVER,
            id_zero,
            "Id 0, and not ephemeral.",
        ),
        refusal(
            "deliver-counter-0",
            OutOfRange,
            t::DELIVER,
            set("deliver", 8, 0),
            "Counter 0, and not ephemeral.",
        ),
        refusal(
            "deliver-ephemeral-id",
            OutOfRange,
            t::DELIVER,
            set("deliver-ephemeral", 0, 1),
            "Ephemeral with an id.",
        ),
        refusal(
            "deliver-from-group",
            BadName,
            t::DELIVER,
            set("deliver", 24, b'#'),
            "A group sends nothing itself.",
        ),
        refusal(
            "deliver-to-bad",
            BadName,
            t::DELIVER,
            set("deliver", 30, b'/'),
            "A byte outside the alphabet.",
        ),
        refusal(
            "deliver-ack-cut",
            Malformed,
            t::DELIVER_ACK,
            cut("deliver-ack", 7),
            "One byte short.",
        ),
        refusal(
            "deliver-ack-long",
            Malformed,
            t::DELIVER_ACK,
            longer("deliver-ack", &[0]),
            "One byte too long.",
        ),
        refusal(
            "credit-cut",
            Malformed,
            t::CREDIT,
            cut("credit", 4),
            "Only the entries.",
        ),
        refusal(
            "credit-0-entries",
            OutOfRange,
            t::CREDIT,
            set("credit-least", 0, 0),
            "Nothing could ever come.",
        ),
        refusal(
            "credit-0-bytes",
            OutOfRange,
            t::CREDIT,
            set("credit-least", 4, 0),
            "Nothing could ever come.",
        ),
        refusal(
            "gap-cut",
            Malformed,
            t::GAP,
            cut("gap", 17),
            "Without its reserved bytes.",
        ),
        refusal(
            "gap-reserved",
            ReservedBits,
            t::GAP,
            set("gap", 23, 1),
            "The last reserved byte is set.",
        ),
        refusal(
            "gap-0",
            OutOfRange,
            t::GAP,
            set("gap", 0, 0),
            "It begins at 0.",
        ),
        refusal(
            "gap-reversed",
            OutOfRange,
            t::GAP,
            set("gap-one", 8, 0xfe),
            "It ends before it begins.",
        ),
    ]
}

fn of_states() -> Vec<Refusal> {
    use Code::{BadName, Malformed, OutOfRange, ReservedBits};
    vec![
        refusal(
            "read-cut",
            Malformed,
            t::READ,
            cut("read", 25),
            "One byte short of its names.",
        ),
        refusal(
            "read-long",
            Malformed,
            t::READ,
            longer("read", b"x"),
            "A byte behind its names.",
        ),
        refusal(
            "read-reserved",
            ReservedBits,
            t::READ,
            set("read", 15, 1),
            "The last reserved byte is set.",
        ),
        refusal(
            "read-counter-0",
            OutOfRange,
            t::READ,
            set("read", 0, 0),
            "Counter 0.",
        ),
        refusal(
            "read-from-group",
            BadName,
            t::READ,
            set("read", 16, b'#'),
            "A group sends nothing itself.",
        ),
        refusal(
            "receipt-no-mark",
            Malformed,
            t::RECEIPT,
            cut("receipt", 10),
            "No mark.",
        ),
        refusal(
            "receipt-cut",
            Malformed,
            t::RECEIPT,
            cut("receipt", 41),
            "The last mark is one byte short.",
        ),
        refusal(
            "receipt-reserved",
            ReservedBits,
            t::RECEIPT,
            set("receipt", 2, 1),
            "The reserved field is set.",
        ),
        refusal(
            "receipt-two-devices",
            OutOfRange,
            t::RECEIPT,
            set("receipt", 16, 2),
            "A mark of two devices.",
        ),
        refusal(
            "typing-cut",
            Malformed,
            t::TYPING,
            cut("typing", 9),
            "One byte short of its names.",
        ),
        refusal(
            "typing-long",
            Malformed,
            t::TYPING,
            longer("typing", b"x"),
            "A byte behind its names.",
        ),
        refusal(
            "typing-reserved",
            ReservedBits,
            t::TYPING,
            set("typing", 3, 1),
            "The reserved field is set.",
        ),
        refusal(
            "typing-no-peer",
            BadName,
            t::TYPING,
            vec![1, 0, 1, 0, b'a'],
            "An empty name.",
        ),
        refusal(
            "presence-empty",
            Malformed,
            t::PRESENCE,
            vec![],
            "No state.",
        ),
        refusal(
            "presence-cut",
            Malformed,
            t::PRESENCE,
            cut("presence-two", 74),
            "The last name is one byte short.",
        ),
        refusal(
            "presence-head-cut",
            Malformed,
            t::PRESENCE,
            cut("presence-two", 10),
            "The second state is cut short.",
        ),
        refusal(
            "presence-of-group",
            BadName,
            t::PRESENCE,
            set("presence", 4, b'#'),
            "A group is not present.",
        ),
    ]
}
