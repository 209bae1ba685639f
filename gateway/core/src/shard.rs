//! The dispatcher: one input in, the outputs it causes out. It matches and calls; what is decided is decided elsewhere:
//! `login` and `sign_out` (who is there), `account` and `void` (who may be), `sending` (the sender's home), `delivery` (the recipient's home), `spill` (the log),
//! `recovery` (what an earlier run left), `drain`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::Hasher;

use siphasher::sip::SipHasher13;
use storage::{DiskOp, Log, LogConfig, LogCounters, LogEvent, LogStatus, Lsn};
use wire::frame::SendAck;
use wire::{Code, DeviceNo, Frame, Id, Mid};

use crate::config::ShardConfig;
use crate::counters::{Counters, Population};
use crate::envelope::{Envelope, Outcome, UserRef};
use crate::event::{ConnId, Input, Now, Output, Outputs, ShardIndex};
use crate::fault::Planted;
use crate::heartbeat::Wheel;
use crate::ids::Ids;
use crate::inbox::Origin;
use crate::outbox::write;
use crate::router::Router;
use crate::session::{Session, Sessions, State};
use crate::spill::{Commit, Rewrite};
use crate::user::Users;

/// One shard: the users whose home it is, their sessions, inboxes and log.
#[derive(Debug)]
pub struct Shard {
    pub(crate) config: ShardConfig,
    pub(crate) log: Log,
    pub(crate) ids: Ids,
    pub(crate) users: Users,
    pub(crate) sessions: Sessions,
    pub(crate) router: Router,
    pub(crate) wheel: Wheel,
    pub(crate) counters: Counters,
    pub(crate) planted: Planted,
    /// Devices of all users.
    pub(crate) device_count: u64,
    /// Up by one each time the log is opened.
    pub(crate) boot: u64,
    pub(crate) is_draining: bool,
    pub(crate) is_drained: bool,

    /// Records on their way to the disk, oldest first.
    pub(crate) commits: VecDeque<(Lsn, Commit)>,
    /// Users whose window wants the log, which had no room.
    pub(crate) spills: VecDeque<UserRef>,
    /// Users whose oldest waiting entry is to be looked at, by time.
    pub(crate) confirm_timers: VecDeque<(u64, UserRef)>,
    /// Devices whose cursor is to be recorded, by time.
    pub(crate) cursor_timers: VecDeque<(u64, UserRef, DeviceNo)>,
    /// Reads from the log under way, by token: whose they are and up to which id they can reach.
    pub(crate) reads: BTreeMap<u64, (UserRef, DeviceNo, Id)>,
    pub(crate) next_read: u64,
    /// Records of devices and cursors that hold today's state, oldest first.
    pub(crate) state_records: BTreeSet<(Lsn, UserRef, DeviceNo)>,
    pub(crate) rewrite: Option<Rewrite>,
    /// Devices to be forgotten whose record found no room in the log.
    pub(crate) purges: VecDeque<(UserRef, DeviceNo)>,
    /// Devices that signed out, whose record found no room in the log.
    pub(crate) sign_outs: VecDeque<(UserRef, DeviceNo)>,
    /// Sessions that signed out and are told when it is durable, with the moment that must be.
    pub(crate) leaving: BTreeMap<(UserRef, DeviceNo), Vec<(ConnId, u64)>>,
    /// Users whose deletion is to be written down.
    pub(crate) erasures: VecDeque<UserRef>,
    /// Self-copies that wait for ids.
    pub(crate) copies: VecDeque<(UserRef, Mid)>,
    /// The reservation that was asked for last.
    pub(crate) reserve_asked: Id,

    /// SEND_ACKs of this turn.
    pub(crate) acks: Vec<(ConnId, SendAck)>,
    /// Outcomes that this input caused: handled here, or forwarded, before `handle` returns.
    pub(crate) outcomes: VecDeque<Report>,
    pub(crate) ops: Vec<DiskOp>,
    pub(crate) events: Vec<LogEvent>,
}

/// What became of a message, on its way to whoever waits for it.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) origin: Origin,
    pub(crate) mid: Mid,
    pub(crate) room: Option<u32>,
    pub(crate) outcome: Outcome,
}

impl Shard {
    /// A shard that has not read its log.
    pub fn new(config: ShardConfig) -> Shard {
        let log = Log::new(LogConfig {
            store: config.store,
            shard: config.shard.0,
            shard_count: config.shard_count,
            segment_len: config.segment_len,
            queue_len_max: LOG_QUEUE_LEN_MAX,
            reserve_us: config.reserve_us,
        });
        Shard {
            log,
            ids: Ids::new(config.reserve_us),
            users: Users::new(config.key),
            sessions: Sessions::default(),
            router: Router::new(config.shard_count, config.lane_count_max, config.lane_len_max),
            wheel: Wheel::new(),
            counters: Counters::default(),
            planted: Planted::default(),
            device_count: 0,
            boot: 0,
            is_draining: false,
            is_drained: false,
            commits: VecDeque::new(),
            spills: VecDeque::new(),
            confirm_timers: VecDeque::new(),
            cursor_timers: VecDeque::new(),
            reads: BTreeMap::new(),
            next_read: 0,
            state_records: BTreeSet::new(),
            rewrite: None,
            purges: VecDeque::new(),
            sign_outs: VecDeque::new(),
            leaving: BTreeMap::new(),
            erasures: VecDeque::new(),
            copies: VecDeque::new(),
            reserve_asked: Id::NONE,
            acks: Vec::new(),
            outcomes: VecDeque::new(),
            ops: Vec::new(),
            events: Vec::new(),
            config,
        }
    }

    /// Begins recovery; [`Output::Ready`] ends it.
    pub fn start(&mut self, now: Now, out: &mut Outputs) {
        self.log.start(now.wall_us, &mut self.ops);
        self.settle(now, out);
    }

    /// Takes one input and appends what it causes. Cost: a hash of a name or two for a SEND; memory only for what must be kept.
    pub fn handle(&mut self, now: Now, input: Input<'_>, out: &mut Outputs) {
        match input {
            Input::Opened { conn } => self.on_opened(now, conn, out),
            Input::Frame { conn, frame } => self.on_frame(now, conn, frame, out),
            Input::Broken { conn, error } => self.on_broken(now, conn, &error, out),
            Input::Heard { conn } => self.on_heard(now, conn),
            Input::Authenticated { conn, verdict } => self.on_authenticated(now, conn, verdict, out),
            Input::AccountDone { conn, request, result } => self.on_account_done(now, conn, request, &result, out),
            Input::Void { user, before_us, code, purge, except } => {
                self.on_void(now, &user, before_us, code, except, out);
                if purge {
                    self.erase(&user);
                }
            }
            Input::Adopt { conn, login } => self.on_adopt(now, conn, login, out),
            Input::Blocked { conn } => self.on_blocked(now, conn, out),
            Input::Sent { conn, left } => self.on_sent(now, conn, left, out),
            Input::Closed { conn } => self.end_session(now, conn),
            Input::Envelope { from, envelope } => self.on_envelope(now, from, envelope, out),
            Input::Disk(done) => self.log.on_done(now.mono_us, done, &mut self.ops, &mut self.events),
            Input::Drain => self.on_drain(out),
            Input::TurnEnd => self.on_turn_end(now, out),
            Input::Tick => self.on_tick(now, out),
        }
        self.settle(now, out);
    }

    /// When [`Input::Tick`] is due next, on the clock of [`Now::mono_us`].
    pub fn next_deadline(&self) -> Option<u64> {
        let confirm = self.confirm_timers.front().map(|(at, _)| *at);
        let cursor = self.cursor_timers.front().map(|(at, _, _)| *at);
        [self.wheel.next_deadline(), confirm, cursor, self.log.next_deadline()].into_iter().flatten().min()
    }

    /// What was counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many there are of what it holds. Cost: a look at each other shard.
    pub fn population(&self) -> Population {
        let (under_way, stalled) = self.router.load();
        Population {
            sessions: self.sessions.count() as u64,
            users: self.users.count() as u64,
            devices: self.device_count,
            under_way,
            stalled,
        }
    }

    /// What its log counted so far.
    pub fn log_counters(&self) -> &LogCounters {
        self.log.counters()
    }

    /// How its log stands.
    pub fn log_status(&self) -> LogStatus {
        self.log.status()
    }

    /// Takes a rule out, for the simulation to notice.
    #[cfg(feature = "planted")]
    pub fn plant(&mut self, fault: crate::fault::Fault) {
        self.planted.set(fault);
    }

    /// Takes a rule out of the log, for the simulation to notice.
    #[cfg(feature = "planted")]
    pub fn plant_storage(&mut self, fault: storage::Fault) {
        self.log.plant(fault);
    }

    /// Follows up what the input caused inside this shard, and hands out what the disk is to do.
    fn settle(&mut self, now: Now, out: &mut Outputs) {
        loop {
            if let Some(Report { origin, mid, room, outcome }) = self.outcomes.pop_front() {
                if origin.is_copy {
                    self.on_copy_outcome(now, origin.user, mid, outcome);
                } else if origin.shard == self.config.shard {
                    self.on_outcome(now, origin.shard, origin.user, mid, room, outcome, out);
                } else {
                    let envelope = Envelope::Outcome { origin: origin.user, mid, room, outcome };
                    out.list.push(Output::Forward { to: origin.shard, envelope });
                }
            } else if !self.events.is_empty() {
                for event in std::mem::take(&mut self.events) {
                    self.on_log_event(now, event, out);
                }
            } else {
                break;
            }
        }
        out.list.extend(self.ops.drain(..).map(Output::Disk));
    }

    fn on_opened(&mut self, now: Now, conn: ConnId, out: &mut Outputs) {
        self.add_session(now, Session::new(conn, State::Opened { register_count: 0 }, now.mono_us));
        if self.is_draining {
            self.close(now, conn, Code::Draining, out);
        }
    }

    fn on_frame(&mut self, now: Now, conn: ConnId, frame: Frame<'_>, out: &mut Outputs) {
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };
        let Some((user, device_no)) = session.ready() else {
            return match (frame, &session.state) {
                (Frame::Hello(hello), State::Opened { .. }) => self.on_hello(now, conn, &hello, out),
                (Frame::Account(account), State::Opened { .. }) => self.on_register(now, conn, &account, out),
                _ => self.close(now, conn, Code::OutOfState, out),
            };
        };
        session.heard_us = now.mono_us;
        match frame {
            Frame::Ping(ping) => write(out, conn, &Frame::Pong(ping)),
            Frame::Send(send) => self.on_send(now, conn, user, device_no, &send, out),
            Frame::DeliverAck(ack) => self.on_deliver_ack(now, conn, user, device_no, ack.id, out),
            Frame::Credit(credit) => self.on_credit(now, user, device_no, credit, out),
            Frame::Logout(logout) => self.on_logout(now, conn, user, device_no, logout.forget, out),
            Frame::Account(account) => self.on_account(now, conn, user, device_no, &account, out),
            Frame::Read(_) | Frame::Typing(_) | Frame::Presence(_) => {
                crate::outbox::write_error(out, conn, Code::Unsupported, frame.frame_type());
            }
            _ => self.close(now, conn, Code::OutOfState, out),
        }
    }

    fn on_broken(&mut self, now: Now, conn: ConnId, error: &wire::WireError, out: &mut Outputs) {
        let Some(session) = self.sessions.get_mut(conn) else {
            return;
        };
        session.heard_us = now.mono_us;
        if error.is_fatal() || session.ready().is_none() {
            self.close(now, conn, error.code(), out);
        } else {
            crate::outbox::write_error(out, conn, error.code(), error.frame_type());
        }
    }

    fn on_heard(&mut self, now: Now, conn: ConnId) {
        // HELLO has a deadline that trickling bytes do not move.
        if let Some(session) = self.sessions.get_mut(conn).filter(|session| session.ready().is_some()) {
            session.heard_us = now.mono_us;
        }
    }

    fn on_envelope(&mut self, now: Now, from: ShardIndex, envelope: Envelope, out: &mut Outputs) {
        match envelope {
            Envelope::Message { origin, wants_accepted, parcel } => {
                let origin = Origin { shard: from, user: origin, is_copy: false };
                self.on_message(now, origin, wants_accepted, parcel, out);
            }
            Envelope::Ephemeral { parcel } => {
                self.router.on_ephemeral(from, parcel.size());
                self.deliver_ephemeral(&parcel, out);
            }
            Envelope::Taken { count, len } => {
                self.router.on_outcome(from, count, len);
                self.resume_stalled(now, from, out);
            }
            Envelope::Outcome { origin, mid, room, outcome } => {
                self.on_outcome(now, from, origin, mid, room, outcome, out);
            }
        }
    }

    fn on_turn_end(&mut self, now: Now, out: &mut Outputs) {
        self.retry_spills(now);
        self.retry_purges(now, out);
        self.retry_sign_outs(now, out);
        self.retry_erasures(now, out);
        self.rewrite_some();
        self.write_acks(out);
        for (to, count, len) in self.router.drain_taken() {
            if to != self.config.shard {
                out.list.push(Output::Forward { to, envelope: Envelope::Taken { count, len } });
            }
        }
        if let Some(below) = self.ids.wanted(now.wall_us).filter(|below| self.boot > 0 && *below > self.reserve_asked) {
            // Asked again only when half of that has passed, or the reservation would be written each turn.
            self.reserve_asked = Id(below.0 + self.config.reserve_us / 4);
            self.log.reserve(below, &mut self.ops);
        }
        self.log.commit(now.mono_us, &mut self.ops);
        self.finish_drain(now, out);
    }

    fn on_tick(&mut self, now: Now, out: &mut Outputs) {
        while let Some(conn) = self.wheel.pop_due(now.mono_us) {
            self.on_wheel(now, conn, out);
        }
        while let Some((_, user)) = self.confirm_timers.pop_front_if(|(at, _)| *at <= now.mono_us) {
            self.on_confirm_timeout(now, user);
        }
        while let Some((_, user, device_no)) = self.cursor_timers.pop_front_if(|(at, ..)| *at <= now.mono_us) {
            self.record_cursor(now, user, device_no);
        }
        self.log.on_tick(now.mono_us, &mut self.ops);
    }
}

/// Bytes of records that may wait for the log's next batch.
const LOG_QUEUE_LEN_MAX: usize = 8 << 20;

/// The home shard of a user or group: SipHash-1-3 of the name under the store's key, modulo the number of shards.
pub fn home(key: &[u8; 16], shard_count: u16, name: &str) -> ShardIndex {
    let mut hasher = SipHasher13::new_with_key(key);
    hasher.write(name.as_bytes());
    let shard = hasher.finish() % u64::from(shard_count);
    ShardIndex(u16::try_from(shard).expect("a remainder of a u16"))
}
