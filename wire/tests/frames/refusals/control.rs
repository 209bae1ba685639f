//! Control frames with one fault each, and types that nobody knows.

use wire::{
    Code,
    frame_type::{self as t},
};

use super::cases::{Refusal, cut, refusal};
use crate::table::{Table, Value};

pub(super) fn all() -> Vec<Refusal> {
    [of_hello(), of_others()].into_iter().flatten().collect()
}

fn of_hello() -> Vec<Refusal> {
    use Code::{BadName, Malformed, OneCredential, OutOfRange};
    use Value::{Bytes, Text, U16, U32, U64};
    const TEXT_65: &str = "12345678901234567890123456789012345678901234567890123456789012345";
    const DEVICE_33: &str = "123456789012345678901234567890123";
    let hello =
        |name, code, table: Table, what| refusal(name, code, t::HELLO, table.payload(), what);
    let with = |id, value| Table::hello().with(id, value);
    let without = |id| Table::hello().without(id);
    let mut not_utf8 = Table::hello().payload();
    let at = not_utf8
        .windows(5)
        .position(|bytes| bytes == b"token")
        .expect("it is there");
    not_utf8[at] = 0xff;
    vec![
        refusal(
            "hello-empty",
            Malformed,
            t::HELLO,
            vec![],
            "Nothing behind the header.",
        ),
        refusal(
            "hello-far",
            Malformed,
            t::HELLO,
            vec![0xff; 64],
            "A table outside the payload.",
        ),
        refusal(
            "hello-not-utf8",
            Malformed,
            t::HELLO,
            not_utf8,
            "A string that is not UTF-8.",
        ),
        refusal(
            "hello-size-prefixed",
            Malformed,
            t::HELLO,
            Table::hello().size_prefixed_payload(),
            "With a size prefix.",
        ),
        hello(
            "hello-no-credential",
            OneCredential,
            without(4),
            "No credential.",
        ),
        hello(
            "hello-empty-token",
            OneCredential,
            with(4, Text("")),
            "An empty credential is none.",
        ),
        hello(
            "hello-two-credentials",
            OneCredential,
            with(5, Text("password")),
            "A token and a password.",
        ),
        hello(
            "hello-token-and-ticket",
            OneCredential,
            with(6, Bytes(b"ticket")),
            "A token and a ticket.",
        ),
        hello("hello-no-user", BadName, without(3), "No user."),
        hello(
            "hello-group-user",
            BadName,
            with(3, Text("#team")),
            "A group cannot log in.",
        ),
        hello("hello-no-device", BadName, without(7), "No device."),
        hello(
            "hello-device-33",
            BadName,
            with(7, Text(DEVICE_33)),
            "A device of 33 bytes.",
        ),
        hello(
            "hello-versions-reversed",
            OutOfRange,
            with(0, U16(2)),
            "version_min above version_max.",
        ),
        hello(
            "hello-lowest-0",
            OutOfRange,
            without(9),
            "lowest_unresolved 0.",
        ),
        hello(
            "hello-lowest-high",
            OutOfRange,
            with(9, U64(2)),
            "lowest_unresolved two above highest_sent.",
        ),
        hello(
            "hello-65-in-flight",
            OutOfRange,
            with(10, U64(65)),
            "Counters 1 to 65 unresolved.",
        ),
        hello(
            "hello-highest-49-bits",
            OutOfRange,
            with(10, U64(1 << 48)).with(9, U64(1 << 48)),
            "A counter of 49 bits.",
        ),
        hello(
            "hello-no-credit",
            OutOfRange,
            without(12),
            "Nothing could ever come.",
        ),
        hello(
            "hello-no-credit-bytes",
            OutOfRange,
            with(13, U32(0)),
            "Nothing could ever come.",
        ),
        hello(
            "hello-client-name-65",
            OutOfRange,
            with(14, Text(TEXT_65)),
            "A client name of 65 bytes.",
        ),
        hello(
            "hello-client-version-65",
            OutOfRange,
            with(15, Text(TEXT_65)),
            "A client version of 65 bytes.",
        ),
    ]
}

fn of_others() -> Vec<Refusal> {
    use Code::{Malformed, OutOfRange, UnknownType};
    use Value::{U16, U32};
    let welcome = |name, id, value, what| {
        refusal(
            name,
            OutOfRange,
            t::WELCOME,
            Table::welcome().with(id, value).payload(),
            what,
        )
    };
    vec![
        welcome(
            "welcome-device-no-0",
            2,
            U16(0),
            "The server's own device_no.",
        ),
        welcome(
            "welcome-heartbeat-24",
            6,
            U32(24),
            "A heartbeat below 25 s.",
        ),
        welcome(
            "welcome-heartbeat-1681",
            6,
            U32(1681),
            "A heartbeat above 1,680 s.",
        ),
        welcome("welcome-payload-0", 7, U32(0), "Nothing could be sent."),
        welcome(
            "welcome-payload-16-mib",
            7,
            U32(1 << 24),
            "More than the header can say.",
        ),
        welcome("welcome-in-flight-0", 8, U16(0), "Nothing could be sent."),
        welcome(
            "welcome-in-flight-65",
            8,
            U16(65),
            "More than the window has.",
        ),
        refusal(
            "welcome-cut",
            Malformed,
            t::WELCOME,
            cut("welcome", 32),
            "Half a table.",
        ),
        refusal(
            "error-cut",
            Malformed,
            t::ERROR,
            cut("error", 20),
            "Half a table.",
        ),
        refusal(
            "goaway-cut",
            Malformed,
            t::GOAWAY,
            cut("goaway", 20),
            "Half a table.",
        ),
        refusal(
            "logout-cut",
            Malformed,
            t::LOGOUT,
            cut("logout", 3),
            "Half a table.",
        ),
        refusal(
            "unknown-00",
            UnknownType,
            0x00,
            vec![],
            "Type 0 is never used.",
        ),
        refusal(
            "unknown-0e",
            UnknownType,
            0x0e,
            vec![1, 2, 3],
            "The first hot type that version 1 does not know.",
        ),
        refusal(
            "unknown-7f",
            UnknownType,
            0x7f,
            vec![],
            "The last type that must be known.",
        ),
    ]
}
