//! Whatever a client sends, the real gateway answers with the code of `docs/protocol.md`, and nobody else notices.

#![forbid(unsafe_code)]

use std::{fs, path::Path};

use gateway_tests::e2e::{Conn, Gateway, HelloSpec, Keys, Person, Setup, drive_until, frame_bytes};
use serde_json::Value;
use wire::{
    Code, Counter, Frame, Id, Mid, Name,
    frame::{Credential, SendFlags},
};

const HELLO: u8 = wire::frame_type::HELLO;

/// A gateway, a witness who must not notice anything, and what logs in.
struct Scene {
    gateway: Gateway,
    keys: Keys,
    witness: Conn,
}

impl Scene {
    fn new() -> Scene {
        let gateway = Gateway::start();
        let keys = gateway.keys();
        let witness = HelloSpec::new("witness", &keys.token("witness"));
        let witness = Conn::login(gateway.addr(), &witness);
        Scene { gateway, keys, witness }
    }

    fn hello(&self, user: &str) -> HelloSpec {
        HelloSpec::new(user, &self.keys.token(user))
    }

    /// A new connection that wrote these bytes.
    fn first(&self, bytes: &[u8]) -> Conn {
        let mut conn = Conn::open(self.gateway.addr());
        conn.try_write(bytes);
        conn
    }

    /// A session of its own user.
    fn session(&self, user: &str) -> Conn {
        Conn::login(self.gateway.addr(), &self.hello(user))
    }

    /// The end of each test: the witness is still served, and so is a newcomer.
    fn assert_unharmed(mut self) {
        assert!(self.witness.ping().is_empty());
        self.session("newcomer").ping();
    }
}

/// Header and payload, whatever they say.
fn raw(frame_type: u8, payload: &[u8]) -> Vec<u8> {
    let [a, b, c, ..] = payload.len().to_le_bytes();
    [&[a, b, c, frame_type], payload].concat()
}

#[test]
fn what_is_refused_before_welcome_is_told_its_code() {
    let scene = Scene::new();
    let hello = scene.hello("alice");
    let later = HelloSpec { versions: (2, 3), ..hello.clone() };
    for (what, bytes, code) in [
        ("a frame above 4 KiB, of which only the header came", vec![0, 17, 0, HELLO], Code::FrameTooLarge),
        ("a table that is none", raw(HELLO, b"hello?"), Code::Malformed),
        ("an empty HELLO", raw(HELLO, b""), Code::Malformed),
        ("PING first", raw(1, &[0; 4]), Code::OutOfState),
        ("a SEND first", Conn::open(scene.gateway.addr()).send_bytes(1, 0, "bob", b"x"), Code::OutOfState),
        ("a frame that only a server sends", raw(2, &[0; 4]), Code::OutOfState),
        ("an unknown type", raw(0x7f, b""), Code::UnknownType),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), Code::FrameTooLarge),
        ("only later versions", later.bytes(), Code::Version),
    ] {
        println!("{what}");
        assert_eq!(scene.first(&bytes).expect_goaway(), code, "{what}");
    }
    scene.assert_unharmed();
}

#[test]
fn each_bad_credential_is_told_its_code() {
    let scene = Scene::new();
    let other = Gateway::start();
    let (keys, good) = (&scene.keys, scene.keys.token("alice"));
    let cut = good[..good.len() - 4].to_owned();
    for (what, token, code) in [
        ("no token at all", "x".to_owned(), Code::BadCredential),
        ("a cut signature", cut, Code::BadCredential),
        ("another gateway's key", other.keys().token("alice"), Code::BadCredential),
        ("another user's token", keys.token("bob"), Code::WrongUser),
        ("an expired token", keys.expired_token("alice"), Code::CredentialExpired),
        ("a token without an end", keys.sign(r#"{"sub":"alice"}"#), Code::BadCredential),
    ] {
        println!("{what}");
        let hello = HelloSpec::new("alice", &token);
        assert_eq!(scene.first(&hello.bytes()).expect_goaway(), code, "{what}");
    }
    let hello = scene.hello("alice");
    for (what, credential) in [
        ("a password of nobody", Credential::Password("secret or not")),
        ("no ticket at all", Credential::Ticket(&[1, 2, 3])),
    ] {
        println!("{what}");
        assert_eq!(scene.first(&hello.bytes_with(credential)).expect_goaway(), Code::BadCredential, "{what}");
    }
    scene.assert_unharmed();
}

#[test]
fn a_kind_of_credential_that_is_switched_off_is_told_so() {
    let gateway = Setup::new().config("login.passwords = false").config("login.ticket_hours = 0").start();
    let hello = HelloSpec::new("alice", &gateway.keys().token("alice"));
    for credential in [Credential::Password("secret or not"), Credential::Ticket(&[1, 2, 3])] {
        let mut conn = Conn::open(gateway.addr());
        conn.try_write(&hello.bytes_with(credential));
        assert_eq!(conn.expect_goaway(), Code::CredentialUnsupported);
    }
}

/// The golden vectors are what every client is held against; here the gateway is.
#[test]
fn every_refused_vector_gets_its_code() {
    let scene = Scene::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wire/vectors/v1");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the vectors are there") {
        let path = entry.expect("the folder can be read").path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let bytes = fs::read(path.with_extension("bin")).unwrap();
        if json["outcome"] != "refused" || json["payload_len_max"] != 16_777_215 {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        println!("{name}");
        let code = u16::try_from(json["code"].as_u64().unwrap()).unwrap();
        let code = Code::from_number(code).unwrap();
        if json["type"] == u64::from(HELLO) {
            assert_eq!(scene.first(&bytes).expect_goaway(), code, "{name}");
        } else {
            let mut session = scene.session("alice");
            session.write(&bytes);
            if json["ends_connection"] == true {
                assert_eq!(session.expect_goaway(), code, "{name}");
            } else {
                let frame_type = bytes[3];
                assert_eq!(session.expect_error(), (code, frame_type), "{name}");
                session.ping();
            }
        }
        count += 1;
    }
    assert!(count > 50, "only {count} vectors were found");
    scene.assert_unharmed();
}

#[test]
fn hostile_tables_are_refused_at_once() {
    let scene = Scene::new();
    for name in ["many-tables.bin", "large-strings.bin"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wire/vectors/hostile").join(name);
        let bytes = fs::read(path).expect("the vector is there");
        let code = scene.first(&raw(HELLO, &bytes)).expect_goaway();
        assert!([Code::Malformed, Code::OutOfRange, Code::FrameTooLarge].contains(&code), "{name}: {code:?}");
    }
    scene.assert_unharmed();
}

#[test]
fn a_frame_that_is_cut_by_the_end_of_the_stream_harms_nobody() {
    let scene = Scene::new();
    let hello = scene.hello("alice").bytes();
    for len in [1, 3, 4, 5, hello.len() - 1] {
        let mut conn = scene.first(&hello[..len]);
        conn.close_write();
        conn.expect_end();
    }
    let mut session = scene.session("alice");
    let bytes = session.send_bytes(1, 0, "bob", b"half of this never came");
    session.write(&bytes[..bytes.len() / 2]);
    session.close_write();
    session.expect_end();
    scene.assert_unharmed();
}

#[test]
fn what_is_refused_after_welcome_is_told_its_code() {
    let scene = Scene::new();
    let hello = scene.hello("alice").bytes();
    for (what, bytes, code) in [
        ("a second HELLO", hello, Code::OutOfState),
        ("a frame that only a server sends", raw(2, &[0; 4]), Code::OutOfState),
        ("one byte above 64 KiB", vec![1, 0, 1, 3], Code::FrameTooLarge),
        ("16 MiB", vec![255, 255, 255, 3], Code::FrameTooLarge),
        ("a PING of five bytes", raw(1, &[0; 5]), Code::Malformed),
        ("a credit of nothing", raw(12, &[0; 8]), Code::OutOfRange),
    ] {
        println!("{what}");
        let mut session = scene.session("alice");
        session.write(&bytes);
        assert_eq!(session.expect_goaway(), code, "{what}");
    }
    scene.assert_unharmed();
}

#[test]
fn unknown_types_do_not_end_a_session() {
    let scene = Scene::new();
    let mut session = scene.session("alice");
    session.write(&raw(0x7f, b"of a later version"));
    assert_eq!(session.expect_error(), (Code::UnknownType, 0x7f));
    session.write(&raw(0x80, b"to be skipped"));
    session.write(&raw(0xff, b""));
    assert!(session.ping().is_empty(), "what is skipped has no answer");
    scene.assert_unharmed();
}

#[test]
fn what_this_version_does_not_offer_is_said_to_be_unsupported() {
    let scene = Scene::new();
    let mut session = scene.session("alice");
    let bob = Name::parse(b"bob").unwrap();
    for frame in [
        Frame::Read(wire::frame::Read { mid: Mid(1 << 48 | 1), from: bob, conversation: bob }),
        Frame::Typing(wire::frame::Typing { state: 1, peer: bob, conversation: bob }),
    ] {
        session.send(&frame);
        assert_eq!(session.expect_error(), (Code::Unsupported, frame.frame_type()));
    }
    assert!(session.ping().is_empty());
    scene.assert_unharmed();
}

#[test]
fn a_name_outside_the_alphabet_is_refused_wherever_it_stands() {
    let scene = Scene::new();
    // Names are checked when frames are made: so the bytes are changed afterwards.
    let spoil = |bytes: &[u8], good: &[u8], bad: &[u8]| {
        let at = bytes.windows(good.len()).position(|window| window == good).expect("the name is there");
        let mut bytes = bytes.to_vec();
        bytes[at..at + bad.len()].copy_from_slice(bad);
        bytes
    };
    for bad in [&b"al ice"[..], b"al/ice", b"al\0ice", b"#group", b"al\xc3\xa4ce"] {
        let hello = HelloSpec::new("al_ice", &scene.keys.token("al_ice")).bytes();
        let conn = scene.first(&spoil(&hello, b"al_ice", bad));
        assert_eq!({ conn }.expect_goaway(), Code::BadName, "{bad:?}");
    }
    for bad in [&b"b b"[..], b"b#b", b"b\nb", b"\xff\xff\xff"] {
        let mut session = scene.session("alice");
        let bytes = session.send_bytes(1, 0, "bob", b"x");
        session.write(&spoil(&bytes, b"bob", bad));
        assert_eq!(session.expect_goaway(), Code::BadName, "{bad:?}");
    }
    scene.assert_unharmed();
}

#[test]
fn a_mid_that_is_not_the_devices_next_is_refused() {
    let scene = Scene::new();
    let send = |session: &Conn, device: u16, counter: u64, span: u8| {
        frame_bytes(&Frame::Send(wire::frame::Send {
            mid: Mid::new(wire::DeviceNo(session.device_no().0 + device), Counter(counter)),
            span,
            flags: SendFlags(0),
            kind: 0,
            to: Name::parse(b"bob").unwrap(),
            body: b"x",
        }))
    };
    // The user is another one each time, so that each begins with counter 1.
    for (user, what, device, counter, span) in
        [("u1", "another device's", 1, 1, 0), ("u2", "ahead of the next", 0, 3, 0), ("u3", "far ahead", 0, 1 << 40, 63)]
    {
        let mut session = scene.session(user);
        let bytes = send(&session, device, counter, span);
        session.write(&bytes);
        assert_eq!(session.expect_goaway(), Code::BadMid, "{what}");
    }
    let mut session = scene.session("u4");
    let bytes = [send(&session, 0, 1, 0), send(&session, 0, 2, 0), send(&session, 0, 1, 0)].concat();
    session.write(&bytes);
    assert_eq!(session.expect_goaway(), Code::BadMid, "1 was called resolved by 2's span");
    scene.assert_unharmed();
}

#[test]
fn a_retry_is_answered_and_not_delivered_twice() {
    let scene = Scene::new();
    let mut alice = scene.session("alice");
    let bytes = alice.send_bytes(1, 0, "bob", b"once");
    alice.write(&bytes);
    alice.expect_acks(1..=1);
    alice.write(&bytes);
    alice.expect_acks(1..=1);
    let mut bob = scene.session("bob");
    let (id, from, body) = bob.expect_deliver();
    assert_eq!((from.as_str(), body.as_slice()), ("alice", &b"once"[..]));
    bob.confirm(id);
    assert!(bob.ping().is_empty(), "nothing comes twice");
    scene.assert_unharmed();
}

#[test]
fn an_ack_for_more_than_was_delivered_confirms_what_was() {
    let scene = Scene::new();
    let mut alice = scene.session("alice");
    for counter in 1..=3 {
        let bytes = alice.send_bytes(counter, 0, "bob", format!("message {counter}").as_bytes());
        alice.write(&bytes);
        alice.expect_acks(counter..=counter);
    }
    // Bob takes one at a time, and calls everything confirmed for ever after the first.
    let hello = HelloSpec { credit: wire::frame::Credit { entries: 1, bytes: 1 << 20 }, ..scene.hello("bob") };
    let mut bob = Conn::login(scene.gateway.addr(), &hello);
    assert_eq!(bob.expect_deliver().2, b"message 1");
    bob.confirm(Id(u64::MAX));
    let rest = bob.collect_until("the other two", |got| {
        got.iter().filter(|got| matches!(got.frame(), Frame::Deliver(_))).count() == 1
    });
    assert!(
        rest.iter().any(|got| matches!(got.frame(), Frame::Error(error) if error.code == Code::BadAck.number())),
        "the forged one is told: {rest:?}"
    );
    // What came after the forged acknowledgement is not confirmed by it.
    drop(bob);
    let mut bob = Conn::login(scene.gateway.addr(), &hello);
    assert_eq!(bob.expect_deliver().2, b"message 2");
    scene.assert_unharmed();
}

#[test]
fn a_hello_that_claims_a_later_last_id_loses_nothing_to_come() {
    let scene = Scene::new();
    let hello = HelloSpec { last_id: Id(u64::MAX), ..scene.hello("bob") };
    drop(Conn::login(scene.gateway.addr(), &scene.hello("bob")));
    let mut bob = Conn::login(scene.gateway.addr(), &hello);
    let mut alice = scene.session("alice");
    let bytes = alice.send_bytes(1, 0, "bob", b"after that");
    alice.write(&bytes);
    assert_eq!(bob.expect_deliver().2, b"after that");
    scene.assert_unharmed();
}

#[test]
fn a_client_that_knows_less_than_the_gateway_must_take_a_new_incarnation() {
    let scene = Scene::new();
    let hello = scene.hello("alice");
    let mut before = Conn::login(scene.gateway.addr(), &hello);
    for counter in 1..=3 {
        let bytes = before.send_bytes(counter, 0, "bob", b"x");
        before.write(&bytes);
        before.expect_acks(counter..=counter);
    }
    // The same store, restored from a backup: it has never sent anything.
    assert_eq!(scene.first(&hello.bytes()).expect_goaway(), Code::NewIncarnation);
    let mut after = Conn::login(scene.gateway.addr(), &HelloSpec { incarnation: 2, ..hello });
    assert_ne!(after.device_no(), before.device_no());
    after.ping();
    scene.assert_unharmed();
}

#[test]
fn a_seventeenth_device_is_refused_while_the_others_are_in_use() {
    let scene = Scene::new();
    let device = |number: usize| HelloSpec { device: format!("device{number}"), ..scene.hello("alice") };
    let mut devices: Vec<_> = (1..=16).map(|number| Conn::login(scene.gateway.addr(), &device(number))).collect();
    assert_eq!(scene.first(&device(17).bytes()).expect_goaway(), Code::TooManyDevices);
    for device in &mut devices {
        device.ping();
    }
    scene.assert_unharmed();
}

#[test]
fn a_group_that_is_not_there_is_refused_and_the_session_goes_on() {
    let scene = Scene::new();
    let mut session = scene.session("alice");
    let bytes = session.send_bytes(1, 0, "#club", b"x");
    session.write(&bytes);
    assert_eq!(session.expect_nack(1), Code::NotAMember);
    session.ping();
    scene.assert_unharmed();
}

#[test]
fn a_body_too_long_to_deliver_is_refused_and_the_session_goes_on() {
    let scene = Scene::new();
    let mut session = scene.session("alice");
    // As long as a frame from a client may be, and too long for a DELIVER with its two names.
    let body = vec![b'x'; 64 * 1024 - 20 - "bob".len()];
    let bytes = session.send_bytes(1, 0, "bob", &body);
    session.write(&bytes);
    assert_eq!(session.expect_nack(1), Code::BodyTooLarge);
    session.ping();
    scene.assert_unharmed();
}

#[test]
fn strangers_are_refused_where_the_policy_says_so() {
    let gateway = Setup::new().config("messages.unknown_recipients = 'refuse'").start();
    let keys = gateway.keys();
    let mut alice = Conn::login(gateway.addr(), &HelloSpec::new("alice", &keys.token("alice")));
    let bytes = alice.send_bytes(1, 0, "nobody", b"x");
    alice.write(&bytes);
    assert_eq!(alice.expect_nack(1), Code::UnknownRecipient);

    // Who was here once is no stranger.
    drop(Conn::login(gateway.addr(), &HelloSpec::new("bob", &keys.token("bob"))));
    let bytes = alice.send_bytes(2, 0, "bob", b"y");
    alice.write(&bytes);
    alice.expect_acks(2..=2);
}

#[test]
fn the_sdk_tells_a_refusal_and_goes_on() {
    let gateway = Setup::new().config("messages.unknown_recipients = 'refuse'").start();
    let mut people = [Person::new("alice", &gateway.keys().token("alice"), gateway.addr())];
    people[0].send("nobody", "to nobody");
    people[0].send("alice", "to herself");
    drive_until("both have an outcome", &mut people, |people| people[0].waiting_count() == 0);
    assert_eq!(people[0].refused(), [("to nobody".to_owned(), Code::UnknownRecipient.number())]);
    assert_eq!(people[0].safe().len(), 1);
}

#[test]
fn the_sdk_gives_up_on_a_bad_token_and_says_why() {
    let gateway = Gateway::start();
    let token = gateway.keys().expired_token("alice");
    let mut people = [Person::new("alice", &token, gateway.addr())];
    drive_until("she is told", &mut people, |people| people[0].ended() == Some(Code::CredentialExpired.number()));
}

#[test]
fn noise_harms_nobody() {
    let scene = Scene::new();
    // A fixed generator, so that a failure can be seen again (Marsaglia, "Xorshift RNGs", 2003).
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = |len: usize| -> Vec<u8> {
        std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .take(len)
        .collect()
    };
    for round in 0..200 {
        if round % 2 == 0 {
            let mut conn = scene.first(&noise(300));
            conn.close_write();
            conn.expect_end();
        } else {
            // Frames whose header is right, so that what they say is looked at.
            let mut session = scene.session("alice");
            for frame_type in 0..0x30 {
                session.try_write(&raw(frame_type, &noise(usize::from(frame_type) + 4)));
            }
            session.close_write();
            session.expect_end();
        }
    }
    scene.assert_unharmed();
}
