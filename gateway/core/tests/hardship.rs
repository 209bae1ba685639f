//! A shard whose disk fails, fills or stops: what is online goes on, what must be stored is refused, nothing hangs.

mod house;

use std::collections::BTreeMap;

use gateway_core::{ConnId, Input};
use house::{House, bodies};
use storage::{DiskDone, DiskError, DiskOpKind};
use wire::Frame;
use wire::frame::Logout;

/// Breaks the disk until the log gives up: a message to a stranger has to be stored, and two writes in a row fail.
fn make_read_only(house: &mut House, sender: ConnId, counter: u64) {
    house.is_disk_broken = true;
    house.send(sender, counter, "stranger", "x");
    house.pass(1_000);
    assert!(house.notices.iter().any(|notice| notice.contains("ReadOnly")), "{:?}", house.notices);
}

fn outcomes(seen: &[String]) -> Vec<&str> {
    seen.iter().map(String::as_str).filter(|line| line.starts_with("SEND_")).collect()
}

#[test]
fn what_is_refused_behind_a_batch_in_flight_leaves_that_batch_alone() {
    let mut house = House::new();
    let alice = house.hello(0, "alice", "phone", 100);
    let body = "x".repeat(8_000);
    (1..=5).for_each(|counter| house.send(alice, counter, "bob", &body));
    house.seen(alice);
    // One in flight, and three behind it that do not fit into the segment.
    house.is_disk_stopped = true;
    (6..=9).for_each(|counter| house.send(alice, counter, "bob", &body));
    house.is_disk_stopped = false;
    for op in std::mem::take(&mut house.waiting) {
        if let DiskOpKind::Create { .. } = op.kind {
            house.input(Input::Disk(DiskDone { id: op.id, result: Err(DiskError::NoSpace) }));
        } else {
            house.disk(op);
        }
    }
    (0..50).for_each(|_| house.pass(500_000));
    let seen = house.seen(alice);
    let stored: usize = seen.iter().map(|line| line.matches("stored").count()).sum();
    assert_eq!(stored, 4, "each is acknowledged once: {seen:?}");
    let bob = house.hello(1, "bob", "phone", 100);
    assert_eq!(bodies(&house.seen(bob)).len(), 9);
}

#[test]
fn who_takes_a_handshake_byte_by_byte_has_no_longer_to_say_hello() {
    let mut house = House::new();
    let conn = ConnId { index: 0, generation: 0 };
    house.input(Input::Opened { conn });
    for left in (1..=10).rev() {
        house.pass(1_000_000);
        house.input(Input::Blocked { conn });
        house.input(Input::Sent { conn, left });
    }
    assert_eq!(house.seen(conn).len(), 0);
    house.pass(1_000_000);
    let seen = house.seen(conn);
    assert_eq!(seen, ["GOAWAY 106", "closed"]);
}

#[test]
fn a_drain_ends_though_nothing_can_be_stored() {
    let mut house = House::new();
    let (alice, _bob) = (house.hello(0, "alice", "phone", 100), house.hello(1, "bob", "phone", 100));
    let carol = house.hello(2, "carol", "phone", 100);
    make_read_only(&mut house, carol, 1);
    house.send(alice, 1, "bob", "hi");
    house.input(Input::Drain);
    (0..10).for_each(|_| house.pass(1_000_000));
    assert!(house.is_drained);
    assert!(outcomes(&house.seen(alice)).is_empty(), "not safe, so not acknowledged");
}

#[test]
fn one_silent_reader_stops_nobody_when_nothing_can_be_stored() {
    let mut house = House::with(BTreeMap::new(), 1_000_000_000, 10);
    let (alice, bob) = (house.hello(0, "alice", "phone", 100), house.hello(1, "bob", "phone", 100));
    let (carol, dave) = (house.hello(2, "carol", "phone", 100), house.hello(3, "dave", "phone", 100));
    make_read_only(&mut house, carol, 1);
    (1..=10).for_each(|counter| house.send(alice, counter, "bob", "hi"));
    house.input(Input::Closed { conn: bob });
    house.seen(dave);
    house.send(carol, 2, "dave", "hello");
    assert_eq!(bodies(&house.seen(dave)), ["hello"]);
}

#[test]
fn a_message_whose_copy_cannot_be_stored_is_refused_before_anybody_sees_it() {
    let mut house = House::new();
    let (alice, laptop) = (house.hello(0, "alice", "phone", 100), house.hello(1, "alice", "laptop", 100));
    let (bob, carol) = (house.hello(2, "bob", "phone", 100), house.hello(3, "carol", "phone", 100));
    house.input(Input::Closed { conn: laptop });
    make_read_only(&mut house, carol, 1);
    house.seen(alice);
    house.send(alice, 1, "bob", "hi");
    assert_eq!(outcomes(&house.seen(alice)), ["SEND_NACK 1 404"]);
    assert_eq!(house.seen(bob), ["WELCOME 1"]);
}

#[test]
fn a_number_is_not_given_again_though_its_device_was_forgotten_on_a_broken_disk() {
    let mut house = House::new();
    let bob = house.hello(0, "bob", "phone", 1000);
    house.input(Input::Closed { conn: bob });
    let alice = house.hello(1, "alice", "phone", 1000);
    // The first segment, and some of the second.
    (1..=12).for_each(|counter| house.send(alice, counter, "bob", &"x".repeat(8_000)));
    let carol = house.hello(2, "carol", "phone", 1000);
    let bob = house.hello(0, "bob", "phone", 1000);
    let seen = house.seen(bob);
    make_read_only(&mut house, carol, 1);
    house.confirm(bob, &seen);
    house.frame(bob, Frame::Logout(Logout { forget: true }));
    house.pass(1_000);
    let mut house = House::on(house.disk, 9_000_000_000);
    let tablet = house.hello(7, "bob", "tablet", 1000);
    assert_eq!(house.seen(tablet).first().map(String::as_str), Some("WELCOME 2"));
}

#[test]
fn what_could_be_read_is_delivered_and_the_rest_is_reported() {
    let mut house = House::new();
    let alice = house.hello(1, "alice", "phone", 1000);
    for body in ["m1-marker", "m2-marker", "m3-marker"] {
        let counter = body[1..2].parse().unwrap();
        house.send(alice, counter, "bob", body);
    }
    for bytes in house.disk.values_mut() {
        if let Some(at) = bytes.windows(9).position(|window| window == b"m2-marker") {
            bytes[at] = b'X';
        }
    }
    let bob = house.hello(0, "bob", "phone", 1000);
    let seen = house.seen(bob);
    assert!(bodies(&seen).starts_with(&["m1-marker"]), "{seen:?}");
    assert!(!bodies(&seen).iter().any(|body| body.contains("2-marker")), "damage is never served: {seen:?}");
    assert!(
        house.notices.iter().any(|notice| notice.contains("Damage") || notice.contains("ReadFailed")),
        "{:?}",
        house.notices
    );
}

#[test]
fn a_refused_message_makes_nobody_known() {
    let mut house = House::new();
    let carol = house.hello(2, "carol", "phone", 100);
    make_read_only(&mut house, carol, 1);
    house.send(carol, 2, "nobody.at.all", "x");
    assert_eq!(outcomes(&house.seen(carol)), ["SEND_NACK 2 404"]);
    assert!(!format!("{:?}", house.shard).contains("nobody.at.all"));
}

#[test]
fn a_login_that_is_not_checked_in_time_is_told_to_come_back() {
    let mut house = House::new();
    house.is_verifier_stopped = true;
    house.hello(0, "alice", "phone", 100);
    let conn = ConnId { index: 0, generation: 0 };
    house.pass(9_000_000);
    assert!(house.seen(conn).is_empty());
    house.pass(2_500_000);
    assert_eq!(house.seen(conn), ["GOAWAY 304", "closed"]);
    house.input(Input::Authenticated { conn, verdict: Ok(gateway_core::Grant::default()) });
    assert!(house.seen(conn).is_empty(), "too late, and harmless");
}
