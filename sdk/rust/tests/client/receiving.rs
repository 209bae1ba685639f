//! What comes is told once, committed before it is confirmed, and confirmed in time.

use std::cell::Cell;
use std::rc::Rc;

use shardwire_sdk::{Change, Event, MemoryStore, State, Store, StoreError};
use wire::frame::Gap;
use wire::{Counter, DeviceNo, Frame, Id, Mid};

use crate::pair::{Pair, Said, delivery, name};

fn moved(counter: u64, id: u64) -> Event {
    Event::Moved { from: name("bob").into(), mid: Mid::new(DeviceNo(1), Counter(counter)), id: Id(id) }
}

#[test]
fn a_repeat_is_told_once_and_confirmed_all_the_same() {
    let mut pair = Pair::welcomed();
    pair.deliver(10, 1, 1, "hi");
    pair.deliver(10, 1, 1, "hi");
    assert_eq!(pair.messages(), ["hi"]);
    pair.tick();
    assert_eq!(pair.said(), [Said::Ack(10)]);
}

#[test]
fn a_repeat_at_a_higher_place_moves_the_message_and_is_confirmed() {
    let mut pair = Pair::welcomed();
    pair.deliver(10, 1, 1, "hi");
    pair.messages();
    pair.tick();
    pair.said();
    pair.deliver(20, 1, 1, "hi");
    assert_eq!(pair.events(), [moved(1, 20)]);
    assert_eq!(pair.client.last_id(), Id(20));
    pair.tick();
    assert_eq!(pair.said(), [Said::Ack(20)]);
}

#[test]
fn a_repeat_over_known_ground_moves_nothing() {
    let mut pair = Pair::welcomed();
    pair.deliver(10, 1, 1, "one");
    pair.deliver(11, 1, 2, "two");
    pair.events();
    pair.lose_connection();
    pair.login(1);
    pair.events();
    pair.said();
    pair.deliver(10, 1, 1, "one");
    assert_eq!(pair.events(), []);
    assert_eq!(pair.client.last_id(), Id(11));
    pair.tick();
    assert_eq!(pair.said(), [Said::Ack(10)], "no more than was delivered");
}

#[test]
fn a_message_through_a_group_does_not_hide_a_direct_one() {
    let mut pair = Pair::welcomed();
    pair.deliver_to("#all", 10, 1, 80, "group");
    pair.deliver(11, 1, 1, "direct");
    assert_eq!(pair.messages(), ["group", "direct"]);
}

#[test]
fn a_late_one_is_taken_and_its_repeat_is_not() {
    let mut pair = Pair::welcomed();
    pair.deliver(10, 1, 64, "last");
    pair.deliver(11, 1, 1, "first");
    pair.deliver(12, 1, 1, "first");
    assert_eq!(pair.messages(), ["last", "first"]);
}

#[test]
fn what_was_seen_outlives_the_process() {
    let mut pair = Pair::welcomed();
    pair.deliver(10, 1, 1, "hi");
    assert_eq!(pair.messages(), ["hi"]);
    let mut pair = pair.restarted(7);
    pair.connect();
    assert!(matches!(pair.said().as_slice(), [Said::Hello { last_id: 10, .. }]));
    pair.welcome(2, 1, Id(10));
    pair.deliver(20, 1, 1, "hi");
    assert_eq!(pair.messages(), Vec::<String>::new());
}

#[test]
fn a_message_the_application_did_not_come_back_from_is_told_again_by_the_next_process() {
    let mut pair = Pair::welcomed();
    pair.deliver(10, 1, 1, "one");
    pair.deliver(11, 1, 2, "two");
    pair.deliver(20, 1, 2, "two");
    let first = pair.client.poll_event();
    assert!(matches!(first, Some(Event::Message(message)) if message.body() == b"one"));
    let second = pair.client.poll_event();
    assert!(matches!(second, Some(Event::Message(message)) if message.id == Id(11)));
    let mut pair = pair.restarted(7);
    let again = pair.events();
    assert!(
        matches!(&again[..], [Event::Message(message)] if message.body() == b"two" && message.id == Id(20)),
        "{again:?}"
    );
    let mut pair = pair.restarted(8);
    assert_eq!(pair.events(), []);
}

#[test]
fn a_copy_of_what_another_device_sent_comes_with_the_name_of_whom_it_was_for() {
    let mut pair = Pair::welcomed();
    pair.tell(&Frame::Deliver(delivery("alice", "bob", 10, 2, 1, "mine")));
    let events = pair.events();
    let [Event::Message(message)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(message.from(), name("alice"));
    assert_eq!(message.conversation(name("alice")), name("bob"));
}

#[test]
fn a_copy_of_what_this_device_sent_is_confirmed_and_not_told() {
    let mut pair = Pair::welcomed();
    pair.tell(&Frame::Deliver(delivery("alice", "bob", 10, 1, 1, "mine")));
    assert_eq!(pair.events(), []);
    pair.tick();
    assert_eq!(pair.said(), [Said::Ack(10)]);
    assert_eq!(pair.client.last_id(), Id(10));
}

#[test]
fn ephemeral_messages_pass_as_often_as_they_come_and_are_not_confirmed() {
    let mut pair = Pair::welcomed();
    let before = pair.client.store().clone();
    for _ in 0..2 {
        pair.tell(&Frame::Deliver(delivery("bob", "alice", 0, 1, 0, "psst")));
    }
    assert_eq!(pair.messages(), ["psst", "psst"]);
    assert_eq!(pair.client.store(), &before);
    pair.tick();
    assert_eq!(pair.said(), [Said::Ping]);
}

#[test]
fn one_acknowledgement_covers_what_came_within_the_delay() {
    let mut pair = Pair::welcomed();
    let first_us = pair.now_us;
    for id in 10..13 {
        pair.deliver(id, 1, id, "hi");
        pair.now_us += 1_000;
    }
    assert_eq!(pair.said(), []);
    pair.tick();
    assert_eq!(pair.now_us, first_us + 20_000, "20 ms after the first commit");
    assert_eq!(pair.said(), [Said::Ack(12)]);
}

#[test]
fn an_acknowledgement_goes_along_with_whatever_is_sent() {
    let mut pair = Pair::welcomed();
    pair.deliver(10, 1, 1, "hi");
    pair.send("m1");
    assert!(matches!(pair.said().as_slice(), [Said::Ack(10), Said::Send { counter: 1, .. }]));
    assert!(pair.client.next_deadline() > Some(pair.now_us + 1_000_000));
}

#[test]
fn half_the_credit_in_entries_is_confirmed_at_once() {
    let mut pair = Pair::welcomed();
    for id in 10..14 {
        assert_eq!(pair.said(), []);
        pair.deliver(id, 1, id, "hi");
    }
    assert_eq!(pair.said(), [Said::Ack(13)]);
}

#[test]
fn half_the_credit_in_bytes_of_names_and_bodies_is_confirmed_at_once() {
    let mut pair = Pair::welcomed();
    pair.deliver(10, 1, 1, &"x".repeat(2048 - "bobalice".len()));
    assert_eq!(pair.said(), [Said::Ack(10)]);
}

#[test]
fn an_application_that_reads_nothing_gets_no_more_than_its_credit_confirmed() {
    let mut pair = Pair::welcomed();
    for id in 10..30 {
        pair.deliver(id, 1, id, "hi");
    }
    assert_eq!(pair.said(), [Said::Ack(13)], "the fifth to eighth wait for a reader");
    assert!(pair.client.next_deadline() > Some(pair.now_us + 1_000_000));
    assert_eq!(pair.messages().len(), 20);
    pair.tick();
    assert_eq!(pair.said(), [Said::Ack(29)]);
}

#[test]
fn a_gap_is_told_with_its_bounds_and_confirmed() {
    let mut pair = Pair::welcomed();
    pair.tell(&Frame::Gap(Gap { first: Id(3), last: Id(9), reason: 1 }));
    assert_eq!(pair.events(), [Event::Gap { first: Id(3), last: Id(9), reason: 1 }]);
    assert_eq!(pair.client.last_id(), Id(9));
    pair.tick();
    assert_eq!(pair.said(), [Said::Ack(9)]);
}

#[test]
fn a_gateway_that_lost_the_end_of_the_inbox_takes_the_last_id_back_with_it() {
    let mut pair = Pair::welcomed();
    pair.deliver(1000, 1, 1, "hi");
    pair.lose_connection();
    pair.connect();
    pair.welcome(1, 1, Id(100));
    assert_eq!(pair.client.last_id(), Id(100));
    pair.events();
    pair.deliver(101, 1, 2, "after");
    assert_eq!(pair.messages(), ["after"]);
    assert_eq!(pair.client.last_id(), Id(101));
}

/// Fails once told to.
#[derive(Clone, Default)]
struct Fragile {
    store: MemoryStore,
    is_broken: Rc<Cell<bool>>,
}

impl Store for Fragile {
    fn load(&mut self) -> Result<State, StoreError> {
        self.store.load()
    }

    fn commit(&mut self, change: &Change<'_>) -> Result<(), StoreError> {
        if self.is_broken.get() {
            return Err(StoreError::Other("no room".into()));
        }
        self.store.commit(change)
    }
}

#[test]
fn what_cannot_be_committed_is_neither_told_nor_confirmed_and_the_client_stops() {
    let store = Fragile::default();
    let mut pair = Pair::on(store.clone());
    pair.login(1);
    pair.events();
    pair.said();
    store.is_broken.set(true);
    pair.deliver(10, 1, 1, "hi");
    let failed = Event::StoreFailed(Box::new(StoreError::Other("no room".into())));
    assert_eq!(pair.events(), [failed, Event::Disconnect { code: None }]);
    assert_eq!(pair.said(), []);
    assert_eq!((pair.client.connect_at(), pair.client.next_deadline()), (None, None));
}

#[test]
fn what_cannot_be_queued_is_refused_and_the_session_goes_on() {
    let store = Fragile::default();
    let mut pair = Pair::on(store.clone());
    pair.login(1);
    pair.events();
    pair.said();
    store.is_broken.set(true);
    let flags = wire::frame::SendFlags(0);
    let sent = pair.client.send(pair.now_us, name("bob"), 1, flags, b"m1");
    assert!(sent.is_err());
    store.is_broken.set(false);
    assert_eq!(pair.send("m1"), 1);
    assert_eq!(pair.events(), []);
}

#[cfg(feature = "planted")]
#[test]
fn with_the_planted_fault_a_dropped_duplicate_is_not_acknowledged() {
    let mut pair = Pair::welcomed();
    pair.client.plant(shardwire_sdk::Fault::DropDuplicateSilently);
    pair.deliver(10, 1, 1, "hi");
    pair.tick();
    pair.said();
    pair.events();
    pair.deliver(20, 1, 1, "hi");
    assert_eq!(pair.events(), []);
    assert_eq!(pair.client.last_id(), Id(10));
    pair.tick();
    assert_eq!(pair.said(), [Said::Ping]);
}
