//! What is queued is offered, in order, until it is resolved.

use shardwire_sdk::{Client, Event, SendError};
use wire::frame::{SafeBy, SendFlags};
use wire::{Code, Counter, Id, Incarnation};

use crate::pair::{Pair, Said, config, name, sends};

fn accepted(counter: u64) -> Event {
    Event::Accepted { counter: Counter(counter), safe_by: SafeBy::Stored, self_id: Id::NONE }
}

fn refused(counter: u64, code: Code, known: bool) -> Event {
    Event::Refused { counter: Counter(counter), code: code.number(), known }
}

fn hello(pair: &mut Pair) -> (Incarnation, u64, u64) {
    match pair.said().as_slice() {
        [Said::Hello { incarnation, lowest, highest, .. }] => (*incarnation, *lowest, *highest),
        said => panic!("not a HELLO alone: {said:?}"),
    }
}

#[test]
fn a_message_is_numbered_from_one_and_sent_at_once() {
    let mut pair = Pair::welcomed();
    assert_eq!(pair.send("m1"), 1);
    assert_eq!(pair.send("m2"), 2);
    assert_eq!(pair.said(), sends(1..=2, 1));
    pair.accept(1);
    assert_eq!(pair.events(), [accepted(1)]);
    assert_eq!(pair.client.unresolved_count(), 1);
}

#[test]
fn what_was_queued_before_the_first_connection_follows_welcome() {
    let mut pair = Pair::new();
    pair.send("m1");
    pair.connect();
    let (_, lowest, highest) = hello(&mut pair);
    assert_eq!((lowest, highest), (1, 0));
    pair.welcome(1, 1, Id(0));
    assert_eq!(pair.said(), sends([1], 1));
}

#[test]
fn the_sixty_fifth_waits_until_the_lowest_is_resolved() {
    let mut pair = Pair::welcomed();
    for counter in 1..=66 {
        pair.send(&format!("m{counter}"));
    }
    assert_eq!(pair.said(), sends(1..=64, 1));
    pair.accept(2);
    assert_eq!(pair.said(), [], "the lowest is still 1");
    pair.accept(1);
    assert_eq!(pair.said(), sends(65..=66, 3));
}

#[test]
fn everything_unresolved_is_sent_again_in_order_before_what_is_new() {
    let mut pair = Pair::welcomed();
    for counter in 1..=4 {
        pair.send(&format!("m{counter}"));
    }
    pair.accept(2);
    pair.lose_connection();
    pair.send("m5");
    pair.said();
    pair.connect();
    let (_, lowest, highest) = hello(&mut pair);
    assert_eq!((lowest, highest), (1, 4));
    pair.welcome(1, 1, Id(0));
    assert_eq!(pair.said(), sends([1, 3, 4, 5], 1));
}

#[test]
fn hello_names_the_next_number_as_lowest_when_all_are_resolved() {
    let mut pair = Pair::welcomed();
    pair.send("m1");
    pair.accept(1);
    pair.lose_connection();
    pair.connect();
    let (_, lowest, highest) = hello(&mut pair);
    assert_eq!((lowest, highest), (2, 1));
}

#[test]
fn a_restarted_process_goes_on_with_its_numbers_and_its_incarnation() {
    let mut pair = Pair::new();
    pair.connect();
    let (incarnation, ..) = hello(&mut pair);
    pair.welcome(1, 1, Id(0));
    pair.send("m1");
    pair.send("m2");
    pair.accept(1);
    let mut pair = pair.restarted(7);
    pair.connect();
    assert_eq!(hello(&mut pair), (incarnation, 2, 2));
    pair.welcome(1, 1, Id(0));
    assert_eq!(pair.said(), sends([2], 2));
    assert_eq!(pair.send("m3"), 3);
}

#[test]
fn an_outcome_that_comes_twice_is_told_once() {
    let mut pair = Pair::welcomed();
    pair.send("m1");
    pair.accept(1);
    pair.accept(1);
    pair.refuse(1, Code::Blocked);
    assert_eq!(pair.events(), [accepted(1)]);
}

#[test]
fn an_outcome_of_what_was_never_offered_changes_nothing() {
    let mut pair = Pair::welcomed();
    for counter in 1..=65 {
        pair.send(&format!("m{counter}"));
    }
    pair.accept(65);
    pair.refuse(65, Code::Blocked);
    pair.refuse(1000, Code::Blocked);
    assert_eq!(pair.events(), []);
    assert_eq!(pair.client.unresolved_count(), 65);
}

#[test]
fn a_refusal_in_the_boot_of_the_first_offer_is_known() {
    let mut pair = Pair::welcomed();
    pair.send("m1");
    pair.lose_connection();
    pair.login(1);
    pair.events();
    pair.refuse(1, Code::Blocked);
    assert_eq!(pair.events(), [refused(1, Code::Blocked, true)]);
    assert_eq!(pair.client.unresolved_count(), 0);
}

#[test]
fn a_refusal_after_a_restart_of_the_gateway_is_not_known_and_nothing_is_offered_again() {
    let mut pair = Pair::welcomed();
    pair.send("m1");
    pair.lose_connection();
    pair.send("m2");
    pair.login(2);
    pair.events();
    pair.said();
    pair.refuse(1, Code::Blocked);
    pair.refuse(2, Code::Blocked);
    assert_eq!(pair.events(), [refused(1, Code::Blocked, false), refused(2, Code::Blocked, true)]);
    assert_eq!(pair.said(), []);
}

#[test]
fn the_boot_of_the_first_offer_outlives_the_process() {
    let mut pair = Pair::welcomed();
    pair.send("m1");
    let mut pair = pair.restarted(7);
    pair.login(2);
    pair.events();
    pair.refuse(1, Code::Blocked);
    assert_eq!(pair.events(), [refused(1, Code::Blocked, false)]);
}

#[test]
fn under_another_device_number_what_is_unresolved_is_offered_again() {
    let mut pair = Pair::welcomed();
    pair.send("m1");
    pair.send("m2");
    pair.accept(1);
    pair.lose_connection();
    pair.connect();
    pair.said();
    pair.welcome(1, 9, Id(0));
    assert_eq!(pair.said(), [Said::Send { device_no: 9, counter: 2, span: 0, body: "m2".into() }]);
    pair.events();
    pair.refuse(2, Code::Blocked);
    assert_eq!(
        pair.events(),
        [refused(2, Code::Blocked, false)],
        "it may have arrived under the other number, whatever the boot"
    );
}

#[test]
fn a_new_incarnation_numbers_what_is_unresolved_from_one_and_says_so() {
    let mut pair = Pair::new();
    pair.connect();
    let (before, ..) = hello(&mut pair);
    pair.welcome(1, 1, Id(0));
    for counter in 1..=4 {
        pair.send(&format!("m{counter}"));
    }
    pair.accept(1);
    pair.accept(3);
    pair.lose_connection();
    pair.connect();
    pair.events();
    pair.said();
    pair.go_away(Code::NewIncarnation);
    assert_eq!(
        pair.events(),
        [
            Event::Renumbered { old: Counter(2), new: Counter(1) },
            Event::Renumbered { old: Counter(4), new: Counter(2) },
            Event::Disconnect { code: Some(Code::NewIncarnation.number()) }
        ]
    );
    pair.connect();
    let (after, lowest, highest) = hello(&mut pair);
    assert_ne!(before, after);
    assert_eq!((lowest, highest), (1, 0));
    pair.welcome(1, 2, Id(0));
    let bodies: Vec<_> = pair.said().into_iter().collect();
    assert_eq!(
        bodies,
        [(1, "m2"), (2, "m4")].map(|(counter, body)| Said::Send {
            device_no: 2,
            counter,
            span: (counter - 1) as u8,
            body: body.into()
        })
    );
    pair.events();
    pair.refuse(1, Code::Blocked);
    assert_eq!(pair.events(), [refused(1, Code::Blocked, false)]);
    assert_eq!(pair.send("m5"), 3);
}

#[test]
fn the_outbox_refuses_what_goes_over_its_bound_and_takes_it_when_there_is_room() {
    let mut config = config();
    config.outbox_len_max = 1_000;
    let mut pair = Pair::welcomed();
    pair.client = Client::new(config, shardwire_sdk::MemoryStore::default(), 1).unwrap();
    pair.login(1);
    let body = [b'x'; 500];
    let send = |pair: &mut Pair| {
        let now_us = pair.now_us;
        pair.client.send(now_us, name("bob"), 1, SendFlags(0), &body)
    };
    assert_eq!(send(&mut pair), Ok(Counter(1)));
    assert_eq!(send(&mut pair), Err(SendError::OutboxFull));
    pair.accept(1);
    assert_eq!(send(&mut pair), Ok(Counter(2)), "no number is lost");
}

#[test]
fn a_body_that_fits_no_frame_is_refused_before_it_is_queued() {
    let mut pair = Pair::welcomed();
    let max = 64 * 1024 - 152;
    let mut send = |len: usize| {
        let now_us = pair.now_us;
        pair.client.send(now_us, name("bob"), 1, SendFlags(0), &vec![0; len])
    };
    assert_eq!(send(max), Ok(Counter(1)));
    assert_eq!(send(max + 1), Err(SendError::TooLarge { len: max + 1, max }));
    assert_eq!(pair.client.unresolved_count(), 1);
}

#[test]
fn an_ephemeral_message_goes_out_only_in_a_session_and_takes_no_number() {
    let mut pair = Pair::new();
    let ephemeral = |pair: &mut Pair| pair.client.send_ephemeral(name("bob"), 1, SendFlags(0), b"now");
    assert_eq!(ephemeral(&mut pair), Err(SendError::NotWelcomed));
    pair.login(1);
    pair.said();
    assert_eq!(ephemeral(&mut pair), Ok(()));
    assert_eq!(pair.said(), [Said::Ephemeral("now".into())]);
    assert_eq!(pair.send("m1"), 1);
}

#[test]
fn an_ephemeral_message_is_dropped_when_the_transport_is_behind() {
    let mut pair = Pair::welcomed();
    let body = "x".repeat(60_000);
    pair.send(&body);
    pair.send(&body);
    let sent = pair.client.send_ephemeral(name("bob"), 1, SendFlags(0), b"now");
    assert_eq!(sent, Err(SendError::Behind));
}
