//! The shell of one shard: its connections, and a core that decides. It hands in what happens, in any
//! order, and holds both sides to the border's contract; `perform` does what the core says.

use std::collections::VecDeque;

use gateway_core::{ConnId, Grant, Input, LaneClass, Outputs, Refusal, Shard, ShardConfig, ShardIndex};
use storage::LogState;
use wire::decode;
use wire::deframer::{Cut, cut};
use wire::limits::HELLO_PAYLOAD_LEN_MAX;

use super::accounts::{Accounts, Delivery, Void};
use super::clock::Clock;
use super::disk::SimDisk;
use super::mesh::{Mesh, Moving};
use super::model::Model;
use super::net::{End, LinkId, Net, Reading, piece_len, reset};
use super::rng::Rng;
use super::show;
use super::trace::{Trace, trace};

/// What a shell needs of the world around it.
pub struct Around<'a> {
    /// The time.
    pub clock: &'a Clock,
    /// The network.
    pub net: &'a mut Net,
    /// What lies between the shards.
    pub mesh: &'a mut Mesh,
    /// The accounts.
    pub accounts: &'a mut Accounts,
    /// The judge.
    pub model: &'a mut Model,
    /// What happens by chance.
    pub rng: &'a mut Rng,
    /// What is written down.
    pub trace: &'a mut Trace,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) id: ConnId,
    pub(super) link: LinkId,
    /// Read and not handed in.
    pub(super) unread: Vec<u8>,
    /// To be written.
    pub(super) outbox: VecDeque<u8>,
    /// The longest payload taken.
    pub(super) payload_len_max: usize,
    pub(super) is_paused: bool,
    pub(super) is_blocked: bool,
    /// Something came that cannot be read beyond.
    pub(super) is_broken: bool,
    /// What was read before reading was paused is still to be looked at.
    pub(super) is_resumed: bool,
}

/// A source of inputs that has something.
#[derive(Debug, Clone, Copy)]
enum Source {
    Accept,
    Adopt,
    Conn(usize),
    /// The peer is gone, and reading is paused: the socket says so whether anybody reads or not.
    HangUp(usize),
    Verdict(usize),
    /// Something was asked of the accounts, and any shard's turn will do to let them act.
    Accounts,
    /// The accounts have written.
    Letter,
    Lane(ShardIndex, LaneClass),
    Disk,
    Tick,
}

/// A shard and its shell.
#[derive(Debug)]
pub struct Shell {
    pub(super) index: ShardIndex,
    pub(super) config: ShardConfig,
    pub(super) core: Shard,
    /// Its disk.
    pub disk: SimDisk,
    pub(super) conns: Vec<Conn>,
    /// Closed by the core, not yet written to the end.
    pub(super) closing: Vec<(LinkId, VecDeque<u8>)>,
    pub(super) verdicts: Vec<(ConnId, Result<Grant, Refusal>)>,
    generation: u32,
    pub(super) out: Outputs,
    /// Recovery is over.
    pub is_ready: bool,
    /// The core said that its drain is complete.
    pub is_drained: bool,
    /// Its log cannot be used, and the process must end.
    pub is_unusable: bool,
    /// What its log can do.
    pub log_state: LogState,
}

impl Shell {
    /// A shard on this disk, not started.
    pub fn new(config: ShardConfig, disk: SimDisk) -> Shell {
        Shell {
            index: config.shard,
            core: Shard::new(config.clone()),
            config,
            disk,
            conns: Vec::new(),
            closing: Vec::new(),
            verdicts: Vec::new(),
            generation: 0,
            out: Outputs::default(),
            is_ready: false,
            is_drained: false,
            is_unusable: false,
            log_state: LogState::Recovering,
        }
    }

    /// The core, to plant faults in.
    pub fn core_mut(&mut self) -> &mut Shard {
        &mut self.core
    }

    /// Begins recovery.
    pub fn start(&mut self, around: &mut Around<'_>) {
        self.core.start(around.clock.now(), &mut self.out);
        self.carry_out(around);
    }

    /// When the core wants to be told of the time.
    pub fn next_deadline(&self) -> Option<u64> {
        self.core.next_deadline()
    }

    /// Whether a turn would find something to do now.
    pub fn has_work(&self, around: &Around<'_>) -> bool {
        let can_write = |link, outbox: &VecDeque<u8>| !outbox.is_empty() && around.net.has_room(link, End::Client);
        !self.sources(around).is_empty()
            || self.conns.iter().any(|conn| can_write(conn.link, &conn.outbox))
            || self.closing.iter().any(|(link, outbox)| outbox.is_empty() || can_write(*link, outbox))
    }

    /// One turn: at most `input_count` inputs in any order, then what they caused leaves. Without `is_whole` it stops before
    /// that, as a crash would make it.
    pub fn turn(&mut self, around: &mut Around<'_>, input_count: u64, is_whole: bool) {
        for _ in 0..input_count {
            let sources = self.sources(around);
            if sources.is_empty() {
                break;
            }
            let source = sources[around.rng.index(sources.len())];
            self.take(source, around);
            if around.model.violation.is_some() {
                return;
            }
        }
        if is_whole {
            self.handle(Input::TurnEnd, around);
            self.flush(around);
        }
    }

    /// No new work.
    pub fn drain(&mut self, around: &mut Around<'_>) {
        self.handle(Input::Drain, around);
        self.turn(around, 0, true);
    }

    /// The process dies: its connections break, and with the power its disk loses what it had not synced.
    pub fn crash(self, around: &mut Around<'_>, is_power_cut: bool) -> (ShardConfig, SimDisk) {
        let open = self.conns.into_iter().map(|conn| conn.link);
        for link in open.chain(self.closing.into_iter().map(|(link, _)| link)) {
            reset(link, around.net, around.rng);
        }
        let mut disk = self.disk;
        if is_power_cut {
            disk.crash(around.rng);
        } else {
            disk.kill(around.rng);
        }
        (self.config, disk)
    }

    fn sources(&self, around: &Around<'_>) -> Vec<Source> {
        let mut sources = Vec::new();
        if around.mesh.has_backlog() {
            sources.push(Source::Accept);
        }
        if around.mesh.has_moving(self.index) {
            sources.push(Source::Adopt);
        }
        let readable = |conn: &Conn| {
            let can_read = !conn.is_paused && !conn.is_broken;
            can_read && (conn.is_resumed || around.net.is_readable(conn.link, End::Gateway))
        };
        sources.extend((0..self.conns.len()).filter(|at| readable(&self.conns[*at])).map(Source::Conn));
        let hung_up = |conn: &Conn| conn.is_paused && around.net.has_ended(conn.link, End::Gateway);
        sources.extend((0..self.conns.len()).filter(|at| hung_up(&self.conns[*at])).map(Source::HangUp));
        sources.extend((0..self.verdicts.len()).map(Source::Verdict));
        if around.accounts.has_pending() {
            sources.push(Source::Accounts);
        }
        if around.accounts.has_letter(self.index) {
            sources.push(Source::Letter);
        }
        sources.extend(around.mesh.waiting(self.index).map(|(from, class)| Source::Lane(from, class)));
        if self.disk.pending() > 0 {
            sources.push(Source::Disk);
        }
        if self.core.next_deadline().is_some_and(|at| at <= around.clock.mono_us()) {
            sources.push(Source::Tick);
        }
        sources
    }

    fn take(&mut self, source: Source, around: &mut Around<'_>) {
        match source {
            Source::Accept => {
                if let Some(link) = around.mesh.accept() {
                    let conn = self.add(link, HELLO_PAYLOAD_LEN_MAX);
                    trace!(around.trace, "s{} opens {link} = {conn:?}", self.index.0);
                    self.handle(Input::Opened { conn }, around);
                }
            }
            Source::Adopt => {
                if let Some(moving) = around.mesh.take_moving(self.index, around.rng) {
                    self.adopt(moving, around);
                }
            }
            Source::Conn(at) => self.read(at, around),
            Source::HangUp(at) => {
                let conn = self.conns.swap_remove(at).id;
                trace!(around.trace, "s{} hears that {conn:?} hung up", self.index.0);
                self.handle(Input::Closed { conn }, around);
            }
            Source::Verdict(at) => {
                let (conn, verdict) = self.verdicts.swap_remove(at);
                self.handle(Input::Authenticated { conn, verdict }, around);
            }
            Source::Accounts => {
                if let Some(user) = around.accounts.act(around.clock.now().wall_us) {
                    around.model.set_moment(around.clock.now().wall_us, around.accounts.last_us());
                    around.model.on_account_changed(user);
                }
            }
            Source::Letter => match around.accounts.take_letter(self.index) {
                Some(Delivery::Done(done)) => self.handle(done, around),
                Some(Delivery::Void(void)) => self.void(&void, around),
                None => {}
            },
            Source::Lane(from, class) => {
                if let Some(envelope) = around.mesh.take(from, self.index, class) {
                    trace!(around.trace, "s{} takes from s{}: {}", self.index.0, from.0, show::envelope(&envelope));
                    self.handle(Input::Envelope { from, envelope }, around);
                }
            }
            Source::Disk => {
                if let Some(done) = self.disk.complete_one(around.rng) {
                    trace!(
                        around.trace,
                        "s{} disk: {:?} {}",
                        self.index.0,
                        done.id,
                        if done.result.is_ok() { "done" } else { "failed" }
                    );
                    self.handle(Input::Disk(done), around);
                }
            }
            Source::Tick => self.handle(Input::Tick, around),
        }
    }

    /// Logins are void.
    pub(super) fn void(&mut self, void: &Void, around: &mut Around<'_>) {
        trace!(around.trace, "s{} {void:?}", self.index.0);
        around.model.on_void(void);
        let Void { name, before_us, code, purge, except, .. } = void.clone();
        self.handle(Input::Void { user: name, before_us, code, purge, except }, around);
        let open: Vec<_> = self.conns.iter().map(|conn| (conn.link, except == Some(conn.id))).collect();
        around.model.after_void(void, &open);
    }

    fn add(&mut self, link: LinkId, payload_len_max: usize) -> ConnId {
        self.generation += 1;
        let index = (0..).find(|index| self.conns.iter().all(|conn| conn.id.index != *index)).expect("few connections");
        let id = ConnId { index, generation: self.generation };
        self.conns.push(Conn {
            id,
            link,
            unread: Vec::new(),
            outbox: VecDeque::new(),
            payload_len_max,
            is_paused: false,
            is_blocked: false,
            is_broken: false,
            is_resumed: false,
        });
        id
    }

    fn adopt(&mut self, moving: Moving, around: &mut Around<'_>) {
        let Moving { link, unread, outbox, login } = moving;
        let id = self.add(link, self.config.payload_len_max as usize);
        let conn = self.conns.last_mut().expect("just added");
        (conn.unread, conn.outbox, conn.is_paused) = (unread, outbox, true);
        around.model.set_moment(around.clock.now().wall_us, around.accounts.last_us());
        trace!(around.trace, "s{} adopts {link} = {id:?} of {}/{}", self.index.0, login.user, login.device);
        let install = around.mesh.owner(link);
        around.model.on_adopt(link, install, &login);
        self.handle(Input::Adopt { conn: id, login }, around);
    }

    /// Reads a piece and hands in every frame that is whole, as long as the core wants more.
    fn read(&mut self, at: usize, around: &mut Around<'_>) {
        let conn = &mut self.conns[at];
        let (id, link, is_resumed) = (conn.id, conn.link, std::mem::take(&mut conn.is_resumed));
        let len_max = piece_len(around.rng);
        let mut has_come = false;
        match around.net.read(link, End::Gateway, len_max) {
            Reading::Bytes(bytes) => {
                conn.unread.extend(bytes);
                has_come = true;
            }
            Reading::Over if !is_resumed || conn.unread.is_empty() => {
                self.conns.swap_remove(at);
                trace!(around.trace, "s{} sees the end of {link}", self.index.0);
                return self.handle(Input::Closed { conn: id }, around);
            }
            Reading::Over | Reading::Nothing => {}
        }
        let mut frame_count = 0;
        while self.hand_in(id, around) {
            frame_count += 1;
        }
        if has_come && frame_count == 0 && self.conns.iter().any(|conn| conn.id == id && !conn.is_broken) {
            self.handle(Input::Heard { conn: id }, around);
        }
    }

    /// Hands in one frame; `false` when there is none, or none is wanted.
    fn hand_in(&mut self, id: ConnId, around: &mut Around<'_>) -> bool {
        let Some(conn) = self.conns.iter_mut().find(|conn| conn.id == id) else { return false };
        if conn.is_paused || conn.is_broken || around.model.violation.is_some() {
            return false;
        }
        let (link, now) = (conn.link, around.clock.now());
        around.model.set_moment(now.wall_us, around.accounts.last_us());
        let mut unread = std::mem::take(&mut conn.unread);
        let taken = match cut(&unread, conn.payload_len_max) {
            Ok(Cut::Need(_)) => None,
            Ok(Cut::Frame { frame_type, payload, len }) => {
                let input = match decode(frame_type, payload) {
                    Ok(Some(frame)) => {
                        trace!(around.trace, "s{} < {link} {}", self.index.0, show::frame(&frame));
                        around.model.on_frame_in(link, &frame);
                        Input::Frame { conn: id, frame }
                    }
                    Ok(None) => Input::Heard { conn: id },
                    Err(error) => {
                        conn.is_broken = error.is_fatal();
                        Input::Broken { conn: id, error }
                    }
                };
                self.core.handle(now, input, &mut self.out);
                Some(len)
            }
            Err(error) => {
                conn.is_broken = true;
                self.core.handle(now, Input::Broken { conn: id, error }, &mut self.out);
                None
            }
        };
        unread.drain(..taken.unwrap_or(0));
        if let Some(conn) = self.conns.iter_mut().find(|conn| conn.id == id) {
            conn.unread = unread;
        }
        self.carry_out(around);
        taken.is_some()
    }

    /// Hands an input to the core and performs what it says.
    pub(super) fn handle(&mut self, input: Input<'_>, around: &mut Around<'_>) {
        self.core.handle(around.clock.now(), input, &mut self.out);
        self.carry_out(around);
    }
}
