//! When to connect, when to give up, when to come back.

use shardwire_sdk::{Client, Credential, Event, MemoryStore};
use wire::frame::{ErrorInfo, GoAway, Ping, Welcome};
use wire::{Code, DeviceNo, Frame, Id, limits};

use crate::pair::{Pair, Said, config, delivery};

const SECOND_US: u64 = 1_000_000;

fn disconnect(code: Code) -> Event {
    Event::Disconnect { code: Some(code.number()) }
}

fn ended(code: Code) -> Event {
    Event::Ended { code: code.number() }
}

#[test]
fn a_new_client_wants_to_connect_at_once_and_says_hello() {
    let mut pair = Pair::new();
    assert_eq!(pair.client.connect_at(), Some(0));
    pair.connect();
    assert_eq!(pair.client.connect_at(), None);
    assert!(matches!(pair.said().as_slice(), [Said::Hello { lowest: 1, highest: 0, last_id: 0, .. }]));
    assert!(!pair.client.is_welcomed());
    pair.welcome(1, 5, Id(0));
    assert!(pair.client.is_welcomed());
    assert_eq!(pair.client.device_no(), Some(DeviceNo(5)));
}

#[test]
fn two_seeds_make_two_incarnations() {
    let incarnation = |seed| {
        let client = Client::new(config(), MemoryStore::default(), seed).unwrap();
        client.ledger().incarnation.unwrap()
    };
    assert_ne!(incarnation(1), incarnation(2));
    assert_eq!(incarnation(1), incarnation(1));
}

#[test]
fn frames_may_come_byte_by_byte_or_many_at_once() {
    let mut bytes = Vec::new();
    let bodies: Vec<String> = (1..=5).map(|n| "x".repeat(n * 100)).collect();
    for (id, body) in (10..).zip(&bodies) {
        let deliver = delivery("bob", "alice", id, 1, id, body);
        wire::encode(&Frame::Deliver(deliver), &mut bytes);
    }
    for chunk_len in [1, 7, 150, bytes.len()] {
        let mut pair = Pair::welcomed();
        for chunk in bytes.chunks(chunk_len) {
            pair.client.on_bytes(pair.now_us, chunk);
        }
        assert_eq!(pair.messages(), bodies, "in chunks of {chunk_len}");
    }
}

#[test]
fn an_unanswered_hello_ends_the_connection_after_ten_seconds() {
    let mut pair = Pair::new();
    pair.connect();
    let begun_us = pair.now_us;
    pair.tick();
    assert_eq!(pair.now_us, begun_us + 10 * SECOND_US);
    assert_eq!(pair.events(), [Event::Disconnect { code: None }]);
    assert!(pair.client.connect_at() > Some(pair.now_us));
}

#[test]
fn waits_grow_with_each_failure_and_begin_anew_after_a_welcome() {
    let wait = |pair: &Pair| pair.client.connect_at().unwrap() - pair.now_us;
    let mut pair = Pair::new();
    for failure_count in 0..10 {
        pair.connect();
        pair.lose_connection();
        let ceiling_us = (100_000_u64 << failure_count).min(10_000_000);
        assert!((50_000..=ceiling_us).contains(&wait(&pair)), "{failure_count}");
    }
    pair.login(1);
    pair.lose_connection();
    assert!((50_000..=100_000).contains(&wait(&pair)));
}

#[test]
fn a_connection_that_could_not_be_made_is_lost_like_another() {
    let mut pair = Pair::new();
    pair.client.on_connecting();
    assert_eq!(pair.client.connect_at(), None);
    pair.lose_connection();
    assert_eq!(pair.events(), [Event::Lost]);
    assert!(pair.client.connect_at().is_some());
}

#[test]
fn an_idle_client_pings_once_an_interval_and_lives_on_the_answers() {
    let mut pair = Pair::welcomed();
    let begun_us = pair.now_us;
    for beat in 1..=3 {
        pair.tick();
        assert_eq!(pair.now_us, begun_us + beat * 60 * SECOND_US);
        assert_eq!(pair.said(), [Said::Ping]);
        pair.tell(&Frame::Pong(Ping { token: 0 }));
    }
    assert_eq!(pair.events(), []);
}

#[test]
fn a_silent_gateway_is_left_after_one_and_a_half_intervals_and_ten_seconds() {
    let mut pair = Pair::welcomed();
    let begun_us = pair.now_us;
    pair.tick();
    assert_eq!(pair.said(), [Said::Ping]);
    pair.tick();
    assert_eq!(pair.now_us, begun_us + 100 * SECOND_US);
    assert_eq!(pair.events(), [Event::Disconnect { code: None }]);
}

#[test]
fn a_process_that_was_stopped_asks_before_it_gives_up() {
    let mut pair = Pair::welcomed();
    pair.now_us += 3600 * SECOND_US;
    pair.tick();
    assert_eq!(pair.said(), [Said::Ping]);
    assert!(pair.client.is_welcomed());
    let asked_us = pair.now_us;
    pair.tick();
    assert_eq!(pair.now_us, asked_us + 10 * SECOND_US);
    assert!(!pair.client.is_welcomed());
}

#[test]
fn who_sends_and_hears_nothing_pings_too() {
    let mut pair = Pair::welcomed();
    let begun_us = pair.now_us;
    for _ in 0..50 {
        pair.now_us += SECOND_US;
        pair.client.send_ephemeral(crate::pair::name("bob"), 1, wire::frame::SendFlags(0), b"hi").unwrap();
    }
    pair.said();
    pair.tick();
    assert_eq!(pair.now_us, begun_us + 60 * SECOND_US);
    assert_eq!(pair.said(), [Said::Ping]);
}

#[test]
fn a_replaced_client_does_not_come_back_by_itself() {
    let mut pair = Pair::welcomed();
    pair.go_away(Code::Replaced);
    assert_eq!(pair.events(), [disconnect(Code::Replaced), ended(Code::Replaced)]);
    assert_eq!((pair.client.connect_at(), pair.client.next_deadline()), (None, None));
    pair.client.restart(pair.now_us);
    assert_eq!(pair.client.connect_at(), Some(pair.now_us));
}

#[test]
fn every_code_leads_where_its_row_in_the_table_says() {
    for code in Code::ALL.iter().copied() {
        let mut pair = Pair::welcomed();
        pair.go_away(code);
        let is_ended = pair.events().contains(&ended(code));
        // A session whose login became void (the password was changed elsewhere): what the client has may be good or not.
        let should_end = code.retry() == wire::code::Retry::Never && code != Code::CredentialExpired;
        assert_eq!(is_ended, should_end, "{code:?}");
        assert_eq!(pair.client.connect_at().is_none(), should_end, "{code:?}");
    }
}

#[test]
fn a_drained_client_comes_back_at_some_moment_in_its_slot() {
    let mut moments = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let mut pair = Pair::welcomed().restarted(seed);
        pair.login(1);
        pair.tell(&Frame::GoAway(GoAway { slot_start_ms: 2_000, slot_len_ms: 10_000, ..GoAway::of(Code::Draining) }));
        let wait_us = pair.client.connect_at().unwrap() - pair.now_us;
        assert!((2_000_000..=12_000_000).contains(&wait_us));
        moments.insert(wait_us);
    }
    assert!(moments.len() > 40, "spread, not all at once");
}

#[test]
fn a_goaway_of_a_later_version_is_followed_by_a_return_with_back_off() {
    let mut pair = Pair::welcomed();
    pair.tell(&Frame::GoAway(GoAway { code: 60_000, ..GoAway::of(Code::Internal) }));
    assert_eq!(pair.events(), [Event::Disconnect { code: Some(60_000) }]);
    assert!(pair.client.connect_at() > Some(pair.now_us));
}

#[test]
fn a_broken_frame_ends_the_connection_and_what_follows_it_is_ignored() {
    let mut pair = Pair::welcomed();
    let mut bytes = vec![1, 0, 0, wire::frame_type::DELIVER, 0];
    let deliver = delivery("bob", "alice", 10, 1, 1, "hi");
    wire::encode(&Frame::Deliver(deliver), &mut bytes);
    pair.client.on_bytes(pair.now_us, &bytes);
    pair.deliver(11, 1, 2, "after");
    assert_eq!(pair.events(), [disconnect(Code::Malformed)]);
    assert_eq!(pair.said(), []);
    assert!(pair.client.connect_at() > Some(pair.now_us));
    pair.lose_connection();
    assert_eq!(pair.events(), [], "the transport's own word comes late and changes nothing");
}

#[test]
fn frames_out_of_state_end_the_connection() {
    let mut early = Pair::new();
    early.connect();
    early.deliver(10, 1, 1, "before WELCOME");
    let mut twice = Pair::welcomed();
    twice.welcome(1, 1, Id(0));
    let mut client_frame = Pair::welcomed();
    client_frame.tell(&Frame::Ping(Ping { token: 1 }));
    for mut pair in [early, twice, client_frame] {
        assert_eq!(pair.events(), [disconnect(Code::OutOfState)]);
    }
}

#[test]
fn an_unknown_frame_is_no_reason_to_part() {
    let mut pair = Pair::welcomed();
    pair.client.on_bytes(pair.now_us, &[1, 0, 0, 0x7f, 9]);
    pair.client.on_bytes(pair.now_us, &[1, 0, 0, 0x80, 9]);
    let events = pair.events();
    assert!(
        matches!(&events[..], [Event::Error { code, frame_type: 0x7f, .. }] if *code == Code::UnknownType.number()),
        "{events:?}"
    );
    assert!(pair.client.is_welcomed());
}

#[test]
fn an_error_is_told_and_the_session_stays() {
    let mut pair = Pair::welcomed();
    pair.tell(&Frame::Error(ErrorInfo {
        code: Code::BadAck.number(),
        frame_type: wire::frame_type::DELIVER_ACK,
        text: "too far",
    }));
    assert_eq!(
        pair.events(),
        [Event::Error {
            code: Code::BadAck.number(),
            frame_type: wire::frame_type::DELIVER_ACK,
            text: "too far".into()
        }]
    );
    assert!(pair.client.is_welcomed());
}

#[test]
fn logout_is_sent_and_its_answer_ends_the_client() {
    let mut pair = Pair::welcomed();
    pair.client.logout(false);
    assert_eq!(pair.said(), [Said::Logout(false)]);
    pair.go_away(Code::LoggedOut);
    assert_eq!(pair.events(), [disconnect(Code::LoggedOut), ended(Code::LoggedOut)]);
    pair.client.restart(pair.now_us);
    pair.login(1);
    assert!(pair.client.is_welcomed(), "the wish was granted and is forgotten");
    assert!(!pair.said().contains(&Said::Logout(false)));
}

#[test]
fn a_logout_while_away_is_carried_out_at_the_next_welcome_and_repeated_until_answered() {
    let mut pair = Pair::new();
    pair.client.logout(true);
    pair.login(1);
    assert_eq!(pair.said().last(), Some(&Said::Logout(true)));
    pair.events();
    let asked_us = pair.now_us;
    pair.tick();
    assert_eq!(pair.now_us, asked_us + 10 * SECOND_US);
    assert_eq!(pair.events(), [Event::Disconnect { code: None }]);
    pair.login(1);
    assert_eq!(pair.said().last(), Some(&Said::Logout(true)));
}

#[test]
fn a_device_that_was_forgotten_comes_back_as_a_new_one() {
    let mut pair = Pair::welcomed();
    pair.send("m1");
    pair.send("m2");
    pair.accept(1);
    let before = pair.client.ledger().incarnation;
    pair.client.logout(true);
    pair.go_away(Code::LoggedOut);
    assert_ne!(pair.client.ledger().incarnation, before);
    assert_eq!(pair.client.device_no(), None);
    pair.said();
    pair.client.restart(pair.now_us);
    pair.connect();
    assert!(matches!(pair.said().as_slice(), [Said::Hello { lowest: 1, highest: 0, .. }]));
}

fn welcome_with_ticket(pair: &mut Pair, ticket: &[u8]) {
    pair.tell(&Frame::Welcome(Welcome {
        version: limits::VERSION,
        features: 0,
        device_no: DeviceNo(1),
        boot: 1,
        head: Id(0),
        oldest: Id::NONE,
        heartbeat_s: 60,
        payload_len_max: 64 * 1024,
        in_flight_max: 64,
        stored_is_synced: true,
        ticket,
        server_time_us: 0,
        store: &[],
    }));
}

/// The credential in the HELLO that waits to be sent.
fn credential(pair: &mut Pair) -> Credential {
    let bytes = std::mem::take(pair.client.transmit());
    match wire::decode(bytes[3], &bytes[4..]) {
        Ok(Some(Frame::Hello(hello))) => match hello.credential {
            wire::frame::Credential::Token(token) => Credential::Token(token.into()),
            wire::frame::Credential::Password(password) => Credential::Password(password.into()),
            wire::frame::Credential::Ticket(ticket) => Credential::Ticket(ticket.into()),
        },
        other => panic!("not a HELLO: {other:?}"),
    }
}

#[test]
fn a_ticket_is_used_once_and_a_refused_one_gives_way_to_the_credential() {
    let mut pair = Pair::new();
    pair.connect();
    assert_eq!(credential(&mut pair), Credential::Token("token".into()));
    welcome_with_ticket(&mut pair, b"ticket");
    pair.lose_connection();
    pair.connect();
    assert_eq!(credential(&mut pair), Credential::Ticket(b"ticket"[..].into()));
    pair.go_away(Code::CredentialExpired);
    pair.connect();
    assert_eq!(credential(&mut pair), Credential::Token("token".into()));
    pair.go_away(Code::CredentialExpired);
    assert!(pair.events().contains(&ended(Code::CredentialExpired)));
    pair.client.set_credential(Credential::Token("fresh".into()));
    pair.client.restart(pair.now_us);
    pair.connect();
    assert_eq!(credential(&mut pair), Credential::Token("fresh".into()));
}
