//! One shard with its machine: a disk that does everything at once unless told otherwise, and connections as screens.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::{BTreeMap, BTreeSet};

use gateway_core::{AccountRequest, ConnId, Envelope, Grant, Input, Now, Output, Outputs, Shard, ShardConfig};
use storage::{DiskData, DiskDone, DiskError, DiskOp, DiskOpKind, File, StoreId};
use wire::frame::{Credential, Credit, DeliverAck, Hello, SafeBy, Send, SendFlags};
use wire::{Counter, Device, DeviceNo, Frame, Id, Incarnation, Mid, Name};

/// One shard and its machine.
pub(crate) struct House {
    pub(crate) shard: Shard,
    pub(crate) disk: BTreeMap<File, Vec<u8>>,
    /// Operations asked for now wait for [`House::resume_disk`].
    pub(crate) is_disk_stopped: bool,
    /// Writes fail, as they do on a broken disk.
    pub(crate) is_disk_broken: bool,
    /// Credentials are not answered for.
    pub(crate) is_verifier_stopped: bool,
    /// Operations that wait.
    pub(crate) waiting: Vec<DiskOp>,
    now: Now,
    /// Frames each connection was sent, as text, and whether it is closed.
    screens: BTreeMap<u32, Vec<String>>,
    pub(crate) is_drained: bool,
    /// When those who were told to go may come back: start and length, in milliseconds.
    pub(crate) slots: Vec<(u32, u32)>,
    pub(crate) notices: Vec<String>,
    /// What went to other shards.
    pub(crate) forwarded: Vec<Envelope>,
    /// Logins prove themselves by a ticket of this moment; without, by something given just now.
    pub(crate) ticket_of_us: Option<u64>,
    /// What was asked of the accounts.
    pub(crate) asked: Vec<AccountRequest>,
    /// Names that are free again.
    pub(crate) purged: Vec<String>,
    /// All frames, as bytes.
    pub(crate) written: Vec<u8>,
    /// Connections that are not read from.
    pub(crate) paused: BTreeSet<ConnId>,
}

/// The store's key.
pub(crate) const KEY: [u8; 16] = [9; 16];

impl House {
    pub(crate) fn new() -> House {
        House::on(BTreeMap::new(), 1_000_000_000)
    }

    /// A shard that starts on what an earlier run left.
    pub(crate) fn on(disk: BTreeMap<File, Vec<u8>>, wall_us: u64) -> House {
        House::with(disk, wall_us, 1024)
    }

    /// And with this bound on its lanes.
    pub(crate) fn with(disk: BTreeMap<File, Vec<u8>>, wall_us: u64, lane_count_max: u32) -> House {
        House::configured(disk, wall_us, |config| config.lane_count_max = lane_count_max)
    }

    /// And with whatever else.
    pub(crate) fn configured(
        disk: BTreeMap<File, Vec<u8>>,
        wall_us: u64,
        configure: impl FnOnce(&mut ShardConfig),
    ) -> House {
        let mut config = ShardConfig::new(0, 1, StoreId([7; 16]), KEY);
        config.segment_len = 64 << 10;
        configure(&mut config);
        let mut house = House {
            shard: Shard::new(config),
            disk,
            is_disk_stopped: false,
            is_disk_broken: false,
            is_verifier_stopped: false,
            waiting: Vec::new(),
            now: Now { mono_us: 0, wall_us },
            screens: BTreeMap::new(),
            is_drained: false,
            slots: Vec::new(),
            notices: Vec::new(),
            forwarded: Vec::new(),
            ticket_of_us: None,
            asked: Vec::new(),
            purged: Vec::new(),
            written: Vec::new(),
            paused: BTreeSet::new(),
        };
        let mut out = Outputs::default();
        house.shard.start(house.now, &mut out);
        house.perform(out);
        house
    }

    /// Hands in an input, does what it causes, and ends the turn.
    pub(crate) fn input(&mut self, input: Input<'_>) {
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
                    self.written.extend_from_slice(bytes);
                    while let Ok(wire::deframer::Cut::Frame { frame_type, payload, len }) =
                        wire::deframer::cut(bytes, 1 << 20)
                    {
                        let frame = wire::decode(frame_type, payload).expect("the shard writes valid frames");
                        let frame = frame.expect("a known type");
                        if let Frame::GoAway(goaway) = &frame {
                            self.slots.push((goaway.slot_start_ms, goaway.slot_len_ms));
                        }
                        self.screens.entry(conn.index).or_default().push(show(&frame));
                        bytes = &bytes[len..];
                    }
                }
                Output::PauseRead { conn } => drop(self.paused.insert(*conn)),
                Output::ResumeRead { conn } => drop(self.paused.remove(conn)),
                Output::Account { request, .. } => self.asked.push(request.clone()),
                Output::Purged { user } => self.purged.push(user.to_string()),
                Output::Drained => self.is_drained = true,
                Output::Notice(notice) => self.notices.push(format!("{notice:?}")),
                Output::Close { conn } => self.screens.entry(conn.index).or_default().push("closed".into()),
                _ => {}
            }
        }
        for output in out.list {
            match output {
                Output::Disk(op) if self.is_disk_stopped => self.waiting.push(op),
                Output::Disk(op) => self.disk(op),
                Output::Authenticate { .. } if self.is_verifier_stopped => {}
                Output::Authenticate { conn, .. } => {
                    let by_ticket = self.ticket_of_us.is_some();
                    let proven_us = self.ticket_of_us.unwrap_or(self.now.wall_us);
                    let verdict = Ok(Grant { proven_us, by_ticket, ticket: b"fresh".as_slice().into() });
                    self.input(Input::Authenticated { conn, verdict });
                }
                Output::Forward { envelope, .. } => self.forwarded.push(envelope),
                Output::Handoff { conn, login, .. } => {
                    let conn = ConnId { index: conn.index, generation: conn.generation + 1 };
                    self.input(Input::Adopt { conn, login });
                }
                _ => {}
            }
        }
    }

    pub(crate) fn disk(&mut self, DiskOp { id, kind }: DiskOp) {
        let result = match kind {
            DiskOpKind::Write { .. } if self.is_disk_broken => Err(DiskError::Io(5)),
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

    pub(crate) fn resume_disk(&mut self) {
        self.is_disk_stopped = false;
        for op in std::mem::take(&mut self.waiting) {
            self.disk(op);
        }
    }

    /// The wall clock.
    pub(crate) fn wall_us(&self) -> u64 {
        self.now.wall_us
    }

    /// A connection that has not said HELLO.
    pub(crate) fn open(&mut self, index: u32) -> ConnId {
        let conn = ConnId { index, generation: 0 };
        self.input(Input::Opened { conn });
        conn
    }

    pub(crate) fn pass(&mut self, us: u64) {
        self.now = Now { mono_us: self.now.mono_us + us, wall_us: self.now.wall_us + us };
        self.input(Input::Tick);
    }

    pub(crate) fn frame(&mut self, conn: ConnId, frame: Frame<'_>) {
        self.input(Input::Frame { conn, frame });
    }

    pub(crate) fn hello(&mut self, index: u32, user: &str, device: &str, credit: u32) -> ConnId {
        self.hello_after(index, user, device, credit, 0)
    }

    /// HELLO of a device that has sent so many messages and heard of none.
    pub(crate) fn hello_after(&mut self, index: u32, user: &str, device: &str, credit: u32, sent: u64) -> ConnId {
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
            highest_sent: Counter(sent),
            last_id: Id::NONE,
            credit: Credit { entries: credit, bytes: 1 << 20 },
            client_name: "test",
            client_version: "1",
            store: &[],
        };
        self.frame(conn, Frame::Hello(hello));
        ConnId { index, generation: 1 }
    }

    pub(crate) fn send(&mut self, conn: ConnId, counter: u64, to: &str, body: &str) {
        let to = Name::parse(to.as_bytes()).expect("a name");
        // The client calls nothing resolved: its lowest unresolved stays at 1.
        let (mid, flags) = (Mid::new(DeviceNo(1), Counter(counter)), SendFlags(0));
        let span = u8::try_from(counter - 1).expect("in flight");
        self.frame(conn, Frame::Send(Send { mid, span, flags, kind: 0, to, body: body.as_bytes() }));
    }

    /// What a connection was sent since it was last looked at.
    pub(crate) fn seen(&mut self, conn: ConnId) -> Vec<String> {
        self.screens.remove(&conn.index).unwrap_or_default()
    }

    /// The id of the last DELIVER on a screen.
    pub(crate) fn confirm(&mut self, conn: ConnId, seen: &[String]) {
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
        Frame::AccountDone(done) => format!("ACCOUNT_DONE {} {}", done.request, done.code),
        Frame::Pong(pong) => format!("PONG {}", pong.token),
        other => format!("{other:?}"),
    }
}

/// The bodies delivered on a screen.
pub(crate) fn bodies(seen: &[String]) -> Vec<&str> {
    seen.iter().filter(|line| line.starts_with("DELIVER")).filter_map(|line| line.split(' ').nth(3)).collect()
}
