//! One shard's thread: it owns the shard, its sockets and its files, and does what the shard says. Steps 3 to 9 of the walk.
//!
//! The thread runs a monoio runtime for files and timers; one task of it is the loop here. A turn of the loop hands everything that
//! came to the shard, one [`Input`] after the other, carries out each [`Output`] in its order, and then sends. The loop sleeps
//! through the runtime, on the eventfd that the reactor's ring rings, when a turn found nothing.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam::channel::Sender;
use gateway_core::{
    ConnId, Credential, DrainLeft, Envelope, Grant, Input, Notice, Now, Output, Outputs, Refusal, Shard, ShardConfig,
    ShardIndex,
};
use tokio::sync::oneshot;
use tracing::{debug, warn};
use wire::limits::HELLO_PAYLOAD_LEN_MAX;
use wire::{DeviceBuf, Frame, NameBuf};

use crate::accounts::Accounts;
use crate::auth::CHECK_TIME_PER_TURN;
use crate::bell::Bell;
use crate::cpu;
use crate::disk::Disk;
use crate::error::Error;
use crate::handoff::Leaving;
use crate::mesh::{Letter, MeshEnd, Wake};
use crate::notice;
use crate::pacer::Pacer;
use crate::reactor::{DescriptorBudget, Event, Net, Reactor, ring};
use crate::secrets::Secrets;
use crate::snapshot::Snapshot;
use crate::traffic::Traffic;

/// What a shard's thread is given.
pub(crate) struct Setup {
    /// The shard's configuration, with its number.
    pub(crate) config: ShardConfig,
    /// The CPU to stay on.
    pub(crate) cpu: usize,
    /// All that the process may use.
    pub(crate) cpus: Arc<[usize]>,
    /// The directory of its log.
    pub(crate) dir: PathBuf,
    /// Its end of the mesh.
    pub(crate) mesh: MeshEnd,
    /// How people are let in.
    pub(crate) secrets: Arc<Secrets>,
    /// Who looks at passwords.
    pub(crate) accounts: Accounts,
    /// What connections may take of the process's descriptors.
    pub(crate) budget: Arc<DescriptorBudget>,
    /// To the main thread.
    pub(crate) reports: Sender<Report>,
}

/// What a thread tells the main thread.
#[derive(Debug)]
pub(crate) enum Report {
    /// A shard has recovered its log.
    Ready,
    /// A shard has drained.
    Drained,
    /// What a shard's drain waits for; nothing, when it has drained.
    Left(u16, Option<DrainLeft>),
    /// A shard has ended, as it was told to.
    Ended,
    /// A shard cannot go on.
    Failed(Error),
    /// SIGTERM or SIGINT.
    Signal,
    /// SIGHUP.
    Reload,
}

/// The body of the thread.
pub(crate) fn run(setup: Setup) {
    let (shard, reports) = (setup.config.shard.0, setup.reports.clone());
    if let Err(error) = cpu::pin(&[setup.cpu]) {
        // It works without, only slower.
        warn!(shard, cpu = setup.cpu, %error, "cannot stay on one CPU");
    }
    let report = match drive_in_runtime(setup) {
        Ok(()) => Report::Ended,
        Err(error) => Report::Failed(error),
    };
    // Without a main thread there is nobody to tell, and nothing to tell him.
    let _ = reports.send(report);
}

/// The shard and all that it uses, but its sockets.
struct ShardLoop {
    shard: Shard,
    outputs: Outputs,
    clock: Clock,
    /// Read at the beginning and at the end of each turn.
    now: Now,
    /// Something was handed in since the last [`Input::TurnEnd`].
    has_input: bool,
    mesh: MeshEnd,
    /// Taken from the mesh and not handed in yet; empty between turns.
    received: Vec<(ShardIndex, Envelope)>,
    disk: Disk,
    leaving: Leaving,
    secrets: Arc<Secrets>,
    accounts: Accounts,
    /// Logins with a password that the accounts did not take.
    refused: VecDeque<(ConnId, Refusal)>,
    /// Credentials to be checked, oldest first. At most one for each connection.
    checks: VecDeque<(ConnId, NameBuf, DeviceBuf, Credential)>,
    /// What was asked with ACCOUNT and the accounts did not take.
    refused_accounts: VecDeque<(ConnId, u32, Refusal)>,
    payload_len_max: u32,
    index: u16,
    reports: Sender<Report>,
    traffic: Traffic,
    /// Who wants to know how the shard is, at the end of this turn.
    askers: Vec<oneshot::Sender<Box<Snapshot>>>,
    is_stopping: bool,
    failure: Option<Error>,
}

fn drive_in_runtime(setup: Setup) -> Result<(), Error> {
    let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new()
        .with_entries(RUNTIME_ENTRIES)
        .enable_timer()
        .build()
        .map_err(|error| Error::NoRing(ring::explain(&error)))?;
    let pacer = Rc::new(Pacer::default());
    let result = runtime.block_on(async {
        let mut drive = pin!(monoio::spawn(drive(setup, Rc::clone(&pacer))));
        poll_fn(|context| {
            pacer.go_on(context);
            drive.as_mut().poll(context)
        })
        .await
    });
    if result.is_err() {
        // Operations may be under way, and the kernel uses their buffers. The process is about to end.
        std::mem::forget(runtime);
    }
    result
}

async fn drive(setup: Setup, pacer: Rc<Pacer>) -> Result<(), Error> {
    let hello_len_max = u32::try_from(HELLO_PAYLOAD_LEN_MAX).expect("a few KiB");
    let mut reactor =
        Reactor::new(setup.budget, hello_len_max).map_err(|error| Error::NoRing(ring::explain(&error)))?;
    let bell = Bell::new();
    let doorbell = || reactor.bell().map_err(Error::system("share the shard's eventfd"));
    let (listened_on, pressed_by_others, own) = (doorbell()?, doorbell()?, doorbell()?);
    let mut mesh = setup.mesh;
    let disk = Disk::new(setup.config.shard.0, setup.dir, setup.cpus, Rc::clone(&bell), Arc::clone(mesh.mesh()))?;
    let listened_on = monoio::fs::File::from_std(listened_on.into()).map_err(Error::system("use an eventfd"))?;
    let is_over = Rc::new(std::cell::Cell::new(false));
    let listener = monoio::spawn(listen_to_doorbell(listened_on, Rc::clone(&bell), Rc::clone(&is_over)));
    set_tls(reactor.net(), &setup.secrets);
    mesh.open(reactor.net().ring_number(), pressed_by_others);
    let clock = Clock::new();
    let mut this = ShardLoop {
        now: clock.now(),
        clock,
        payload_len_max: setup.config.payload_len_max,
        index: setup.config.shard.0,
        shard: Shard::new(setup.config),
        outputs: Outputs::default(),
        has_input: false,
        mesh,
        received: Vec::new(),
        disk,
        leaving: Leaving::default(),
        secrets: setup.secrets,
        accounts: setup.accounts,
        refused: VecDeque::new(),
        checks: VecDeque::new(),
        refused_accounts: VecDeque::new(),
        reports: setup.reports,
        traffic: Traffic::default(),
        askers: Vec::new(),
        is_stopping: false,
        failure: None,
    };
    this.run(&mut reactor, &bell, &pacer).await?;
    // A read that is under way must not outlive its buffer.
    is_over.set(true);
    rustix::io::write(&own, &1u64.to_ne_bytes()).map_err(|error| Error::system("end the shard")(error.into()))?;
    listener.await;
    Ok(())
}

/// For those who come from now on.
fn set_tls(net: &mut Net, secrets: &Secrets) {
    if let Some(config) = &secrets.tls {
        net.set_tls(Arc::clone(config));
    }
}

/// Rings `bell` whenever the reactor's eventfd was written to, by the ring or by another thread.
async fn listen_to_doorbell(eventfd: monoio::fs::File, bell: Rc<Bell>, is_over: Rc<std::cell::Cell<bool>>) {
    let mut count = vec![0; 8];
    while !is_over.get() {
        let (result, buffer) = eventfd.read_at(count, 0).await;
        count = buffer;
        if let Err(error) = result {
            assert_eq!(error.kind(), std::io::ErrorKind::Interrupted, "an eventfd can be read: {error}");
        }
        bell.ring();
    }
}

impl ShardLoop {
    async fn run(&mut self, reactor: &mut Reactor, bell: &Bell, pacer: &Pacer) -> Result<(), Error> {
        self.shard.start(self.now, &mut self.outputs);
        self.carry_out(reactor.net());
        let mut turns_since_yield = 0;
        loop {
            self.now = self.clock.now();
            let is_busy = reactor
                .turn(WORK_PER_TURN, &mut |net, event| self.on_event(net, event))
                .map_err(Error::system("use the shard's ring"))?;
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if self.is_stopping && reactor.net().count() == 0 && self.disk.in_flight() == 0 {
                return Ok(());
            }
            let has_slept = !is_busy && self.checks.is_empty() && self.sleep(reactor, bell).await;
            turns_since_yield = if has_slept { 0 } else { turns_since_yield + 1 };
            // The runtime's tasks hand operations to the disk and take completions only while this one waits; what keeps it from
            // that may be the sockets or other shards.
            if turns_since_yield >= TURNS_PER_YIELD || (turns_since_yield > 0 && self.disk.in_flight() > 0) {
                turns_since_yield = 0;
                pacer.pause().await;
            }
        }
    }

    /// Waits until something comes or a deadline passes. False when it did not wait, since something had come already.
    async fn sleep(&mut self, reactor: &mut Reactor, bell: &Bell) -> bool {
        let mut has_slept = false;
        if self.mesh.fall_asleep() {
            if reactor.wait_fd().is_some() {
                has_slept = true;
                let tick_at = self.shard.next_deadline().map(|at| self.clock.instant(at));
                match tick_at.into_iter().chain(reactor.deadline()).min() {
                    None => bell.wait().await,
                    Some(at) => {
                        monoio::select! {
                            () = bell.wait() => {}
                            () = monoio::time::sleep_until(monoio::time::Instant::from_std(at)) => {}
                        }
                    }
                }
            }
            self.mesh.wake_up();
        }
        has_slept
    }

    fn on_event(&mut self, net: &mut Net, event: Event<'_>) {
        match event {
            Event::Opened { conn } => self.handle(net, Input::Opened { conn }),
            Event::Frame { conn, frame_type, payload } => match wire::decode(frame_type, payload) {
                Ok(Some(frame)) => {
                    self.traffic.received.count(frame_type);
                    self.on_frame(net, conn, frame);
                }
                Ok(None) => self.handle(net, Input::Heard { conn }),
                Err(error) => {
                    self.traffic.malformed += 1;
                    if error.is_fatal() {
                        net.mark_broken(conn);
                    }
                    self.handle(net, Input::Broken { conn, error });
                }
            },
            Event::Broken { conn, error } => {
                self.traffic.malformed += 1;
                self.handle(net, Input::Broken { conn, error });
            }
            Event::Heard { conn } => self.handle(net, Input::Heard { conn }),
            Event::Blocked { conn } => self.handle(net, Input::Blocked { conn }),
            Event::Sent { conn, left } => self.handle(net, Input::Sent { conn, left }),
            Event::Closed { conn } => self.handle(net, Input::Closed { conn }),
            Event::Released { conn, detached } => {
                let (to, handoff) = self.leaving.remove(conn, detached);
                self.mesh.hand_off(to, handoff, |wake| wake_by_ring(net, &wake));
            }
            Event::WakeFailed { shard } => {
                let shard = u16::try_from(shard).expect("as it was given to the ring");
                self.mesh.mesh().ring_bell(shard);
            }
            Event::TurnEnd => self.on_turn_end(net),
        }
    }

    fn on_frame(&mut self, net: &mut Net, conn: ConnId, frame: Frame<'_>) {
        self.handle(net, Input::Frame { conn, frame });
    }

    /// Everything that did not come from a socket; then the turn's inputs are all handed in.
    fn on_turn_end(&mut self, net: &mut Net) {
        self.now = self.clock.now();
        while let Some(letter) = self.mesh.next_letter() {
            self.on_letter(net, letter);
        }
        for _ in 0..HANDOFFS_PER_TURN {
            let Some(handoff) = self.mesh.next_handoff() else { break };
            let conn = net.adopt(*handoff.detached, self.payload_len_max);
            self.handle(net, Input::Adopt { conn, login: handoff.login });
        }
        let received = &mut self.received;
        self.mesh.receive(
            BATCHES_PER_TURN,
            |wake| wake_by_ring(net, &wake),
            |from, envelope| received.push((from, envelope)),
        );
        let mut received = std::mem::take(&mut self.received);
        for (from, envelope) in received.drain(..) {
            self.handle(net, Input::Envelope { from, envelope });
        }
        self.received = received;
        while let Some(done) = self.disk.next_done() {
            self.handle(net, Input::Disk(done));
        }
        self.check_credentials(net);
        while let Some((conn, refusal)) = self.refused.pop_front() {
            self.handle(net, Input::Authenticated { conn, verdict: Err(refusal) });
        }
        while let Some((conn, request, refusal)) = self.refused_accounts.pop_front() {
            self.handle(net, Input::AccountDone { conn, request, result: Err(refusal) });
        }
        if self.shard.next_deadline().is_some_and(|at| at <= self.now.mono_us) {
            self.handle(net, Input::Tick);
        }
        if self.has_input {
            self.handle(net, Input::TurnEnd);
            self.has_input = false;
        }
        self.mesh.push(|wake| wake_by_ring(net, &wake));
        self.answer_askers(net);
    }

    /// Tells whoever asked how the shard is.
    fn answer_askers(&mut self, net: &Net) {
        for asker in std::mem::take(&mut self.askers) {
            let snapshot = Snapshot {
                traffic: self.traffic,
                core: *self.shard.counters(),
                population: self.shard.population(),
                log: *self.shard.log_counters(),
                log_status: self.shard.log_status(),
                net: net.counters(),
                lanes: self.mesh.load(),
                disk_in_flight: self.disk.in_flight() as u64,
            };
            // Who has stopped waiting is not there any more.
            let _ = asker.send(Box::new(snapshot));
        }
    }

    /// Checks what waits to be checked, as long as a turn allows.
    fn check_credentials(&mut self, net: &mut Net) {
        let begin = Instant::now();
        while let Some((conn, user, device, credential)) = self.checks.pop_front() {
            if !net.is_open(conn) {
                continue;
            }
            if net.is_ending(conn) {
                // Gave up waiting: in a crowd of logins, those who still wait come first.
                net.close(conn);
                self.handle(net, Input::Closed { conn });
                continue;
            }
            let verdict = self.secrets.check(&user, &device, &credential, self.now.wall_us).map_err(Refusal::from);
            self.handle(net, Input::Authenticated { conn, verdict });
            if begin.elapsed() >= CHECK_TIME_PER_TURN {
                break;
            }
        }
    }

    fn on_letter(&mut self, net: &mut Net, letter: Letter) {
        match letter {
            Letter::Serve { socket, is_tls } => net.start_accepting(socket, is_tls),
            Letter::Secrets(secrets) => {
                set_tls(net, &secrets);
                self.secrets = secrets;
            }
            Letter::Drain => {
                net.stop_accepting();
                self.handle(net, Input::Drain);
            }
            Letter::TellLeft => self.report(Report::Left(self.index, self.shard.drain_left())),
            Letter::Stop => self.is_stopping = true,
            Letter::Report(asker) => self.askers.push(asker),
            Letter::Disk(done) => self.disk.on_helped(done),
            Letter::LoginChecked { conn, user, device, verdict } => {
                let verdict = verdict.map(|proven_us| {
                    let ticket = self.fresh_ticket(&user, &device, proven_us);
                    Grant { proven_us, by_ticket: false, ticket }
                });
                self.on_login_checked(net, conn, verdict);
            }
            Letter::AccountDone { conn, request, result } => {
                let result = result.map(|renewed| {
                    renewed.map_or_else(Box::default, |(user, device, us)| self.fresh_ticket(&user, &device, us))
                });
                self.handle(net, Input::AccountDone { conn, request, result });
            }
            Letter::Void { user, before_us, code, purge, except } => {
                self.handle(net, Input::Void { user, before_us, code, purge, except });
            }
        }
    }

    /// A ticket for a proof that the accounts thread has just seen: its clock may be ahead of this turn's.
    fn fresh_ticket(&self, user: &str, device: &str, proven_us: u64) -> Box<[u8]> {
        self.secrets.ticket(user, device, proven_us, self.now.wall_us.max(proven_us))
    }

    fn on_login_checked(&mut self, net: &mut Net, conn: ConnId, verdict: Result<Grant, Refusal>) {
        if net.is_open(conn) && net.is_ending(conn) {
            // Gave up waiting, as in `check_credentials`.
            net.close(conn);
            return self.handle(net, Input::Closed { conn });
        }
        self.handle(net, Input::Authenticated { conn, verdict });
    }

    fn handle(&mut self, net: &mut Net, input: Input<'_>) {
        if let Input::Authenticated { conn, verdict: Err(refusal) } = &input {
            debug!(shard = self.index, conn = conn.index, code = refusal.code.number(), "a login is refused");
        }
        self.has_input = true;
        self.shard.handle(self.now, input, &mut self.outputs);
        self.carry_out(net);
    }

    /// Does what the shard said, in its order.
    fn carry_out(&mut self, net: &mut Net) {
        let mut outputs = std::mem::take(&mut self.outputs);
        for output in outputs.list.drain(..) {
            match output {
                Output::Write { conn, start, len } => {
                    let frames = outputs.bytes.get(start as usize..).and_then(|bytes| bytes.get(..len as usize));
                    let frames = frames.expect("a write points into the bytes beside it");
                    self.traffic.on_written(frames);
                    net.write(conn, frames);
                }
                Output::Authenticate { conn, user, device, credential: Credential::Password(password) } => {
                    net.pause(conn);
                    let peer = net.peer(conn);
                    let taken = self.accounts.try_login(self.index, conn, (user, device), password, peer);
                    self.refused.extend(taken.err().map(|refusal| (conn, refusal)));
                }
                Output::Authenticate { conn, user, device, credential } => {
                    net.pause(conn);
                    self.checks.push_back((conn, user, device, credential));
                }
                Output::Account { conn, request } => {
                    let (number, peer) = (request.request, net.peer(conn));
                    let taken = self.accounts.try_account(self.index, conn, request, peer);
                    self.refused_accounts.extend(taken.err().map(|refusal| (conn, number, refusal)));
                }
                Output::Purged { user } => self.accounts.on_purged(user),
                Output::Handoff { conn, to, login } => {
                    if net.release(conn) {
                        self.leaving.add(conn, to, login);
                    }
                }
                Output::Forward { to, envelope } => self.mesh.stage(to, envelope),
                Output::Disk(op) => self.disk.start(op),
                Output::PauseRead { conn } => net.pause(conn),
                Output::ResumeRead { conn } => net.resume(conn),
                Output::Close { conn } => {
                    debug!(shard = self.index, conn = conn.index, "closing a connection");
                    net.close(conn);
                }
                Output::Ready { .. } => self.report(Report::Ready),
                Output::Drained => self.report(Report::Drained),
                Output::Notice(notice) => self.on_notice(notice),
            }
        }
        outputs.clear();
        self.outputs = outputs;
    }

    fn on_notice(&mut self, notice: Notice) {
        let shard = self.index;
        match notice {
            Notice::Unusable(reason) => self.failure = Some(Error::Unusable { shard, reason }),
            notice => notice::log(shard, &notice),
        }
    }

    fn report(&self, report: Report) {
        // Without a main thread the process is about to end.
        let _ = self.reports.send(report);
    }
}

/// The two clocks, as the shard counts them.
#[derive(Clone, Copy)]
struct Clock {
    zero: Instant,
}

impl Clock {
    fn new() -> Clock {
        Clock { zero: Instant::now() }
    }

    fn now(self) -> Now {
        // Before 1970 a clock is as good as stopped: ids then go on from the last one.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono_us: micros(self.zero.elapsed()), wall_us: micros(wall) }
    }

    fn instant(self, mono_us: u64) -> Instant {
        self.zero + Duration::from_micros(mono_us)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).expect("584,000 years fit")
}

fn wake_by_ring(net: &mut Net, wake: &Wake) {
    net.wake(wake.ring_number, wake.shard.into());
}

/// What a turn does before it sends, as [`Reactor::turn`] counts it: reads, or 8192 frames, or 4 MiB; some milliseconds at most.
const WORK_PER_TURN: usize = 2048;
/// Turns of a busy loop between two looks at the runtime's own ring, when no file is in use.
const TURNS_PER_YIELD: u32 = 8;
/// Connections taken over in one turn.
const HANDOFFS_PER_TURN: usize = 256;
/// Batches taken from each lane in one turn.
const BATCHES_PER_TURN: usize = 8;
/// The runtime carries files and one eventfd.
const RUNTIME_ENTRIES: u32 = 256;

#[cfg(test)]
mod tests {
    use crate::auth::Verifier;
    use crate::mesh::Mesh;

    use super::*;

    const SHARD_COUNT: u16 = 64;

    #[test]
    fn a_shard_that_others_never_leave_alone_gets_to_its_disk() {
        let dir = tempfile::tempdir().unwrap();
        let mesh = Mesh::new(SHARD_COUNT);
        let mut others: Vec<_> = (1..SHARD_COUNT).map(|other| mesh.end(other)).collect();
        // So many, and full lanes to begin with, that it is slower to take them than to write them.
        let pester = |other: &mut MeshEnd| {
            if !other.holds_back() {
                for _ in 0..128 {
                    other.stage(ShardIndex(0), Envelope::Taken { count: 0, len: 0 });
                }
            }
            other.push(|wake| mesh.ring_bell(wake.shard));
        };
        for other in &mut others {
            while !other.holds_back() {
                pester(other);
            }
        }
        let (sender, reports) = crossbeam::channel::unbounded();
        let cpus: Arc<[usize]> = cpu::allowed().unwrap().into();
        let config = ShardConfig::new(0, SHARD_COUNT, storage::StoreId([1; 16]), [2; 16]);
        let setup = Setup {
            config,
            cpu: cpus[0],
            cpus,
            dir: dir.path().to_owned(),
            mesh: mesh.end(0),
            accounts: Accounts::nobodys(),
            secrets: Arc::new(Secrets { tls: None, verifier: Verifier::without_key(), tickets: None }),
            budget: DescriptorBudget::new(1),
            reports: sender,
        };
        let shard = std::thread::spawn(move || run(setup));
        let mut pester_until = |wanted: fn(&Report) -> bool| {
            let give_up = Instant::now() + Duration::from_secs(30);
            loop {
                for other in &mut others {
                    pester(other);
                }
                match reports.try_recv() {
                    Ok(report) if wanted(&report) => break,
                    Ok(report) => panic!("{report:?}"),
                    Err(_) => assert!(Instant::now() < give_up, "its disk stands still"),
                }
            }
        };
        // To recover its log it must read the disk.
        pester_until(|report| matches!(report, Report::Ready));
        mesh.send_letter(0, Letter::Stop);
        pester_until(|report| matches!(report, Report::Ended));
        shard.join().unwrap();
    }
}
