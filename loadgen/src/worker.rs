//! One process of a run: an event loop over its users, on one thread.

use std::io;
use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use shardwire_sdk::tls::TlsConfig;

use crate::clock;
use crate::link::{Order, Plan, Word, hear, say};
use crate::rng::Rng;
use crate::scenario::Load;
use crate::schedule::{Schedule, whole};
use crate::tally::Tally;
use crate::timeline::Usage;
use crate::timers::Timers;
use crate::token::Mint;
use crate::user::{Shared, User};

/// The whole life of a worker process: a plan comes in, the run's orders follow, the result goes out.
///
/// # Errors
/// When the run that started it is gone. What else fails is told to the run.
pub(crate) fn main() -> Result<()> {
    match Worker::start().and_then(Worker::run) {
        Ok(()) => Ok(()),
        Err(error) => say(&mut io::stdout().lock(), &Word::Failed(format!("{error:#}"))),
    }
}

struct Worker {
    plan: Plan,
    shared: Shared,
    users: Vec<User>,
    /// Slots of users with something to settle; each once.
    dirty: Vec<u32>,
    /// Slots of users who write.
    senders: Vec<u32>,
    orders: Orders,
    phase: Phase,
    connect_start_ns: u64,
    /// At the start of the run; later, over the run.
    usage: Usage,
    next_progress_ns: u64,
}

enum Phase {
    /// Everybody logs in; also the wait for the others.
    Register,
    /// From `start_ns` on messages flow.
    Flow {
        start_ns: u64,
        started: bool,
        schedule: Schedule,
    },
    /// Outcomes and deliveries still come.
    Collect,
    Finished,
}

impl Worker {
    fn start() -> Result<Worker> {
        let mut orders = Orders::default();
        let plan = loop {
            match orders.next()? {
                Some(Order::Plan(plan)) => break *plan,
                Some(_) => anyhow::bail!("the plan comes first"),
                None => orders.read()?,
            }
        };
        let part = plan.scenario.part(plan.index, plan.count);
        let mut rng = Rng::new(plan.seed);
        let tls = plan.tls.as_ref().map(|(host, ca)| {
            let config = TlsConfig::from_ca_pem(ca.as_bytes()).context("--ca")?;
            Ok::<_, anyhow::Error>((host.clone(), config))
        });
        let mint = Mint::new(&plan.token_key)?;
        let tokens: Result<Vec<String>> =
            part.clone().map(|index| mint.token(&plan.scenario.user_name(index))).collect();
        let mut users = Vec::with_capacity(part.len());
        let connect_start_ns = clock::now_ns();
        for ((slot, index), token) in (0u32..).zip(part.clone()).zip(tokens?) {
            let at_us = connect_start_ns / 1_000 + pace_us(slot, plan.connect_rate);
            let seed = rng.next_u64();
            users.push(User::new(&plan.scenario, index, slot, token, plan.ack_delay_ms, at_us, seed)?);
        }
        let senders = part.clone().zip(0u32..);
        let senders = senders.filter(|(index, _)| plan.scenario.is_sender(*index));
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, io::stdin(), EventData::new_u64(ORDERS), EventFlags::IN)?;
        Ok(Worker {
            shared: Shared {
                target: plan.target,
                tls: tls.transpose()?,
                epoll,
                timers: Timers::new(users.len()),
                tally: Tally::new(&plan.scenario),
                rng,
                end_ns: u64::MAX,
                window: None,
                registered_ns: connect_start_ns,
                fatal: None,
                buffer: vec![0; 64 << 10].into_boxed_slice(),
                body: Vec::new(),
                plaintext: Vec::new(),
                scenario: plan.scenario.clone(),
            },
            dirty: (0u32..).take(users.len()).collect(),
            senders: senders.map(|(_, slot)| slot).collect(),
            users,
            orders,
            phase: Phase::Register,
            connect_start_ns,
            usage: Usage::default(),
            next_progress_ns: 0,
            plan,
        })
    }

    fn run(mut self) -> Result<()> {
        let mut events = Vec::with_capacity(EVENTS_PER_TURN);
        loop {
            let now_ns = clock::now_ns();
            self.step_phase(now_ns);
            self.send_due(now_ns);
            while let Some(slot) = self.shared.timers.take_due(now_ns / 1_000) {
                self.touch(slot, |user, shared| user.on_time(shared, now_ns));
            }
            self.settle();
            if let Some(why) = self.shared.fatal.take() {
                anyhow::bail!(why);
            }
            if now_ns >= self.next_progress_ns {
                self.next_progress_ns = now_ns + PROGRESS_EVERY_NS;
                self.shared.tally.timeline.on_usage(now_ns, clock::usage());
                say(&mut io::stdout().lock(), &Word::Progress(self.shared.tally.progress.clone()))?;
            }
            if matches!(self.phase, Phase::Finished) {
                return self.finish();
            }
            self.wait(&mut events)?;
            self.take_events(&mut events)?;
        }
    }

    fn step_phase(&mut self, now_ns: u64) {
        match &mut self.phase {
            Phase::Flow { start_ns, started, .. } if !*started && now_ns >= *start_ns => {
                *started = true;
                self.usage = clock::usage();
                self.shared.tally.timeline.start(*start_ns, self.usage);
                if let Load::Closed { window } = self.plan.scenario.load {
                    self.shared.window = Some(window);
                    for slot in self.senders.clone() {
                        self.touch(slot, |user, _| user.is_dirty = true);
                    }
                }
            }
            Phase::Flow { started: true, .. } if now_ns >= self.shared.end_ns => {
                // The last messages were due before the end: they leave first.
                self.send_due(now_ns);
                self.usage = clock::usage().since(self.usage);
                self.shared.window = None;
                self.phase = Phase::Collect;
                self.call_back(now_ns);
            }
            Phase::Register | Phase::Flow { .. } | Phase::Collect | Phase::Finished => {}
        }
    }

    /// Those who were away return.
    fn call_back(&mut self, now_ns: u64) {
        let first = self.plan.scenario.part(self.plan.index, self.plan.count).start;
        let mut back = 0;
        for slot in (0u32..).take(self.users.len()) {
            if self.plan.scenario.is_away(first + slot) {
                let at_us = now_ns / 1_000 + pace_us(back, self.plan.connect_rate);
                self.touch(slot, |user, _| user.come_back(at_us));
                back += 1;
            }
        }
    }

    fn send_due(&mut self, now_ns: u64) {
        let Phase::Flow { schedule, .. } = &mut self.phase else {
            return;
        };
        while let Some(intended_ns) = schedule.take_due(now_ns) {
            let count = u32::try_from(self.senders.len()).expect("there are u32 users");
            let chosen = self.shared.rng.below(count) as usize;
            let slot = *self.senders.get(chosen).expect("without senders the rate is 0");
            let user = self.users.get_mut(slot as usize).expect("slots are those of users");
            let was_dirty = user.is_dirty;
            user.send(&mut self.shared, intended_ns, now_ns);
            if !was_dirty {
                self.dirty.push(slot);
            }
        }
    }

    /// Does something with a user, and settles it later in this turn.
    fn touch(&mut self, slot: u32, act: impl FnOnce(&mut User, &mut Shared)) {
        if let Some(user) = self.users.get_mut(slot as usize) {
            let was_dirty = user.is_dirty;
            act(user, &mut self.shared);
            if user.is_dirty && !was_dirty {
                self.dirty.push(slot);
            }
        }
    }

    fn settle(&mut self) {
        for slot in self.dirty.drain(..) {
            let user = self.users.get_mut(slot as usize).expect("slots are those of users");
            user.settle(&mut self.shared, clock::now_ns());
        }
    }

    fn wait(&mut self, events: &mut Vec<Event>) -> Result<()> {
        let scheduled = match &self.phase {
            Phase::Flow { start_ns, started: false, .. } => Some(*start_ns),
            Phase::Flow { schedule, .. } => {
                Some(schedule.next_at_ns().unwrap_or(self.shared.end_ns).min(self.shared.end_ns))
            }
            Phase::Register | Phase::Collect | Phase::Finished => None,
        };
        let timer = self.shared.timers.next_at().map(|at_us| at_us.saturating_mul(1_000));
        let next_ns = [scheduled, timer].into_iter().flatten().fold(self.next_progress_ns, u64::min);
        let wait_ns = next_ns.saturating_sub(clock::now_ns());
        let timeout = Timespec {
            tv_sec: i64::try_from(wait_ns / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(wait_ns % 1_000_000_000).unwrap_or(0),
        };
        events.clear();
        match epoll::wait(&self.shared.epoll, spare_capacity(events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("epoll"),
        }
    }

    fn take_events(&mut self, events: &mut Vec<Event>) -> Result<()> {
        for event in events.drain(..) {
            let (data, flags) = (event.data, event.flags);
            match u32::try_from(data.u64()) {
                Ok(slot) => {
                    self.touch(slot, |user, shared| {
                        user.on_ready(shared, flags, clock::now_ns());
                    });
                }
                Err(_) => {
                    self.orders.read()?;
                    while let Some(order) = self.orders.next()? {
                        self.obey(&order)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn obey(&mut self, order: &Order) -> Result<()> {
        match order {
            Order::Start { at_ns } => {
                ensure!(matches!(self.phase, Phase::Register), "a second start");
                let end_ns = at_ns + self.plan.scenario.duration_ns;
                self.shared.end_ns = end_ns;
                let rate = self.rate();
                let schedule = Schedule::new(*at_ns, end_ns, rate, self.shared.rng.next_u64());
                self.phase = Phase::Flow { start_ns: *at_ns, started: false, schedule };
            }
            Order::Finish => self.phase = Phase::Finished,
            Order::Plan(_) => anyhow::bail!("a second plan"),
        }
        Ok(())
    }

    /// This worker's share of the rate: as its users' share of those who write.
    fn rate(&self) -> f64 {
        let scenario = &self.plan.scenario;
        let all = (0..scenario.users).filter(|user| scenario.is_sender(*user)).count();
        match scenario.load {
            Load::Open { rate } => rate * self.senders.len() as f64 / all as f64,
            Load::Closed { .. } => 0.0,
        }
    }

    fn finish(self) -> Result<()> {
        let sent = self.users.into_iter().map(User::into_sent).collect();
        let connect_ns = (self.connect_start_ns, self.shared.registered_ns);
        let part = self.shared.tally.into_part(sent, connect_ns, self.usage);
        say(&mut io::stdout().lock(), &Word::Result(Box::new(part)))
    }
}

/// How long after the first of them the login of number `rank` begins.
fn pace_us(rank: u32, rate: f64) -> u64 {
    whole(f64::from(rank) / rate * 1e6)
}

/// The lines from the run that have come and were not taken.
#[derive(Default)]
struct Orders {
    bytes: Vec<u8>,
}

impl Orders {
    /// Takes what has come; waits if nothing has.
    fn read(&mut self) -> Result<()> {
        let mut chunk = [0; 4096];
        let len = rustix::io::retry_on_intr(|| rustix::io::read(io::stdin().as_fd(), &mut chunk))?;
        ensure!(len > 0, "the run that started this worker is gone");
        self.bytes.extend_from_slice(chunk.get(..len).expect("a read fills at most the buffer"));
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Order>> {
        let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let line: Vec<u8> = self.bytes.drain(..=end).collect();
        hear(&line).map(Some)
    }
}

/// Stands for the standard input in epoll: no slot of a user.
const ORDERS: u64 = u64::MAX;
const EVENTS_PER_TURN: usize = 1_024;
const PROGRESS_EVERY_NS: u64 = 100_000_000;
