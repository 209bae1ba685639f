//! A peer of a later version: what it may send to us without our knowing it.

use wire::{Frame, frame_type, limits::PAYLOAD_LEN_MAX};

use crate::{
    golden::{Case, Expect},
    table::{Table, Value},
};

/// Fields that no table of version 1 has.
fn with_later_fields(table: Table) -> Table {
    table.with(40, Value::Text("of a later version")).with(41, Value::U64(u64::MAX)).with(42, Value::Bytes(&[0xff; 9]))
}

fn tables() -> [(&'static str, u8, Table); 7] {
    let error = Table::empty().with(0, Value::U16(111)).with(2, Value::Text("text"));
    let goaway = Table::empty().with(0, Value::U16(303)).with(1, Value::U32(250)).with(2, Value::U32(1000));
    [
        ("future-hello", frame_type::HELLO, Table::hello()),
        ("future-welcome", frame_type::WELCOME, Table::welcome()),
        ("future-error", frame_type::ERROR, error),
        ("future-goaway", frame_type::GOAWAY, goaway),
        ("future-logout", frame_type::LOGOUT, Table::empty()),
        ("future-account", frame_type::ACCOUNT, Table::account()),
        ("future-account-done", frame_type::ACCOUNT_DONE, Table::empty().with(0, Value::U32(1))),
    ]
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = tables()
        .into_iter()
        .map(|(name, frame_type, table)| {
            let payload = with_later_fields(table).payload();
            let what = "A table with fields of a later version: they are not looked at.";
            Case::new(name, what, frame_type, &payload, Expect::Taken { exact: false })
        })
        .collect();
    let skipped = |name, what, frame_type, payload: &[u8]| Case::new(name, what, frame_type, payload, Expect::Skipped);
    cases.push(skipped("future-type-80", "The first type that is skipped when it is not known.", 0x80, b"whatever"));
    cases.push(skipped("future-type-ff", "The last one, without a payload.", 0xff, b""));
    cases
}

#[test]
fn unknown_fields_of_a_table_change_nothing() {
    for (name, frame_type, table) in tables() {
        let known = table.payload();
        let later = with_later_fields(table).payload();
        let frame = wire::decode(frame_type, &known).expect(name);
        assert!(frame.is_some());
        assert_eq!(wire::decode(frame_type, &later), Ok(frame), "{name}");
    }
}

#[test]
fn every_unknown_type_from_0x80_on_is_skipped() {
    for frame_type in frame_type::SKIPPED_FROM..=u8::MAX {
        assert_eq!(wire::decode(frame_type, b"whatever"), Ok(None));
    }
    let bytes = [&[8, 0, 0, 0x80], &b"whatever"[..]].concat();
    assert!(matches!(wire::cut(&bytes, PAYLOAD_LEN_MAX), Ok(wire::Cut::Frame { len: 12, .. })));
}

#[test]
fn features_and_versions_of_a_later_peer_are_handed_on() {
    let table = Table::hello().with(1, Value::U16(u16::MAX)).with(2, Value::U64(u64::MAX));
    let payload = table.payload();
    let Ok(Some(Frame::Hello(hello))) = wire::decode(frame_type::HELLO, &payload) else {
        panic!("a later client's HELLO is refused");
    };
    assert_eq!((hello.version_min, hello.version_max, hello.features), (1, u16::MAX, u64::MAX));
}

#[test]
fn codes_of_a_later_gateway_are_kept_as_they_are() {
    let payload = Table::empty().with(0, Value::U16(999)).payload();
    let Ok(Some(Frame::GoAway(goaway))) = wire::decode(frame_type::GOAWAY, &payload) else {
        panic!("a later gateway's GOAWAY is refused");
    };
    assert_eq!(goaway.code, 999);
    assert_eq!(wire::Code::from_number(999), None);
}
