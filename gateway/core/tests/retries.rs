//! Orders of events that once broke a promise, each as short as it can be told.

mod house;

use std::collections::BTreeMap;

use gateway_core::envelope::{Outcome, UserRef};
use gateway_core::{Envelope, Input, ShardIndex, UnknownRecipients, home};
use house::{House, KEY, bodies};
use wire::Code;

#[test]
fn a_device_that_is_behind_is_not_handed_what_it_wrote_itself() {
    let mut house = House::new();
    let (phone, bob) = (house.hello(0, "alice", "phone", 1), house.hello(1, "bob", "phone", 100));
    let laptop = house.hello(2, "alice", "laptop", 100);
    house.send(bob, 1, "alice", "m1");
    house.send(bob, 2, "alice", "m2");
    let seen = house.seen(phone);
    assert_eq!(bodies(&seen), ["m1"], "its credit is used: it is behind now");
    house.send(phone, 1, "bob", "own");
    assert!(bodies(&house.seen(phone)).is_empty());
    assert_eq!(bodies(&house.seen(laptop)), ["m1", "m2", "own"]);
    house.confirm(phone, &seen);
    assert_eq!(bodies(&house.seen(phone)), ["m2"], "nothing was jumped over");
}

#[test]
fn a_device_that_left_before_its_copy_was_made_harms_nobody() {
    let mut house = House::new();
    let (phone, laptop) = (house.hello(0, "alice", "phone", 1), house.hello(2, "alice", "laptop", 100));
    let bob = house.hello(1, "bob", "phone", 100);
    house.send(phone, 1, "bob", "hi");
    house.input(Input::Closed { conn: phone });
    let seen = house.seen(bob);
    house.confirm(bob, &seen);
    assert_eq!(bodies(&house.seen(laptop)), ["hi"]);
}

#[test]
fn a_message_found_after_a_crash_stays_known_while_another_crash_could_bring_it_back() {
    let mut house = House::new();
    let bob = house.hello(1, "bob", "phone", 100);
    let alice = house.hello(0, "alice", "phone", 100);
    house.input(Input::Closed { conn: alice });
    house.send(bob, 1, "alice", "m1");

    let mut house = House::on(house.disk, 2_000_000_000);
    let alice = house.hello(0, "alice", "phone", 100);
    let seen = house.seen(alice);
    assert_eq!(bodies(&seen), ["m1"]);
    // Confirmed, and no record of that is on the disk yet.
    house.confirm(alice, &seen);
    let bob = house.hello_after(1, "bob", "phone", 100, 1);
    house.seen(bob);
    house.send(bob, 1, "alice", "m1");
    assert_eq!(house.seen(bob), ["SEND_ACK 1 stored"]);
    assert!(bodies(&house.seen(alice)).is_empty(), "it has one place, on every device and for ever");
}

#[test]
fn a_retry_makes_no_copy_of_what_may_yet_be_refused() {
    let mut house = House::configured(BTreeMap::new(), 1_000_000_000, |config| config.shard_count = 2);
    let name_at =
        |shard| (0..).map(|n| format!("user{n}")).find(|name| home(&KEY, 2, name) == ShardIndex(shard)).unwrap();
    let (alice, far) = (name_at(0), name_at(1));
    let (phone, laptop) = (house.hello(0, &alice, "phone", 100), house.hello(1, &alice, "laptop", 100));
    house.send(phone, 1, &far, "hi");
    let Some(Envelope::Message { origin, parcel, .. }) = house.forwarded.pop() else { panic!("it goes to its home") };
    house.input(Input::Closed { conn: phone });
    let phone = house.hello_after(2, &alice, "phone", 100, 1);
    house.send(phone, 1, &far, "hi");
    assert!(house.forwarded.is_empty(), "the retry attaches to what is on its way");
    let outcome = Outcome::Refused(Code::InboxFull);
    let envelope = Envelope::Outcome { origin, mid: parcel.mid, room: Some(parcel.size()), outcome };
    assert_eq!(origin, UserRef(0));
    house.input(Input::Envelope { from: ShardIndex(1), envelope });
    assert_eq!(house.seen(phone).last().map(String::as_str), Some("SEND_NACK 1 405"));
    assert!(bodies(&house.seen(laptop)).is_empty(), "refused: nobody is shown it");
}

#[test]
fn a_retry_of_what_is_stored_is_answered_though_the_senders_own_inbox_is_full() {
    let mut house = House::new();
    let phone = house.hello(0, "bob", "phone", 100);
    house.send(phone, 1, "alice", "m1");

    let mut house = House::configured(house.disk, 2_000_000_000, |config| config.inbox_count_max = 3);
    let (carol, laptop) = (house.hello(2, "carol", "phone", 100), house.hello(1, "bob", "laptop", 100));
    house.input(Input::Closed { conn: laptop });
    (1..=3).for_each(|counter| house.send(carol, counter, "bob", "more"));
    let phone = house.hello_after(0, "bob", "phone", 100, 1);
    house.seen(phone);
    house.send(phone, 1, "alice", "m1");
    assert_eq!(house.seen(phone).last().map(String::as_str), Some("SEND_ACK 1 stored"));
    house.send(phone, 2, "alice", "m2");
    assert_eq!(house.seen(phone).last().map(String::as_str), Some("SEND_NACK 2 405"), "what is new is refused");
}

#[test]
fn a_retry_of_what_is_stored_is_answered_though_nobody_of_that_name_has_registered() {
    let mut house = House::new();
    let bob = house.hello(0, "bob", "phone", 100);
    house.send(bob, 1, "alice", "m1");

    let refuse = UnknownRecipients::Refuse;
    let mut house = House::configured(house.disk, 2_000_000_000, |config| config.unknown_recipients = refuse);
    let bob = house.hello_after(0, "bob", "phone", 100, 1);
    house.seen(bob);
    house.send(bob, 1, "alice", "m1");
    assert_eq!(house.seen(bob), ["SEND_ACK 1 stored"]);
    house.send(bob, 2, "stranger", "m2");
    assert_eq!(house.seen(bob), ["SEND_NACK 2 400"]);
}
