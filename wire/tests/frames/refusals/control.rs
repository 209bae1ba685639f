//! Control frames with one fault each, and types that nobody knows.

use wire::{
    Code::{self, BadName, Malformed, OneCredential, OutOfRange, UnknownType},
    frame_type::{self as t},
};

use super::Refusal;
use crate::{
    payload,
    samples::named,
    table::{
        Table,
        Value::{self, Bytes, Text, U8, U16, U32, U64},
    },
};

pub(super) fn all() -> Vec<Refusal> {
    let groups = [not_a_table(), credentials(), names(), numbers(), welcomes(), accounts(), unknown()];
    groups.into_iter().flatten().collect()
}

fn refusal(name: &'static str, code: Code, frame_type: u8, payload: Vec<u8>, what: &'static str) -> Refusal {
    Refusal { name, what, frame_type, payload, code }
}

/// The first `len` bytes of the payload of a sample.
fn cut(name: &'static str, sample_name: &str, len: usize) -> Refusal {
    let frame = named(sample_name).frame;
    let mut bytes = payload(&frame);
    bytes.truncate(len);
    refusal(name, Malformed, frame.frame_type(), bytes, "Half a table.")
}

fn hello(name: &'static str, code: Code, table: &Table, what: &'static str) -> Refusal {
    refusal(name, code, t::HELLO, table.payload(), what)
}

fn with(id: u16, value: Value) -> Table {
    Table::hello().with(id, value)
}

fn without(id: u16) -> Table {
    Table::hello().without(id)
}

fn not_a_table() -> Vec<Refusal> {
    let mut not_utf8 = Table::hello().payload();
    let at = not_utf8.windows(5).position(|bytes| bytes == b"token").expect("it is there");
    not_utf8[at] = 0xff;
    let prefixed = Table::hello().size_prefixed_payload();
    let malformed = |name, payload, what| refusal(name, Malformed, t::HELLO, payload, what);
    vec![
        malformed("hello-empty", vec![], "Nothing behind the header."),
        malformed("hello-far", vec![0xff; 64], "A table outside the payload."),
        malformed("hello-not-utf8", not_utf8, "A string that is not UTF-8."),
        malformed("hello-size-prefixed", prefixed, "With a size prefix."),
        cut("welcome-cut", "welcome", 32),
        cut("error-cut", "error", 20),
        cut("goaway-cut", "goaway", 20),
        cut("logout-cut", "logout", 3),
        cut("account-cut", "account-register", 40),
        cut("account-done-cut", "account-done-ticket", 40),
    ]
}

fn credentials() -> Vec<Refusal> {
    let one = |name, table: Table, what| hello(name, OneCredential, &table, what);
    vec![
        one("hello-no-credential", without(4), "No credential."),
        one("hello-empty-token", with(4, Text("")), "An empty credential is none."),
        one("hello-two-credentials", with(5, Text("password")), "A token and a password."),
        one("hello-token-and-ticket", with(6, Bytes(b"ticket")), "A token and a ticket."),
    ]
}

fn names() -> Vec<Refusal> {
    const DEVICE_33: &str = "123456789012345678901234567890123";
    let bad = |name, table: Table, what| hello(name, BadName, &table, what);
    vec![
        bad("hello-no-user", without(3), "No user."),
        bad("hello-group-user", with(3, Text("#team")), "A group cannot log in."),
        bad("hello-no-device", without(7), "No device."),
        bad("hello-device-33", with(7, Text(DEVICE_33)), "A device of 33 bytes."),
    ]
}

fn numbers() -> Vec<Refusal> {
    const TEXT_65: &str = "12345678901234567890123456789012345678901234567890123456789012345";
    let out = |name, table: Table, what| hello(name, OutOfRange, &table, what);
    let both = with(10, U64(1 << 48)).with(9, U64(1 << 48));
    vec![
        out("hello-versions-reversed", with(0, U16(2)), "version_min above version_max."),
        out("hello-lowest-0", without(9), "lowest_unresolved 0."),
        out("hello-lowest-high", with(9, U64(2)), "lowest_unresolved two above highest_sent."),
        out("hello-65-in-flight", with(10, U64(65)), "Counters 1 to 65 unresolved."),
        out("hello-highest-49-bits", both, "A counter of 49 bits."),
        out("hello-no-credit", without(12), "Nothing could ever come."),
        out("hello-no-credit-bytes", with(13, U32(0)), "Nothing could ever come."),
        out("hello-client-name-65", with(14, Text(TEXT_65)), "A client name of 65 bytes."),
        out("hello-store-17", with(16, Bytes(b"seventeen bytes..")), "A store's name of 17 bytes."),
        out("hello-client-version-65", with(15, Text(TEXT_65)), "A client version of 65 bytes."),
    ]
}

fn welcomes() -> Vec<Refusal> {
    let welcome = |name, id, value, what| {
        let payload = Table::welcome().with(id, value).payload();
        refusal(name, OutOfRange, t::WELCOME, payload, what)
    };
    vec![
        welcome("welcome-device-no-0", 2, U16(0), "The server's own device_no."),
        welcome("welcome-heartbeat-24", 6, U32(24), "A heartbeat below 25 s."),
        welcome("welcome-heartbeat-1681", 6, U32(1681), "A heartbeat above 1,680 s."),
        welcome("welcome-payload-0", 7, U32(0), "Nothing could be sent."),
        welcome("welcome-payload-16-mib", 7, U32(1 << 24), "More than the header can say."),
        welcome("welcome-in-flight-0", 8, U16(0), "Nothing could be sent."),
        welcome("welcome-in-flight-65", 8, U16(65), "More than the window has."),
        welcome("welcome-store-15", 12, Bytes(b"fifteen bytes.."), "A store's name of 15 bytes."),
    ]
}

fn accounts() -> Vec<Refusal> {
    let account = |name, code, table: Table, what| refusal(name, code, t::ACCOUNT, table.payload(), what);
    let long: &'static str = "p".repeat(1025).leak();
    let with = |id, value| Table::account().with(id, value);
    let register = Table::account().with(1, U8(1)).without(4);
    let named = |user| register.clone().with(2, Text(user));
    let delete = Table::account().with(1, U8(3)).without(4);
    let mut not_utf8 = Table::account().payload();
    let at = not_utf8.windows(6).position(|bytes| bytes == b"before").expect("it is there");
    not_utf8[at] = 0xff;
    vec![
        refusal("account-empty", Malformed, t::ACCOUNT, vec![], "Nothing behind the header."),
        refusal("account-not-utf8", Malformed, t::ACCOUNT, not_utf8, "A password that is not UTF-8."),
        account("account-op-0", OutOfRange, Table::account().without(1), "No op."),
        account("account-op-4", OutOfRange, with(1, U8(4)), "An op that version 1 does not know."),
        account("account-long-password", OutOfRange, with(3, Text(long)), "A password of 1,025 bytes."),
        account("account-long-new-password", OutOfRange, with(4, Text(long)), "A new password of 1,025 bytes."),
        account("account-register-nobody", BadName, register.clone(), "An account without a name."),
        account("account-register-group", BadName, named("#team"), "A group has no account."),
        account(
            "account-register-new-password",
            OutOfRange,
            named("alice").with(4, Text("new")),
            "Register, two passwords.",
        ),
        account(
            "account-change-of-other",
            OutOfRange,
            with(2, Text("bob")),
            "Another's password: the session says whose.",
        ),
        account("account-delete-other", OutOfRange, delete.clone().with(2, Text("bob")), "Another's account."),
        account("account-delete-new-password", OutOfRange, delete.with(4, Text("new")), "Delete, two passwords."),
    ]
}

fn unknown() -> Vec<Refusal> {
    let unknown = |name, frame_type, what| refusal(name, UnknownType, frame_type, vec![1, 2, 3], what);
    vec![
        unknown("unknown-00", 0x00, "Type 0 is never used."),
        unknown("unknown-0e", 0x0e, "The first hot type that version 1 does not know."),
        unknown("unknown-7f", 0x7f, "The last type that must be known."),
    ]
}
