//! One frame of each type and edge, with a name and a sentence: the source of the golden vectors.

use wire::{
    Code, Counter, Device, DeviceNo, Frame, Id, Incarnation, Mid, Name,
    frame::{
        Account, AccountDone, AccountOp, Credential, Credit, Deliver, DeliverAck, ErrorInfo, Gap, GoAway, Hello,
        Logout, Marks, Ping, Presence, Presences, Read, ReceiptMark, Receipts, SafeBy, Send, SendAck, SendAcks,
        SendFlags, SendNack, Typing, Welcome,
    },
};

pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) frame: Frame<'static>,
}

pub(crate) const NAME_64: &str = "a-name-of-64-bytes.0123456789.ABCDEFGHIJKLMNOPQRSTUVWXYZ@x+y:z=_";
pub(crate) const GROUP_64: &str = "#group-of-64-bytes.0123456789.ABCDEFGHIJKLMNOPQRSTUVWXYZ@x+y:z=_";
const STORE: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const PASSWORD_1024: &str = {
    const BYTES: [u8; 1024] = [b'p'; 1024];
    match std::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => panic!("ASCII"),
    }
};
pub(crate) const DEVICE_32: &str = "a-device-of-32-bytes.0123456789A";

pub(crate) fn name(text: &'static str) -> Name<'static> {
    Name::parse(text.as_bytes()).expect("a name")
}

pub(crate) fn device(text: &'static str) -> Device<'static> {
    Device::parse(text.as_bytes()).expect("a device's name")
}

pub(crate) fn mid(device_no: u16, counter: u64) -> Mid {
    Mid::new(DeviceNo(device_no), Counter(counter))
}

pub(crate) fn hello() -> Hello<'static> {
    Hello {
        version_min: 1,
        version_max: 1,
        features: 0,
        user: name("alice"),
        credential: Credential::Token("header.claims.signature"),
        device: device("phone"),
        incarnation: Incarnation(0x0123_4567_89ab_cdef),
        lowest_unresolved: Counter(1),
        highest_sent: Counter(0),
        last_id: Id::NONE,
        credit: Credit { entries: 256, bytes: 1 << 20 },
        client_name: "example",
        client_version: "1.0.0",
        store: b"",
    }
}

pub(crate) fn welcome() -> Welcome<'static> {
    Welcome {
        version: 1,
        features: 0,
        device_no: DeviceNo(1),
        boot: 1,
        head: Id(1_700_000_000_000_000),
        oldest: Id(1_699_999_999_000_000),
        heartbeat_s: 60,
        payload_len_max: 65_536,
        in_flight_max: 64,
        stored_is_synced: true,
        ticket: b"",
        server_time_us: 1_700_000_000_000_001,
        store: b"",
    }
}

pub(crate) fn send() -> Send<'static> {
    Send { mid: mid(1, 1), span: 0, flags: SendFlags(0), kind: 0, to: name("bob"), body: b"hello" }
}

pub(crate) fn deliver() -> Deliver<'static> {
    Deliver {
        id: Id(1_700_000_000_000_000),
        mid: mid(1, 1),
        flags: SendFlags(0),
        kind: 0,
        from: name("alice"),
        to: name("bob"),
        body: b"hello",
    }
}

pub(crate) fn all() -> Vec<Sample> {
    let groups = [
        sends(),
        outcomes(),
        delivers(),
        limits(),
        reads_and_typing(),
        lists(),
        hellos(),
        welcomes_and_ends(),
        errors(),
        accounts(),
    ];
    groups.into_iter().flatten().collect()
}

pub(crate) fn named(name: &str) -> Sample {
    let found = all().into_iter().find(|sample| sample.name == name);
    found.unwrap_or_else(|| panic!("no sample is called {name}"))
}

fn sample(name: &'static str, what: &'static str, frame: Frame<'static>) -> Sample {
    Sample { name, what, frame }
}

fn sends() -> Vec<Sample> {
    let ephemeral = SendFlags(SendFlags::EPHEMERAL);
    vec![
        sample("send", "The first message of device 1.", Frame::Send(send())),
        sample("send-empty-body", "A body may be empty.", Frame::Send(Send { body: b"", ..send() })),
        sample(
            "send-widest",
            "The largest device_no, counter and span, every flag but ephemeral, a name of 64 bytes.",
            Frame::Send(Send {
                mid: mid(u16::MAX, Counter::MAX.0),
                span: 63,
                flags: SendFlags(SendFlags::KNOWN & !SendFlags::EPHEMERAL),
                kind: 255,
                to: name(NAME_64),
                body: &[0, 0xff],
            }),
        ),
        sample(
            "send-group",
            "To a group, whose name is 64 bytes with its #.",
            Frame::Send(Send { to: name(GROUP_64), ..send() }),
        ),
        sample(
            "send-ephemeral",
            "Ephemeral: counter and span are 0.",
            Frame::Send(Send { mid: mid(3, 0), flags: ephemeral, ..send() }),
        ),
        sample(
            "send-lowest-unresolved-one",
            "Counter 64 with span 63: the lowest unresolved is 1.",
            Frame::Send(Send { mid: mid(1, 64), span: 63, ..send() }),
        ),
    ]
}

fn outcomes() -> Vec<Sample> {
    const ACK: SendAck = SendAck { counter: Counter(1), safe_by: SafeBy::Received, self_id: Id::NONE };
    const ACKS: &[SendAck] = &[
        SendAck { counter: Counter(7), safe_by: SafeBy::Stored, self_id: Id(1_700_000_000_000_007) },
        SendAck { counter: Counter(9), safe_by: SafeBy::Duplicate, self_id: Id::NONE },
        SendAck { counter: Counter::MAX, safe_by: SafeBy::Received, self_id: Id(u64::MAX) },
    ];
    vec![
        sample("ping", "A ping.", Frame::Ping(Ping { token: 0x0403_0201 })),
        sample("pong", "Its answer: the same token.", Frame::Pong(Ping { token: 0x0403_0201 })),
        sample("send-ack", "One entry.", Frame::SendAck(SendAcks::List(&[ACK]))),
        sample("send-ack-three", "Three entries.", Frame::SendAck(SendAcks::List(ACKS))),
        sample(
            "send-nack",
            "Refused: no room to store it.",
            Frame::SendNack(SendNack { counter: Counter(2), code: Code::StorageFull.number() }),
        ),
        sample(
            "send-nack-unknown-code",
            "A code of a later version: kept as it is.",
            Frame::SendNack(SendNack { counter: Counter::MAX, code: u16::MAX }),
        ),
    ]
}

fn delivers() -> Vec<Sample> {
    let ephemeral = SendFlags(SendFlags::EPHEMERAL);
    vec![
        sample("deliver", "A message from alice to bob.", Frame::Deliver(deliver())),
        sample(
            "deliver-group",
            "Through a group: `to` says which.",
            Frame::Deliver(Deliver { to: name("#team"), ..deliver() }),
        ),
        sample(
            "deliver-self-copy",
            "What alice's other device wrote to bob, as alice's devices get it.",
            Frame::Deliver(Deliver { mid: mid(2, 5), ..deliver() }),
        ),
        sample(
            "deliver-ephemeral",
            "Ephemeral: id and counter are 0.",
            Frame::Deliver(Deliver { id: Id::NONE, mid: mid(3, 0), flags: ephemeral, ..deliver() }),
        ),
        sample(
            "deliver-widest",
            "The largest numbers, every flag but ephemeral, names of 64 bytes, an empty body.",
            Frame::Deliver(Deliver {
                id: Id(u64::MAX),
                mid: mid(u16::MAX, Counter::MAX.0),
                flags: SendFlags(SendFlags::KNOWN & !SendFlags::EPHEMERAL),
                kind: 255,
                from: name(NAME_64),
                to: name(GROUP_64),
                body: b"",
            }),
        ),
    ]
}

fn limits() -> Vec<Sample> {
    vec![
        sample(
            "deliver-ack",
            "Everything up to this id is committed.",
            Frame::DeliverAck(DeliverAck { id: Id(1_700_000_000_000_000) }),
        ),
        sample("credit", "64 entries or 1 MiB.", Frame::Credit(Credit { entries: 64, bytes: 1 << 20 })),
        sample("credit-least", "The least credit.", Frame::Credit(Credit { entries: 1, bytes: 1 })),
        sample(
            "gap",
            "A range was trimmed by its time to live.",
            Frame::Gap(Gap { first: Id(10), last: Id(1_700_000_000_000_000), reason: 1 }),
        ),
        sample(
            "gap-one",
            "One id, the largest; a reason of a later version is kept as it is.",
            Frame::Gap(Gap { first: Id(u64::MAX), last: Id(u64::MAX), reason: 255 }),
        ),
    ]
}

fn reads_and_typing() -> Vec<Sample> {
    let conversation = name("#team");
    vec![
        sample(
            "read",
            "Everything of alice's device 1 up to counter 5, in the conversation with her.",
            Frame::Read(Read { mid: mid(1, 5), from: name("alice"), conversation: name("alice") }),
        ),
        sample(
            "read-group",
            "The same in a group.",
            Frame::Read(Read { mid: mid(1, 5), from: name("alice"), conversation }),
        ),
        sample(
            "typing",
            "Typing to bob.",
            Frame::Typing(Typing { state: 1, peer: name("bob"), conversation: name("bob") }),
        ),
        sample(
            "typing-group",
            "Alice stopped typing in a group.",
            Frame::Typing(Typing { state: 0, peer: name("alice"), conversation }),
        ),
    ]
}

fn lists() -> Vec<Sample> {
    let marks =
        |marks| Frame::Receipt(Receipts { from: name("bob"), conversation: name("bob"), marks: Marks::List(marks) });
    let presences: &'static [Presence<'static>] = Vec::leak(vec![
        Presence { state: 0, idle_min: u16::MAX, user: name("bob") },
        Presence { state: 2, idle_min: 90, user: name(NAME_64) },
    ]);
    let one: &'static [Presence<'static>] = Vec::leak(vec![Presence { state: 1, idle_min: 0, user: name("alice") }]);
    let receipt_marks: &'static [ReceiptMark] = Vec::leak(vec![
        ReceiptMark { delivered: mid(1, 5), read: mid(1, 3) },
        ReceiptMark { delivered: mid(2, 9), read: mid(2, 0) },
    ]);
    vec![
        sample("receipt", "Bob's devices have this much of alice's two devices.", marks(receipt_marks)),
        sample("presence", "One state.", Frame::Presence(Presences::List(one))),
        sample("presence-two", "Two states.", Frame::Presence(Presences::List(presences))),
    ]
}

fn hellos() -> Vec<Sample> {
    vec![
        sample("hello", "A new client, with a token.", Frame::Hello(hello())),
        sample(
            "hello-back",
            "A client that was here before: a ticket, three unresolved messages, the store that the last id belongs to, names of the greatest length.",
            Frame::Hello(Hello {
                version_max: 3,
                features: 1 << 63,
                user: name(NAME_64),
                credential: Credential::Ticket(&[0, 1, 0xfe, 0xff]),
                device: device(DEVICE_32),
                lowest_unresolved: Counter(39),
                highest_sent: Counter(41),
                last_id: Id(1_700_000_000_000_000),
                store: &STORE,
                ..hello()
            }),
        ),
        sample(
            "hello-password",
            "A password; 64 messages unresolved, the most there can be; no words about the client.",
            Frame::Hello(Hello {
                credential: Credential::Password("correct horse battery staple"),
                lowest_unresolved: Counter(Counter::MAX.0 - 63),
                highest_sent: Counter::MAX,
                client_name: "",
                client_version: "",
                ..hello()
            }),
        ),
    ]
}

fn welcomes_and_ends() -> Vec<Sample> {
    vec![
        sample("welcome", "The answer.", Frame::Welcome(welcome())),
        sample(
            "welcome-widest",
            "The largest numbers, a ticket, the store's name, and an inbox that keeps nothing.",
            Frame::Welcome(Welcome {
                features: u64::MAX,
                device_no: DeviceNo(u16::MAX),
                boot: u64::MAX,
                oldest: Id::NONE,
                heartbeat_s: 1680,
                payload_len_max: (1 << 24) - 1,
                stored_is_synced: false,
                ticket: &[7; 64],
                store: &STORE,
                ..welcome()
            }),
        ),
        sample(
            "goaway-slot",
            "The gateway drains: come back between 250 and 1,250 ms from now.",
            Frame::GoAway(GoAway { slot_start_ms: 250, slot_len_ms: 1000, ..GoAway::of(Code::Draining) }),
        ),
        sample("goaway", "Replaced by a newer session.", Frame::GoAway(GoAway::of(Code::Replaced))),
        sample("logout", "Signs out.", Frame::Logout(Logout { forget: false })),
        sample("logout-forget", "Signs out, and the device goes.", Frame::Logout(Logout { forget: true })),
    ]
}

fn errors() -> Vec<Sample> {
    vec![
        sample(
            "error",
            "READ is known and not offered.",
            Frame::Error(ErrorInfo {
                code: Code::Unsupported.number(),
                frame_type: wire::frame_type::READ,
                text: Code::Unsupported.text(),
            }),
        ),
        sample(
            "error-empty",
            "About no frame, with a code of a later version and no text.",
            Frame::Error(ErrorInfo { code: 999, frame_type: 0, text: "" }),
        ),
    ]
}

fn accounts() -> Vec<Sample> {
    let password = "correct horse battery staple";
    let account = |request, op| Frame::Account(Account { request, op });
    let done = |request, code: Option<Code>, ticket, retry_ms| {
        let (code, text) = code.map_or((0, ""), |code| (code.number(), code.text()));
        Frame::AccountDone(AccountDone { request, code, text, ticket, retry_ms })
    };
    vec![
        sample(
            "account-register",
            "Alice makes an account.",
            account(1, AccountOp::Register { user: name("alice"), password }),
        ),
        sample(
            "account-register-longest",
            "The longest name, the longest password that is carried, the largest number.",
            account(u32::MAX, AccountOp::Register { user: name(NAME_64), password: PASSWORD_1024 }),
        ),
        sample(
            "account-change-password",
            "The present password and a new one.",
            account(2, AccountOp::ChangePassword { password, new_password: "p\u{e4}ssw\u{f6}rd" }),
        ),
        sample("account-delete", "The account goes.", account(3, AccountOp::Delete { password })),
        sample("account-done", "Registered.", done(1, None, &[], 0)),
        sample(
            "account-done-ticket",
            "The password is another: a new ticket instead of the earlier one.",
            done(2, None, &[7; 64], 0),
        ),
        sample(
            "account-done-refused",
            "Too many wrong passwords: not again before 2 s have passed.",
            done(3, Some(Code::TooManyAttempts), &[], 2_000),
        ),
    ]
}
