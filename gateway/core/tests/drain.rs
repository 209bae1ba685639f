//! Who is told to come back when, at the end of a drain.

mod house;

use std::collections::BTreeMap;

use gateway_core::{ConnId, Input, ShardIndex};
use house::{House, KEY};

/// The slots in which the people of shard `shard` of `shard_count` come back, 10 s in all that begin 2 s after the end.
fn slots_after_drain(shard: u16, shard_count: u16, people: usize, slot_len_ms: u32) -> Vec<(u32, u32)> {
    let mut house = House::configured(BTreeMap::new(), 1_000_000_000, |config| {
        config.shard = ShardIndex(shard);
        config.shard_count = shard_count;
        config.drain_slot_len_ms = slot_len_ms;
    });
    let at_home = |name: &String| gateway_core::home(&KEY, shard_count, name) == ShardIndex(shard);
    let names: Vec<String> = (0..).map(|n| format!("person{n}")).filter(at_home).take(people).collect();
    for (index, name) in (0..).zip(&names) {
        house.hello(index, name, "phone", 100);
    }
    house.input(Input::Drain);
    (0..5).for_each(|_| house.pass(10_000));
    assert!(house.is_drained);
    house.slots
}

#[test]
fn drained_sessions_come_back_one_after_the_other_over_all_shards() {
    let mut slots: Vec<_> = (0..2).flat_map(|shard| slots_after_drain(shard, 2, 50, 10_000)).collect();
    slots.sort_unstable();
    let starts: Vec<u32> = slots.iter().map(|(start_ms, _)| *start_ms).collect();
    assert!(starts.into_iter().eq((0..100).map(|n| 2_000 + n * 100)), "{slots:?}");
    assert!(slots.iter().all(|(_, len_ms)| *len_ms <= 200), "a piece each: {slots:?}");
    assert!(slots.iter().all(|(start_ms, len_ms)| start_ms + len_ms <= 12_000), "{slots:?}");
}

#[test]
fn a_slot_is_cut_as_fine_as_it_goes_and_none_begins_behind_it() {
    assert_eq!(slots_after_drain(0, 1, 1, 10_000), [(2_000, 10_000)]);
    assert!(
        slots_after_drain(0, 1, 50, 7)
            .iter()
            .all(|(start_ms, len_ms)| (2_000..2_007).contains(start_ms) && *len_ms == 1)
    );
    assert_eq!(slots_after_drain(0, 1, 3, 0), [(2_000, 0); 3]);
}

#[test]
fn who_has_not_logged_in_when_the_gateway_drains_is_told_to_come_back() {
    let mut house = House::new();
    let opened = ConnId { index: 0, generation: 0 };
    house.input(Input::Opened { conn: opened });
    house.is_verifier_stopped = true;
    let unproven = house.hello(1, "alice", "phone", 100);
    house.input(Input::Drain);
    house.pass(10_000);
    assert!(house.is_drained);
    let late = house.hello(2, "bob", "phone", 100);
    for conn in [opened, unproven, late] {
        assert_eq!(house.seen(conn), ["GOAWAY 303", "closed"], "{conn:?}");
    }
    assert_eq!(house.slots, [(2_000, 5_000), (7_000, 5_000), (2_000, 10_000)]);
}

#[test]
fn a_drain_that_waits_for_its_disk_says_so() {
    let mut house = House::new();
    let (alice, _bob) = (house.hello(0, "alice", "phone", 100), house.hello(1, "bob", "phone", 100));
    house.send(alice, 1, "bob", "hi");
    house.is_disk_stopped = true;
    house.input(Input::Drain);
    house.pass(10_000);
    let left = house.shard.drain_left().expect("nothing is stored yet");
    assert!(left.record_count == 1 && left.is_disk_busy, "{left}");
    house.resume_disk();
    (0..5).for_each(|_| house.pass(10_000));
    assert!(house.is_drained && house.shard.drain_left().is_none());
}
