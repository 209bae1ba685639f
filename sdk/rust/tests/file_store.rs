//! The store in a file: what was committed is there again, however the process ended.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use shardwire_sdk::store::{FileStore, Queued, SeenKey, State, Sync};
use shardwire_sdk::{Change, Client, Config, Credential, Event, MemoryStore, Store, StoreError};
use wire::frame::{Deliver, SendFlags, Welcome};
use wire::{Counter, Device, DeviceNo, Frame, Id, Incarnation, Mid, Name};

fn name(text: &str) -> Name<'_> {
    Name::parse(text.as_bytes()).unwrap()
}

fn device(text: &str) -> Device<'_> {
    Device::parse(text.as_bytes()).unwrap()
}

struct Place {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/er/alice");
    Place { _dir: dir, path }
}

fn open(path: &Path) -> FileStore {
    FileStore::open(path, name("alice"), device("phone"), Sync::Lazy).unwrap()
}

fn load(path: &Path) -> State {
    open(path).load().unwrap()
}

fn queued(counter: u64, body: &[u8]) -> Change<'_> {
    Change::Queued(Queued {
        counter: Counter(counter),
        to: name("bob"),
        kind: 3,
        flags: SendFlags(SendFlags::URGENT),
        body,
    })
}

/// Messages that a client was given, taken from it: they cannot be made up from outside.
fn received(own: &str, deliveries: &[Deliver<'_>]) -> Vec<shardwire_sdk::Received> {
    let config = Config::new(name(own).into(), device("phone").into(), Credential::Token("t".into()));
    let mut client = Client::new(config, MemoryStore::default(), 1).unwrap();
    client.on_connected(0);
    let mut bytes = Vec::new();
    wire::encode(
        &Frame::Welcome(Welcome {
            version: 1,
            features: 0,
            device_no: DeviceNo(1),
            boot: 1,
            head: Id(1),
            oldest: Id::NONE,
            heartbeat_s: 60,
            payload_len_max: 64 * 1024,
            in_flight_max: 64,
            stored_is_synced: true,
            ticket: &[],
            server_time_us: 0,
            store: &[],
        }),
        &mut bytes,
    );
    for delivery in deliveries {
        wire::encode(&Frame::Deliver(*delivery), &mut bytes);
    }
    client.on_bytes(0, &bytes);
    std::iter::from_fn(|| client.poll_event())
        .filter_map(|event| match event {
            Event::Message(message) => Some(message),
            _ => None,
        })
        .collect()
}

fn delivery<'a>(to: &'a str, id: u64, counter: u64, body: &'a [u8]) -> Deliver<'a> {
    Deliver {
        id: Id(id),
        mid: Mid::new(DeviceNo(4), Counter(counter)),
        flags: SendFlags(0),
        kind: 7,
        from: name("bob"),
        to: name(to),
        body,
    }
}

/// One of each kind of change, and the file's length and the state after each.
fn every_change(path: &Path) -> Vec<(u64, State)> {
    let messages = received("alice", &[delivery("alice", 10, 1, b"direct"), delivery("#all", 11, 2, b"group")]);
    let key = |conversation: &'static str| SeenKey {
        from: name("bob"),
        device_no: DeviceNo(4),
        conversation: name(conversation),
    };
    let received = [0, 1].map(|index| Change::Received { message: &messages[index], key: key(["bob", "#all"][index]) });
    let changes = [
        Change::Incarnation(Incarnation(0xfeed)),
        queued(1, b"first"),
        Change::DeviceNo(DeviceNo(7)),
        queued(2, b""),
        Change::Offered { through: Counter(2), boot: 5 },
        received[0],
        received[1],
        Change::Resolved(Counter(1)),
        Change::Moved { from: name("bob"), mid: messages[1].mid, id: Id(40) },
        Change::Read,
        queued(3, b"third"),
        Change::LastId(Id(30)),
        Change::Store([3; 16]),
        Change::Ticket(Some(b"first")),
        Change::Ticket(None),
        Change::Ticket(Some(b"second")),
    ];
    let mut store = open(path);
    let mut steps = vec![(store.file_len(), store.load().unwrap())];
    for change in changes {
        store.commit(&change).unwrap();
        steps.push((store.file_len(), store.load().unwrap()));
    }
    steps
}

#[test]
fn every_kind_of_change_is_there_again() {
    let place = place();
    let steps = every_change(&place.path);
    let (_, state) = steps.last().unwrap();
    assert_eq!(&load(&place.path), state);
    let mut memory = MemoryStore::default();
    assert_ne!(&memory.load().unwrap(), state);
    let ledger = &state.ledger;
    assert_eq!(ledger.incarnation, Some(Incarnation(0xfeed)));
    assert_eq!(ledger.device_no, Some(DeviceNo(7)));
    assert_eq!((ledger.highest_sent, ledger.last_id), (Counter(2), Id(30)));
    let waiting: Vec<_> = ledger.outbox.iter().map(|w| (w.counter.0, w.boot, w.body())).collect();
    assert_eq!(waiting, [(2, 5, &b""[..]), (3, 0, b"third")]);
    let unread: Vec<_> = state.unread.iter().map(|m| (m.id.0, m.body())).collect();
    assert_eq!(unread, [(40, &b"group"[..])]);
}

#[test]
fn a_file_torn_at_any_byte_holds_everything_up_to_the_last_whole_change() {
    let place = place();
    let steps = every_change(&place.path);
    let bytes = fs::read(&place.path).unwrap();
    let head_len = steps[0].0;
    for len in head_len..=bytes.len() as u64 {
        let whole = steps.iter().rev().find(|(end, _)| *end <= len).unwrap();
        for damage in [false, true] {
            let mut torn = bytes[..usize::try_from(len).unwrap()].to_vec();
            if damage {
                torn.extend([0xff; 64]);
            }
            fs::write(&place.path, &torn).unwrap();
            assert_eq!(load(&place.path), whole.1, "torn at {len}, then garbage: {damage}");
            assert_eq!(fs::metadata(&place.path).unwrap().len(), whole.0, "the tail is cut");
        }
    }
}

#[test]
fn no_flipped_bit_is_taken_for_a_change() {
    let place = place();
    let steps = every_change(&place.path);
    let bytes = fs::read(&place.path).unwrap();
    let (start, before) = &steps[steps.len() - 2];
    for offset in usize::try_from(*start).unwrap()..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[offset] ^= 0x10;
        fs::write(&place.path, &flipped).unwrap();
        assert_eq!(&load(&place.path), before, "bit of byte {offset}");
    }
}

#[test]
fn after_a_torn_tail_the_store_goes_on() {
    let place = place();
    let steps = every_change(&place.path);
    fs::write(&place.path, &fs::read(&place.path).unwrap()[..usize::try_from(steps[2].0).unwrap() + 3]).unwrap();
    let mut store = open(&place.path);
    store.commit(&queued(2, b"again")).unwrap();
    drop(store);
    let bodies: Vec<_> = load(&place.path).ledger.outbox.iter().map(|waiting| waiting.body().to_vec()).collect();
    assert_eq!(bodies, [b"first".to_vec(), b"again".to_vec()]);
}

#[test]
fn a_file_that_has_grown_is_rewritten_and_says_the_same() {
    let place = place();
    every_change(&place.path);
    let mut store = open(&place.path);
    let body = [b'x'; 1000];
    let mut longest = 0;
    for counter in 4..2_000 {
        store.commit(&queued(counter, &body)).unwrap();
        store.commit(&Change::Resolved(Counter(counter))).unwrap();
        longest = longest.max(store.file_len());
    }
    assert!(longest < 80_000, "{longest} bytes");
    let state = store.load().unwrap();
    assert_eq!(store.file_len(), fs::metadata(&place.path).unwrap().len());
    drop(store);
    assert_eq!(load(&place.path), state);
    assert_eq!(state.ledger.outbox.count(), 2);
    let files = fs::read_dir(place.path.parent().unwrap()).unwrap().count();
    assert_eq!(files, 2, "the store and its lock");
}

#[test]
fn what_a_crash_left_of_a_rewrite_is_no_hindrance() {
    let place = place();
    let steps = every_change(&place.path);
    fs::write(place.path.with_extension("tmp"), b"half").unwrap();
    let mut store = open(&place.path);
    assert_eq!(store.load().unwrap(), steps.last().unwrap().1);
    let body = [b'x'; 50_000];
    for counter in 4..10 {
        store.commit(&queued(counter, &body)).unwrap();
        store.commit(&Change::Resolved(Counter(counter))).unwrap();
    }
    assert!(store.file_len() < 200_000);
}

#[test]
fn synced_commits_are_there_again_too() {
    let place = place();
    let mut store = FileStore::open(&place.path, name("alice"), device("phone"), Sync::Each).unwrap();
    store.commit(&Change::Incarnation(Incarnation(1))).unwrap();
    drop(store);
    assert_eq!(load(&place.path).ledger.incarnation, Some(Incarnation(1)));
}

#[test]
fn an_open_store_cannot_be_opened_again_until_it_is_closed() {
    let place = place();
    let store = open(&place.path);
    let again = FileStore::open(&place.path, name("alice"), device("phone"), Sync::Lazy);
    let path = place.path.display().to_string();
    assert_eq!(again.err(), Some(StoreError::InUse { path }));
    drop(store);
    open(&place.path);
}

#[test]
fn the_store_of_another_user_or_device_is_not_opened() {
    let place = place();
    drop(open(&place.path));
    for (user, on) in [("bob", "phone"), ("alice", "tablet")] {
        let opened = FileStore::open(&place.path, name(user), device(on), Sync::Lazy);
        assert!(matches!(opened, Err(StoreError::NotAStore { .. })));
    }
}

#[test]
fn a_file_that_is_no_store_is_left_alone() {
    let place = place();
    drop(open(&place.path));
    let bytes = fs::read(&place.path).unwrap();
    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for content in [&b"Dear diary"[..], &damaged, &bytes[..bytes.len() - 1]] {
        fs::write(&place.path, content).unwrap();
        let opened = FileStore::open(&place.path, name("alice"), device("phone"), Sync::Lazy);
        assert!(matches!(opened, Err(StoreError::NotAStore { .. })));
        assert_eq!(fs::read(&place.path).unwrap(), content);
    }
}

#[test]
fn an_empty_file_becomes_a_store() {
    let place = place();
    fs::create_dir_all(place.path.parent().unwrap()).unwrap();
    fs::write(&place.path, b"").unwrap();
    assert_eq!(load(&place.path), State::default());
}
