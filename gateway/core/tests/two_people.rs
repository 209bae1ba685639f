//! The walk of `docs/architecture.md` through one shard, with a disk that does everything at once. What many shards,
//! crashes and hostile timing do is the simulation's, in the package `gateway-tests`.

use std::collections::BTreeMap;

use gateway_core::{ConnId, Input, Now, Output, Outputs, Shard, ShardConfig};
use storage::{DiskData, DiskDone, DiskError, DiskOp, DiskOpKind, File, StoreId};
use wire::frame::{Credential, Credit, DeliverAck, Hello, Logout, Ping, SafeBy, Send, SendFlags};
use wire::{Counter, Device, DeviceNo, Frame, Id, Incarnation, Mid, Name};

/// One shard and its machine.
struct House {
    shard: Shard,
    disk: BTreeMap<File, Vec<u8>>,
    is_disk_stopped: bool,
    waiting: Vec<DiskOp>,
    now: Now,
    /// Frames each connection was sent, as text, and whether it is closed.
    screens: BTreeMap<u32, Vec<String>>,
}

impl House {
    fn new() -> House {
        House::on(BTreeMap::new(), 1_000_000_000)
    }

    fn on(disk: BTreeMap<File, Vec<u8>>, wall_us: u64) -> House {
        let config = ShardConfig { segment_len: 64 << 10, ..ShardConfig::new(0, 1, StoreId([7; 16]), [9; 16]) };
        let mut house = House {
            shard: Shard::new(config),
            disk,
            is_disk_stopped: false,
            waiting: Vec::new(),
            now: Now { mono_us: 0, wall_us },
            screens: BTreeMap::new(),
        };
        let mut out = Outputs::default();
        house.shard.start(house.now, &mut out);
        house.perform(out);
        house
    }

    /// Hands in an input, does what it causes, and ends the turn.
    fn input(&mut self, input: Input<'_>) {
        let mut out = Outputs::default();
        self.shard.handle(self.now, input, &mut out);
        self.perform(out);
        let mut out = Outputs::default();
        self.shard.handle(self.now, Input::TurnEnd, &mut out);
        self.perform(out);
    }

    fn perform(&mut self, out: Outputs) {
        for output in &out.list {
            match output {
                Output::Write { conn, start, len } => {
                    let mut bytes = out.frames(*start, *len);
                    while let Ok(wire::deframer::Cut::Frame { frame_type, payload, len }) =
                        wire::deframer::cut(bytes, 1 << 20)
                    {
                        let frame = wire::decode(frame_type, payload).expect("the shard writes valid frames");
                        self.screens.entry(conn.index).or_default().push(show(&frame.expect("a known type")));
                        bytes = &bytes[len..];
                    }
                }
                Output::Close { conn } => self.screens.entry(conn.index).or_default().push("closed".into()),
                _ => {}
            }
        }
        for output in out.list {
            match output {
                Output::Disk(op) if self.is_disk_stopped => self.waiting.push(op),
                Output::Disk(op) => self.disk(op),
                Output::Authenticate { conn, .. } => self.input(Input::Authenticated { conn, verdict: Ok(()) }),
                Output::Handoff { conn, login, .. } => {
                    let conn = ConnId { index: conn.index, generation: conn.generation + 1 };
                    self.input(Input::Adopt { conn, login });
                }
                _ => {}
            }
        }
    }

    fn disk(&mut self, DiskOp { id, kind }: DiskOp) {
        let result = match kind {
            DiskOpKind::List => {
                Ok(DiskData::Files(self.disk.iter().map(|(file, bytes)| (*file, bytes.len() as u64)).collect()))
            }
            DiskOpKind::Read { file, offset, len } => self.disk.get(&file).ok_or(DiskError::NotFound).map(|bytes| {
                let from = at(offset).min(bytes.len());
                let to = (from + len as usize).min(bytes.len());
                DiskData::Bytes(bytes[from..to].to_vec())
            }),
            DiskOpKind::Write { file, offset, bytes, .. } => {
                let content = self.disk.get_mut(&file).expect("written files exist");
                content[at(offset)..][..bytes.len()].copy_from_slice(&bytes);
                Ok(DiskData::Done)
            }
            DiskOpKind::Sync { .. } => Ok(DiskData::Done),
            DiskOpKind::Create { file, len } => {
                self.disk.insert(file, vec![0; at(len)]);
                Ok(DiskData::Done)
            }
            DiskOpKind::Rename { from, to } => {
                let content = self.disk.remove(&from).expect("renamed files exist");
                self.disk.insert(to, content);
                Ok(DiskData::Done)
            }
            DiskOpKind::Remove { file } => {
                self.disk.remove(&file);
                Ok(DiskData::Done)
            }
        };
        self.input(Input::Disk(DiskDone { id, result }));
    }

    fn resume_disk(&mut self) {
        self.is_disk_stopped = false;
        for op in std::mem::take(&mut self.waiting) {
            self.disk(op);
        }
    }

    fn pass(&mut self, us: u64) {
        self.now = Now { mono_us: self.now.mono_us + us, wall_us: self.now.wall_us + us };
        self.input(Input::Tick);
    }

    fn frame(&mut self, conn: ConnId, frame: Frame<'_>) {
        self.input(Input::Frame { conn, frame });
    }

    fn hello(&mut self, index: u32, user: &str, device: &str, credit: u32) -> ConnId {
        let conn = ConnId { index, generation: 0 };
        self.input(Input::Opened { conn });
        let hello = Hello {
            version_min: 1,
            version_max: 1,
            features: 0,
            user: Name::parse_user(user.as_bytes()).expect("a name"),
            credential: Credential::Token("t"),
            device: Device::parse(device.as_bytes()).expect("a device"),
            incarnation: Incarnation(1),
            lowest_unresolved: Counter(1),
            highest_sent: Counter(0),
            last_id: Id::NONE,
            credit: Credit { entries: credit, bytes: 1 << 20 },
            client_name: "test",
            client_version: "1",
        };
        self.frame(conn, Frame::Hello(hello));
        ConnId { index, generation: 1 }
    }

    fn send(&mut self, conn: ConnId, counter: u64, to: &str, body: &str) {
        let to = Name::parse(to.as_bytes()).expect("a name");
        // The client calls nothing resolved: its lowest unresolved stays at 1.
        let (mid, flags) = (Mid::new(DeviceNo(1), Counter(counter)), SendFlags(0));
        let span = u8::try_from(counter - 1).expect("in flight");
        self.frame(conn, Frame::Send(Send { mid, span, flags, kind: 0, to, body: body.as_bytes() }));
    }

    /// What a connection was sent since it was last looked at.
    fn seen(&mut self, conn: ConnId) -> Vec<String> {
        self.screens.remove(&conn.index).unwrap_or_default()
    }

    /// The id of the last DELIVER on a screen.
    fn confirm(&mut self, conn: ConnId, seen: &[String]) {
        let id = seen.iter().rev().find_map(|line| line.strip_prefix("DELIVER ")?.split(' ').next()?.parse().ok());
        self.frame(conn, Frame::DeliverAck(DeliverAck { id: Id(id.expect("something was delivered")) }));
    }
}

/// A place in a file as an index.
fn at(offset: u64) -> usize {
    usize::try_from(offset).expect("files are small")
}

fn show(frame: &Frame<'_>) -> String {
    match frame {
        Frame::Welcome(welcome) => format!("WELCOME {}", welcome.device_no),
        Frame::Deliver(d) => format!("DELIVER {} {} {}", d.id, d.from, String::from_utf8_lossy(d.body)),
        Frame::SendAck(acks) => acks.iter().fold("SEND_ACK".into(), |line, ack| {
            let how = match ack.safe_by {
                SafeBy::Received => "received",
                SafeBy::Stored => "stored",
                SafeBy::Duplicate => "duplicate",
            };
            format!("{line} {} {how}", ack.counter)
        }),
        Frame::SendNack(nack) => format!("SEND_NACK {} {}", nack.counter, nack.code),
        Frame::GoAway(goaway) => format!("GOAWAY {}", goaway.code),
        Frame::Error(error) => format!("ERROR {}", error.code),
        Frame::Pong(pong) => format!("PONG {}", pong.token),
        other => format!("{other:?}"),
    }
}

/// The bodies delivered on a screen.
fn bodies(seen: &[String]) -> Vec<&str> {
    seen.iter().filter(|line| line.starts_with("DELIVER")).filter_map(|line| line.split(' ').nth(3)).collect()
}

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
