//! Buffers that are small and cost much: tables and strings reached again and again. No table of ours nests yet, so a schema for
//! tests has the shapes (`hostile/hostile.fbs`), and the two buffers are kept as vectors.

#[allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    dead_code,
    rust_2018_idioms,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    clippy::semicolon_if_nothing_returned,
    reason = "checked in as `cargo xtask gen` writes it"
)]
#[path = "hostile/generated.rs"]
mod generated;

use std::{fs, path::PathBuf};

use flatbuffers::{InvalidFlatbuffer, VerifierOptions, root_with_opts};
use wire::{frame::verifier_options, frame_type};

use crate::{
    refused,
    table::{Table, Value},
};
use generated::hostile::Node;

/// 13 levels, each with three times the same child: 3^13 leaves.
pub(crate) const TABLES: &str = "many-tables.bin";
/// 7,750 times the same string of 31,000 bytes.
pub(crate) const STRINGS: &str = "large-strings.bin";

pub(crate) fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "vectors", "hostile", name].iter().collect()
}

/// A buffer of little-endian 32-bit words.
fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Root offset, one vtable for the inner nodes, one for the leaf, then node and vector in turns, each element pointing to the
/// next node.
pub(crate) fn many_tables() -> Vec<u8> {
    const LEVELS: u32 = 13;
    const NODE_AT: u32 = 16;
    // Vtable at 4: 6 bytes, the table 8, `children` at 4 (and 2 of padding). Vtable at 12: 4 bytes, the table 4.
    let mut buffer = words(&[NODE_AT, 0x0008_0006, 0x0000_0004, 0x0004_0004]);
    for level in 0..LEVELS {
        let at = NODE_AT + 24 * level;
        // The node: its vtable lies `at - 4` back, its vector 4 ahead. The vector: three offsets to the next node, at + 24.
        buffer.extend(words(&[at - 4, 4, 3, 12, 8, 4]));
    }
    buffer.extend(words(&[NODE_AT + 24 * LEVELS - 12]));
    buffer
}

/// A node whose vector of names points to one string from every element.
pub(crate) fn large_strings() -> Vec<u8> {
    const COUNT: u32 = 7_750;
    const STRING_LEN: u32 = 31_000;
    // Vtable at 4: 8 bytes, the table 8, no `children`, `names` at 4. The node at 12, its vector at 20.
    let mut buffer = words(&[12, 0x0008_0008, 0x0004_0000, 8, 4, COUNT]);
    let vector_at = 24;
    let string_at = vector_at + 4 * COUNT;
    for index in 0..COUNT {
        buffer.extend(words(&[string_at - (vector_at + 4 * index)]));
    }
    buffer.extend(words(&[STRING_LEN]));
    buffer.resize(buffer.len() + STRING_LEN as usize, b'a');
    buffer.push(0);
    buffer
}

fn vector(name: &str) -> Vec<u8> {
    fs::read(path(name)).expect("a vector of that name")
}

fn verdict(options: &VerifierOptions, buffer: &[u8]) -> Option<InvalidFlatbuffer> {
    root_with_opts::<Node<'_>>(options, buffer).err()
}

#[test]
fn the_vectors_are_what_is_described() {
    assert_eq!(vector(TABLES), many_tables());
    assert_eq!(vector(STRINGS), large_strings());
    assert_eq!(many_tables().len(), 332);
    assert_eq!(large_strings().len(), 62_029);
}

#[test]
fn many_tables_from_few_bytes_are_refused_after_a_few() {
    let buffer = vector(TABLES);
    let a_million = VerifierOptions::default();
    assert_eq!(a_million.max_tables, 1_000_000);
    assert_eq!(verdict(&a_million, &buffer), Some(InvalidFlatbuffer::TooManyTables), "the defaults walk a million");

    // Ours stop at the depth or at the count, whichever comes first; each alone is enough.
    assert_eq!(verdict(&verifier_options(), &buffer), Some(InvalidFlatbuffer::DepthLimitReached));
    assert_eq!(verifier_options().max_depth, 4);
    let by_count = VerifierOptions { max_depth: 64, ..verifier_options() };
    assert_eq!(verdict(&by_count, &buffer), Some(InvalidFlatbuffer::TooManyTables));
    assert_eq!(verifier_options().max_tables, 16);
}

#[test]
fn large_strings_from_few_bytes_are_refused_before_they_grow() {
    let buffer = vector(STRINGS);
    let below_240_mb = VerifierOptions { max_apparent_size: 240_000_000, ..VerifierOptions::default() };
    assert_eq!(verdict(&below_240_mb, &buffer), Some(InvalidFlatbuffer::ApparentSizeTooLarge));
    assert_eq!(verdict(&VerifierOptions::default(), &buffer), None, "the defaults take it");

    assert_eq!(verdict(&verifier_options(), &buffer), Some(InvalidFlatbuffer::ApparentSizeTooLarge));
    assert_eq!(verifier_options().max_apparent_size, 131_072);
}

#[test]
fn as_control_frames_both_are_refused() {
    for name in [TABLES, STRINGS] {
        let buffer = vector(name);
        // In these tables' own fields they carry nothing: some of ours need fields, the others read zeros.
        assert!(wire::decode(frame_type::HELLO, &buffer).is_err());
        assert!(wire::decode(frame_type::WELCOME, &buffer).is_err());
        assert!(wire::decode(frame_type::ACCOUNT, &buffer).is_err());
    }
}

#[test]
fn the_limits_leave_room_for_the_largest_honest_hello() {
    let long: &'static str = "t".repeat(60_000).leak();
    let payload = Table::hello().with(4, Value::Text(long)).with(14, Value::Text("client")).payload();
    assert!(payload.len() > 60_000);
    assert!(wire::decode(frame_type::HELLO, &payload).is_ok());
}

#[test]
fn one_password_behind_both_fields_is_taken_and_a_long_one_is_not() {
    let payload = Table::account().shared(&[4], 3).payload();
    assert!(wire::decode(frame_type::ACCOUNT, &payload).is_ok(), "an encoder may write equal strings once");
    let long: &'static str = "p".repeat(60_000).leak();
    let payload = Table::account().with(3, Value::Text(long)).shared(&[4], 3).payload();
    assert_eq!(refused(frame_type::ACCOUNT, &payload).code(), wire::Code::OutOfRange);
}

#[test]
fn secrets_do_not_show_when_a_frame_is_printed() {
    for name in
        ["account-register", "account-change-password", "account-delete", "hello-password", "hello", "hello-back"]
    {
        let shown = format!("{:?}", crate::samples::named(name).frame);
        for secret in ["horse", "p\u{e4}ssw", "signature", "254"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn one_string_behind_many_fields_is_refused_before_it_is_read_often() {
    // Field after field points to the same 62,000 bytes: three of them are more than a control frame may seem to hold.
    let long: &'static str = "t".repeat(62_000).leak();
    let payload = Table::hello().with(4, Value::Text(long)).shared(&[3, 5, 7, 14, 15], 4).payload();
    assert!(payload.len() < 65_536);
    let error = refused(frame_type::HELLO, &payload);
    assert_eq!(error.to_string(), "HELLO: its table does not verify");
}
