//! The walk of `docs/architecture.md` through one shard, with a disk that does everything at once. What many shards,
//! crashes and hostile timing do is the simulation's, in the package `gateway-tests`.

mod house;

use gateway_core::Input;
use house::{House, bodies};
use wire::Frame;
use wire::frame::{Logout, Ping};

#[test]
fn two_who_are_online_chat_without_the_disk() {
    let mut house = House::new();
    let (alice, bob) = (house.hello(0, "alice", "phone", 100), house.hello(1, "bob", "phone", 100));
    assert_eq!((house.seen(alice), house.seen(bob)), (vec!["WELCOME 1".into()], vec!["WELCOME 1".into()]));
    house.is_disk_stopped = true;
    house.send(alice, 1, "bob", "hi");
    let seen = house.seen(bob);
    assert_eq!(bodies(&seen), ["hi"]);
    assert!(house.seen(alice).is_empty(), "not safe before bob confirmed it");
    house.confirm(bob, &seen);
    assert_eq!(house.seen(alice), ["SEND_ACK 1 received"]);
}

#[test]
fn what_comes_while_away_is_stored_and_survives_a_restart() {
    let mut house = House::new();
    let (alice, bob) = (house.hello(0, "alice", "phone", 100), house.hello(1, "bob", "phone", 100));
    house.frame(bob, Frame::Logout(Logout { forget: false }));
    assert_eq!(house.seen(bob), ["WELCOME 1", "GOAWAY 301", "closed"]);
    house.seen(alice);
    house.is_disk_stopped = true;
    for counter in 1..=3 {
        house.send(alice, counter, "bob", &format!("m{counter}"));
    }
    assert!(house.seen(alice).is_empty(), "nothing is acknowledged before it is durable");
    house.resume_disk();
    let acks = house.seen(alice).join(" ");
    assert_eq!(acks.matches("stored").count(), 3, "{acks}");

    let mut house = House::on(house.disk, 5);
    let bob = house.hello(1, "bob", "phone", 2);
    let seen = house.seen(bob);
    assert_eq!((seen[0].as_str(), bodies(&seen)), ("WELCOME 1", vec!["m1", "m2"]), "as far as credit goes");
    house.confirm(bob, &seen);
    let seen = house.seen(bob);
    assert_eq!(bodies(&seen), ["m3"]);
    house.confirm(bob, &seen);
    let alice = house.hello(0, "alice", "phone", 100);
    house.seen(alice);
    for (counter, body) in [(1, "m1"), (2, "m2"), (3, "m3"), (4, "new")] {
        house.send(alice, counter, "bob", body);
    }
    assert_eq!(house.seen(alice).join(" ").matches("stored").count(), 3, "what an earlier run stored is answered");
    let seen = house.seen(bob);
    assert_eq!(bodies(&seen), ["new"], "live again, and nothing twice");
    assert!(seen.iter().all(|line| !line.starts_with("DELIVER 5 ")), "ids go on above the reservation: {seen:?}");
}

#[test]
fn a_stored_message_is_not_stored_again_when_its_sender_retries() {
    let mut house = House::new();
    let alice = house.hello(0, "alice", "phone", 100);
    house.send(alice, 1, "bob", "m1");
    assert_eq!(house.seen(alice).last().map(String::as_str), Some("SEND_ACK 1 stored"));

    let mut house = House::on(house.disk, 2_000_000_000);
    let alice = house.hello(0, "alice", "phone", 100);
    house.send(alice, 1, "bob", "m1");
    assert_eq!(house.seen(alice).last().map(String::as_str), Some("SEND_ACK 1 stored"));
    let bob = house.hello(1, "bob", "phone", 100);
    assert_eq!(bodies(&house.seen(bob)), ["m1"]);
}

#[test]
fn an_unconfirmed_entry_goes_to_the_log_after_a_while() {
    let mut house = House::new();
    let (alice, bob) = (house.hello(0, "alice", "phone", 100), house.hello(1, "bob", "phone", 100));
    house.send(alice, 1, "bob", "hi");
    house.seen(alice);
    house.pass(249_000);
    assert!(house.seen(alice).is_empty());
    house.pass(2_000);
    assert_eq!(house.seen(alice), ["SEND_ACK 1 stored"]);
    assert_eq!(bodies(&house.seen(bob)), ["hi"], "once");
}

#[test]
fn own_messages_reach_the_users_other_devices_and_not_the_one_that_wrote() {
    let mut house = House::new();
    let (phone, laptop) = (house.hello(0, "alice", "phone", 100), house.hello(1, "alice", "laptop", 100));
    let bob = house.hello(2, "bob", "phone", 100);
    house.send(phone, 1, "bob", "hi");
    let (copy, seen) = (house.seen(laptop), house.seen(bob));
    assert_eq!((bodies(&copy), bodies(&seen)), (vec!["hi"], vec!["hi"]));
    house.confirm(bob, &seen);
    assert_eq!(house.seen(phone), ["WELCOME 1"], "the copy is not safe yet");
    house.confirm(laptop, &copy);
    assert_eq!(house.seen(phone), ["SEND_ACK 1 received"]);
}

#[test]
fn silence_is_noticed_and_any_frame_is_a_sign_of_life() {
    let mut house = House::new();
    let alice = house.hello(0, "alice", "phone", 100);
    house.pass(90_000_000);
    house.frame(alice, Frame::Ping(Ping { token: 5 }));
    house.pass(99_000_000);
    assert_eq!(house.seen(alice), ["WELCOME 1", "PONG 5"]);
    house.pass(3_000_000);
    assert_eq!(house.seen(alice), ["GOAWAY 107", "closed"]);
}

#[test]
fn a_newer_session_of_the_device_takes_over() {
    let mut house = House::new();
    let first = house.hello(0, "alice", "phone", 100);
    let second = house.hello(1, "alice", "phone", 100);
    assert_eq!(house.seen(first), ["WELCOME 1", "GOAWAY 300", "closed"]);
    assert_eq!(house.seen(second), ["WELCOME 1"]);
}

#[test]
fn a_drain_stores_what_is_unconfirmed_and_tells_everybody() {
    let mut house = House::new();
    let (alice, bob) = (house.hello(0, "alice", "phone", 100), house.hello(1, "bob", "phone", 100));
    house.send(alice, 1, "bob", "hi");
    house.seen(alice);
    house.input(Input::Drain);
    house.pass(10_000);
    house.pass(10_000);
    assert_eq!(house.seen(alice), ["SEND_ACK 1 stored", "GOAWAY 303", "closed"]);
    assert_eq!(house.seen(bob).last().map(String::as_str), Some("closed"));
}
