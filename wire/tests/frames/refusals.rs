//! What a receiver must refuse, and with which code.

mod control;
mod hot;

use wire::{
    Code, Frame, WireError,
    frame::Ping,
    frame_type::{self as t},
    limits::PAYLOAD_LEN_MAX,
};

use crate::{
    encoded, payload, refused,
    samples::{self, named},
    table::Table,
};

/// A payload with one fault: the source of a golden vector that is refused.
pub(crate) struct Refusal {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) frame_type: u8,
    pub(crate) payload: Vec<u8>,
    pub(crate) code: Code,
}

pub(crate) fn all() -> Vec<Refusal> {
    [hot::all(), control::all()].into_iter().flatten().collect()
}

#[test]
fn each_refusal_has_its_code_and_names_its_frame() {
    for case in all() {
        let error = match wire::decode(case.frame_type, &case.payload) {
            Err(error) => error,
            Ok(frame) => panic!("{} was taken: {frame:?}", case.name),
        };
        assert_eq!(error.code(), case.code, "{}: {error}", case.name);
        assert_eq!(error.frame_type(), case.frame_type, "{}: {error}", case.name);
        assert_eq!(error.is_fatal(), case.code != Code::UnknownType, "{}: {error}", case.name);
    }
}

#[test]
fn the_tables_that_refusals_start_from_are_accepted() {
    assert!(wire::decode(t::HELLO, &Table::hello().payload()).is_ok());
    assert!(wire::decode(t::WELCOME, &Table::welcome().payload()).is_ok());
    assert!(wire::decode(t::ACCOUNT, &Table::account().payload()).is_ok());
}

#[test]
fn a_frame_cut_at_any_byte_is_refused_unless_it_is_a_whole_shorter_one() {
    for sample in samples::all() {
        let frame_type = sample.frame.frame_type();
        let whole = payload(&sample.frame);
        for len in 0..whole.len() {
            let cut = &whole[..len];
            match wire::decode(frame_type, cut) {
                Err(error) => assert_eq!(error.frame_type(), frame_type),
                // The padding behind a table's last string may be missing.
                Ok(Some(frame)) if frame == sample.frame => assert!(whole.len() - len < 4),
                Ok(frame) => {
                    let frame = frame.expect("a known type");
                    let is_open_ended = matches!(
                        frame,
                        Frame::Send(_) | Frame::Deliver(_) | Frame::SendAck(_) | Frame::Receipt(_) | Frame::Presence(_)
                    );
                    assert!(is_open_ended, "{} cut to {len}", sample.name);
                    assert_eq!(payload(&frame), cut, "{} cut to {len}", sample.name);
                }
            }
        }
    }
}

#[test]
fn every_unknown_type_below_0x80_is_refused_and_the_connection_stays() {
    for frame_type in (0..0x80).filter(|number| t::name(*number).is_none()) {
        let error = refused(frame_type, b"whatever");
        assert_eq!(error, WireError::UnknownType(frame_type));
        assert!(!error.is_fatal());
    }
}

#[test]
fn every_type_has_one_sample_at_least() {
    let sampled: Vec<u8> = samples::all().iter().map(|sample| sample.frame.frame_type()).collect();
    for (number, name) in t::ALL {
        assert!(sampled.contains(number), "{name}");
    }
}

#[test]
fn each_single_reserved_bit_is_refused() {
    let reserved = [
        ("send", 8..12, 0),
        ("send", 13..14, 5),
        ("send-ack", 15..16, 0),
        ("deliver", 16..20, 0),
        ("deliver", 20..21, 5),
        ("read", 10..16, 0),
        ("receipt", 2..4, 0),
        ("typing", 3..4, 0),
        ("gap", 17..24, 0),
    ];
    for (name, range, first_bit) in reserved {
        let frame = named(name).frame;
        let frame_type = frame.frame_type();
        for (index, bit) in range.flat_map(|index| (first_bit..8).map(move |bit| (index, bit))) {
            let mut bytes = payload(&frame);
            bytes[index] = 1 << bit;
            let error = refused(frame_type, &bytes);
            assert_eq!(error, WireError::ReservedBits { frame_type }, "{name}, byte {index}, bit {bit}");
        }
    }
}

#[test]
#[should_panic(expected = "does not fit into a frame")]
fn encoding_a_payload_above_16_mib_is_the_callers_error() {
    let body = vec![0; PAYLOAD_LEN_MAX];
    encoded(&Frame::Send(wire::frame::Send { body: &body, ..samples::send() }));
}

#[test]
fn errors_say_what_is_wrong_in_words() {
    let words = refused(t::CREDIT, &[0; 8]).to_string();
    assert_eq!(words, "CREDIT: a credit of 0 entries or 0 bytes would let nothing through");
    let words = refused(t::SEND, &payload(&Frame::Ping(Ping { token: 1 }))).to_string();
    assert_eq!(words, "SEND: shorter than its struct");
}
