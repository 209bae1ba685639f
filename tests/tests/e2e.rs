//! The real gateway over real sockets: what people see. Each test has a gateway of its own.

#![forbid(unsafe_code)]

use gateway_tests::e2e::{Conn, Gateway, HelloSpec, LIMIT, Person, Setup, drive_until, until};
use wire::{Code, Frame, Id, frame::Credit};

fn person(gateway: &Gateway, user: &str) -> Person {
    Person::new(user, &gateway.keys().token(user), gateway.addr())
}

/// `first..=last`, as the bodies of messages.
fn bodies(first: usize, last: usize) -> Vec<String> {
    (first..=last).map(|number| format!("message {number}")).collect()
}

#[test]
fn two_people_online_chat() {
    let gateway = Gateway::start();
    let mut people = [person(&gateway, "alice"), person(&gateway, "bob")];
    drive_until("both are online", &mut people, |people| people.iter().all(Person::is_online));
    for body in bodies(1, 100) {
        people[0].send("bob", &body);
        people[1].send("alice", &body);
    }
    drive_until("all is said and safe", &mut people, |people| {
        people.iter().all(|person| person.safe().len() == 100 && person.inbox_count() >= 100)
    });
    assert_eq!(people[0].inbox(), bodies(1, 100));
    assert_eq!(people[1].inbox(), bodies(1, 100));
}

#[test]
fn what_came_while_away_waits_through_a_kill_and_comes_once_in_order() {
    let mut gateway = Gateway::start();
    let mut people = [person(&gateway, "alice"), person(&gateway, "bob")];
    drive_until("both are online", &mut people, |people| people.iter().all(Person::is_online));
    people[0].send("bob", "while here");
    drive_until("bob has it", &mut people, |people| people[1].inbox_count() == 1 && people[0].waiting_count() == 0);

    people[1].goes_away();
    for body in bodies(1, 300) {
        people[0].send("bob", &body);
    }
    drive_until("all of it is safe", &mut people, |people| people[0].waiting_count() == 0);

    gateway = gateway.kill_and_restart();
    people[0].moves_to(gateway.addr());
    people[1].comes_back(gateway.addr());
    drive_until("bob has everything", &mut people, |people| {
        people[1].inbox_count() >= 301 && people[0].welcome_count() == 2
    });
    people[0].send("bob", "after all");
    drive_until("and what comes after", &mut people, |people| people[1].inbox_count() >= 302);
    let mut expected = vec!["while here".to_owned()];
    expected.extend(bodies(1, 300));
    expected.push("after all".to_owned());
    assert_eq!(people[1].inbox(), expected);
}

#[test]
fn a_user_who_never_came_finds_his_messages() {
    let mut gateway = Gateway::start();
    let mut alice = [person(&gateway, "alice")];
    for body in bodies(1, 50) {
        alice[0].send("carol", &body);
    }
    drive_until("all of it is stored", &mut alice, |people| people[0].safe().len() == 50);
    gateway = gateway.kill_and_restart();
    let mut carol = [person(&gateway, "carol")];
    drive_until("carol has everything", &mut carol, |people| people[0].inbox_count() >= 50);
    assert_eq!(carol[0].inbox(), bodies(1, 50));
}

#[test]
fn a_retry_of_what_is_stored_is_not_stored_again_after_a_kill() {
    let mut gateway = Gateway::start();
    let keys = gateway.keys();
    let mut hello = HelloSpec::new("alice", &keys.token("alice"));
    let mut alice = Conn::login(gateway.addr(), &hello);
    let bytes = alice.send_bytes(1, 0, "bob", b"once");
    alice.write(&bytes);
    alice.expect_acks(1..=1);

    // Alice never heard that, and offers it again.
    gateway = gateway.kill_and_restart();
    hello.highest_sent = 1;
    let mut alice = Conn::login(gateway.addr(), &hello);
    alice.write(&bytes);
    alice.expect_acks(1..=1);
    let bytes = alice.send_bytes(2, 0, "bob", b"and another");
    alice.write(&bytes);
    alice.expect_acks(2..=2);

    let mut bob = Conn::login(gateway.addr(), &HelloSpec::new("bob", &keys.token("bob")));
    assert_eq!(bob.expect_deliver().2, b"once");
    assert_eq!(bob.expect_deliver().2, b"and another");
    assert!(bob.ping().is_empty());
}

#[test]
fn an_ephemeral_message_reaches_who_is_there_and_nobody_later() {
    let gateway = Gateway::start();
    let keys = gateway.keys();
    let mut alice = Conn::login(gateway.addr(), &HelloSpec::new("alice", &keys.token("alice")));
    let mut bob = Conn::login(gateway.addr(), &HelloSpec::new("bob", &keys.token("bob")));
    for to in ["carol", "bob"] {
        let bytes = alice.ephemeral_bytes(to, b"only now");
        alice.write(&bytes);
    }
    let (id, from, body) = bob.expect_deliver();
    assert_eq!((id, from.as_str(), body.as_slice()), (Id::NONE, "alice", &b"only now"[..]));
    assert!(alice.ping().is_empty(), "it has no outcome");
    let mut carol = Conn::login(gateway.addr(), &HelloSpec::new("carol", &keys.token("carol")));
    assert!(carol.ping().is_empty());
}

#[test]
fn all_devices_of_a_user_agree_on_the_order() {
    let gateway = Gateway::start();
    let (keys, addr) = (gateway.keys(), gateway.addr());
    let mut people = [
        Person::at("phone", "alice", &keys.token("alice"), addr),
        Person::at("laptop", "alice", &keys.token("alice"), addr),
        Person::new("bob", &keys.token("bob"), addr),
    ];
    drive_until("all are online", &mut people, |people| people.iter().all(Person::is_online));
    for number in 1..=40 {
        people[0].send("bob", &format!("from the phone {number}"));
        people[1].send("bob", &format!("from the laptop {number}"));
        people[2].send("alice", &format!("from bob {number}"));
    }
    drive_until("all is safe, and everybody has everything", &mut people, |people| {
        // A device has what bob sent and what the other device sent.
        people.iter().all(|person| person.waiting_count() == 0 && person.inbox_count() >= 80)
    });
    let from_bob: Vec<_> = (1..=40).map(|number| format!("from bob {number}")).collect();
    let from_laptop: Vec<_> = (1..=40).map(|number| format!("from the laptop {number}")).collect();
    assert_eq!(people[0].inbox_from("bob"), from_bob);
    assert_eq!(people[1].inbox_from("bob"), from_bob);
    assert_eq!(people[0].inbox_from("alice"), from_laptop);
    assert_eq!(people[2].inbox_count(), 80);
}

#[test]
fn hello_and_64_sends_in_one_segment_lose_nothing() {
    hello_and_sends(16, Conn::write);
}

#[test]
fn hello_and_64_sends_byte_by_byte_lose_nothing() {
    hello_and_sends(6, |conn, bytes| {
        for byte in bytes {
            conn.write(std::slice::from_ref(byte));
        }
    });
}

/// Several users, so that accepting shard, home and recipient's home are the same and different ones.
fn hello_and_sends(users: usize, write: impl Fn(&mut Conn, &[u8])) {
    let gateway = Gateway::start();
    let keys = gateway.keys();
    for number in 0..users {
        let (sender, recipient) = (format!("sender{number}"), format!("recipient{number}"));
        let mut hello = HelloSpec::new(&sender, &keys.token(&sender));
        let device_no = Conn::login(gateway.addr(), &hello).device_no();
        let mut conn = Conn::open(gateway.addr());
        conn.assume(device_no);
        hello.highest_sent = 64;
        let mut bytes = hello.bytes();
        for counter in 1..=64 {
            let body = format!("message {counter}");
            let span = u8::try_from(counter - 1).expect("below 64");
            bytes.extend(conn.send_bytes(counter, span, &recipient, body.as_bytes()));
        }
        write(&mut conn, &bytes);
        conn.welcome();
        conn.expect_acks(1..=64);

        let mut recipient = [person(&gateway, &recipient)];
        drive_until("everything came", &mut recipient, |people| people[0].inbox_count() >= 64);
        assert_eq!(recipient[0].inbox(), bodies(1, 64));
    }
}

#[test]
fn a_second_session_of_a_device_replaces_the_first() {
    let gateway = Gateway::start();
    let hello = HelloSpec::new("alice", &gateway.keys().token("alice"));
    let mut first = Conn::login(gateway.addr(), &hello);
    let mut second = Conn::login(gateway.addr(), &hello);
    assert_eq!(first.expect_goaway(), Code::Replaced);
    assert_eq!(first.device_no(), second.device_no());
    second.ping();
}

#[test]
fn the_sdk_does_not_fight_for_a_replaced_session() {
    let gateway = Gateway::start();
    let token = gateway.keys().token("alice");
    let mut first = [Person::new("alice", &token, gateway.addr())];
    drive_until("she is online", &mut first, |people| people[0].is_online());
    // Another client of the same device and store.
    let hello = HelloSpec { incarnation: first[0].incarnation().0, ..HelloSpec::new("alice", &token) };
    let mut second = Conn::login(gateway.addr(), &hello);
    drive_until("the first one gives up", &mut first, |people| people[0].ended() == Some(Code::Replaced.number()));
    second.ping();
    assert_eq!(first[0].welcome_count(), 1);
}

#[test]
fn a_device_that_signs_out_is_told_and_stays_away() {
    let gateway = Gateway::start();
    let mut people = [person(&gateway, "alice")];
    drive_until("she is online", &mut people, |people| people[0].is_online());
    people[0].logout();
    drive_until("she is signed out", &mut people, |people| people[0].ended() == Some(Code::LoggedOut.number()));
}

#[test]
fn sigterm_drains_tells_everybody_stores_what_is_unsafe_and_exits_0() {
    let mut gateway = Gateway::start();
    let keys = gateway.keys();
    // Bob gets messages and never confirms: they are in nobody's log when the signal comes, or just on their way there.
    let mut bob = Conn::login(gateway.addr(), &HelloSpec::new("bob", &keys.token("bob")));
    let mut alice =
        Conn::login(gateway.addr(), &HelloSpec { highest_sent: 20, ..HelloSpec::new("alice", &keys.token("alice")) });
    for counter in 1..=20 {
        let span = u8::try_from(counter - 1).expect("below 64");
        let bytes = alice.send_bytes(counter, span, "bob", format!("message {counter}").as_bytes());
        alice.write(&bytes);
    }
    for _ in 0..20 {
        bob.expect_deliver();
    }
    gateway.ask_to_end();
    let slot = bob.wait_for("GOAWAY", |frame| match frame {
        Frame::GoAway(goaway) => Some((goaway.code, goaway.slot_len_ms)),
        _ => None,
    });
    assert_eq!(slot.0, Code::Draining.number());
    assert!(slot.1 > 0, "a drained session gets a slot to come back in");
    let status = gateway.wait(LIMIT);
    assert!(status.success(), "{status}");

    let gateway = gateway.start_again();
    let mut people = [person(&gateway, "bob")];
    // A new device of bob's: it starts behind what any device of his confirmed, which is nothing.
    drive_until("bob has everything", &mut people, |people| people[0].inbox_count() >= 20);
    assert_eq!(people[0].inbox(), bodies(1, 20));
}

#[test]
fn sigterm_with_nobody_there_exits_0() {
    let mut gateway = Gateway::start();
    gateway.ask_to_end();
    assert!(gateway.wait(LIMIT).success());
}

#[test]
fn without_the_flag_the_stored_shard_count_is_used() {
    let setup = Setup::new().shards(Some(3));
    let mut gateway = setup.start();
    assert_eq!(gateway.shards(), 3);
    gateway.ask_to_end();
    gateway.wait(LIMIT);
    assert_eq!(setup.shards(None).start().shards(), 3);
}

#[test]
fn memory_stays_flat_while_a_stopped_reader_is_sent_much() {
    const BODY_LEN: usize = 60_000;
    const MESSAGES: usize = 4_000;
    let gateway = Gateway::start();
    let keys = gateway.keys();
    // Bob allows everything, and reads nothing.
    let bob = Conn::login(
        gateway.addr(),
        &HelloSpec {
            credit: Credit { entries: u32::MAX, bytes: u32::MAX },
            ..HelloSpec::new("bob", &keys.token("bob"))
        },
    );
    let mut people = [person(&gateway, "alice")];
    let mut send = |first: usize, last: usize| {
        for number in (first..=last).step_by(50) {
            for number in number..number + 50 {
                people[0].send("bob", &format!("{number:0>BODY_LEN$}"));
            }
            drive_until("all of it is safe", &mut people, |people| people[0].waiting_count() == 0);
        }
    };
    send(1, MESSAGES / 4);
    let before = gateway.process().rss_kib();
    send(MESSAGES / 4 + 1, MESSAGES);
    let after = gateway.process().rss_kib();
    let sent_kib = (BODY_LEN * MESSAGES * 3 / 4 / 1024) as u64;
    assert!(after < before + sent_kib / 10, "{before} KiB became {after} KiB while {sent_kib} KiB were sent");
    drop(bob);

    let mut bob = [person(&gateway, "bob")];
    drive_until("bob gets all of it after all", &mut bob, |people| people[0].inbox_count() >= MESSAGES);
    let expected: Vec<_> = (1..=MESSAGES).map(|number| format!("{number:0>BODY_LEN$}")).collect();
    assert!(bob[0].inbox() == expected, "all of it, once, in order");
}

#[test]
fn a_reader_gets_no_more_than_its_credit() {
    let gateway = Gateway::start();
    let keys = gateway.keys();
    let mut bob = Conn::login(
        gateway.addr(),
        &HelloSpec { credit: Credit { entries: 10, bytes: 1 << 20 }, ..HelloSpec::new("bob", &keys.token("bob")) },
    );
    let mut people = [person(&gateway, "alice")];
    for body in bodies(1, 25) {
        people[0].send("bob", &body);
    }
    drive_until("all of it is safe", &mut people, |people| people[0].waiting_count() == 0);
    let mut last = Id::NONE;
    for (first, end) in [(1, 10), (11, 20), (21, 25)] {
        for number in first..=end {
            let (id, _, body) = bob.expect_deliver();
            assert_eq!(body, format!("message {number}").into_bytes());
            last = id;
        }
        let further = bob.ping();
        assert!(further.is_empty(), "beyond the credit came {further:?}");
        bob.confirm(last);
    }
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let gateway = Gateway::start();
    let mut conn = Conn::open(gateway.addr());
    assert_eq!(conn.expect_goaway(), Code::HelloTimeout);
}

#[test]
fn many_connections_come_and_go_and_leave_nothing_behind() {
    let gateway = Gateway::start();
    let token = gateway.keys().token("alice");
    let descriptors = || gateway.process().descriptor_count();
    Conn::login(gateway.addr(), &HelloSpec::new("alice", &token)).ping();
    until("the gateway has noticed", || descriptors() > 0);
    let before = descriptors();
    for round in 0..200 {
        let mut conn = Conn::open(gateway.addr());
        match round % 4 {
            0 => {}
            1 => conn.write(&[1, 2]),
            2 => conn.write(&HelloSpec::new("alice", &token).bytes()),
            _ => {
                conn.write(&HelloSpec::new("alice", &token).bytes());
                conn.welcome();
            }
        }
    }
    until("all descriptors are closed", || descriptors() <= before);
    let mut conn = Conn::login(gateway.addr(), &HelloSpec::new("alice", &token));
    conn.ping();
}
