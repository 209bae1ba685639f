//! The world: one thread, one seed, and everything that happens in an order that chance picks.

use gateway_core::{ShardConfig, UnknownRecipients};
use storage::StoreId;
use wire::{Name, NameBuf};

use super::accounts::Accounts;
use super::client::SimClient;
use super::clock::Clock;
use super::fault::Planted;
use super::gateway::{Gateway, Phase};
use super::mesh::Mesh;
use super::model::{Model, Rules};
use super::net::Net;
use super::rng::Rng;
use super::trace::Trace;
use super::workload::{Profile, pick};

/// Gives the part of the world that its people and shards act on, and leaves the others to be borrowed.
macro_rules! around {
    ($world:expr) => {
        &mut $crate::sim::shell::Around {
            clock: &$world.clock,
            net: &mut $world.net,
            mesh: &mut $world.mesh,
            accounts: &mut $world.accounts,
            model: &mut $world.model,
            rng: &mut $world.rng,
            trace: &mut $world.trace,
        }
    };
}
pub(super) use around;

/// Everything.
#[derive(Debug)]
pub struct World {
    pub(super) profile: &'static Profile,
    pub(super) rng: Rng,
    pub(super) clock: Clock,
    pub(super) net: Net,
    pub(super) mesh: Mesh,
    pub(super) accounts: Accounts,
    /// The judge.
    pub model: Model,
    pub(super) trace: Trace,
    pub(super) gateway: Gateway,
    pub(super) clients: Vec<SimClient>,
    /// Users who log in; names behind them belong to nobody.
    pub(super) user_count: usize,
    names: Vec<NameBuf>,
    planted: Option<Planted>,
    unsent_count: u64,
    next_device: u32,
}

impl World {
    /// The world of this seed.
    pub fn new(mut rng: Rng, profile: &'static Profile, planted: Option<Planted>, trace: Trace) -> World {
        let user_count = 2 + rng.index(3);
        let names: Vec<NameBuf> = (0..=user_count).map(|user| name(user).into()).collect();
        let configs = configs(&mut rng);
        let rules = Rules {
            refuses_strangers: configs[0].unknown_recipients == UnknownRecipients::Refuse,
            inbox_count_max: configs[0].inbox_count_max,
        };
        let token_users = rng.next_u64();
        let has_tokens = |user: usize| user == user_count || token_users >> user & 1 == 1;
        let accounts = Accounts::new(&names, has_tokens, configs[0].key, configs.len());
        let mut world = World {
            profile,
            accounts,
            clock: Clock::new(),
            net: Net::default(),
            mesh: Mesh::new(configs.len()),
            model: Model::new(rules, names.clone()),
            trace,
            gateway: Gateway::new(configs, planted),
            clients: Vec::new(),
            user_count,
            names,
            planted,
            unsent_count: 5 + rng.below(56),
            next_device: 0,
            rng,
        };
        for user in 0..user_count {
            for _ in 0..=world.rng.below(profile.device_count_max) {
                world.add_client(user);
            }
        }
        world
    }

    /// A further device of a user; its program does not run yet.
    pub(super) fn add_client(&mut self, user: usize) {
        self.next_device += 1;
        let device = format!("d{}", self.next_device);
        let client = self.client(user, device);
        self.clients.push(client);
    }

    /// A client with an empty store.
    pub(super) fn client(&mut self, user: usize, device: String) -> SimClient {
        let install = self.model.install(user, &device);
        let habits = self.profile.habits(&mut self.rng, self.planted == Some(Planted::Sdk));
        let generation = self.accounts.of(user).generation;
        SimClient::new(install, user, self.names[user].clone(), device, generation, habits)
    }

    /// The time of misfortunes: until everything was sent, and a while longer.
    pub fn live(&mut self) {
        self.gateway.start(around!(self));
        let step_count = 500 + self.rng.below(2_500);
        for _ in 0..step_count {
            self.step();
            if self.model.violation.is_some() {
                return;
            }
        }
    }

    fn step(&mut self) {
        self.mark_step();
        match self.rng.below(100) {
            0..40 => {
                let shard = self.rng.index(self.gateway.shard_count());
                let input_count = 1 + self.rng.below(6);
                self.gateway.turn(shard, around!(self), input_count, true);
            }
            40..75 => {
                if let Some(at) = self.any_client() {
                    self.clients[at].turn(around!(self));
                }
            }
            75..90 => self.let_time_pass(),
            90..96 => self.send_something(),
            _ => self.start_something(),
        }
        if self.rng.chance(self.profile.chaos_rate, 1_000) {
            self.suffer();
        }
    }

    /// Moves on to the next step.
    pub(super) fn mark_step(&mut self) {
        self.model.now.step += 1;
        if self.trace.is_on() {
            let now = self.clock.now();
            self.trace.prefix = format!("{:>6} {:>11} ", self.model.now.step, now.mono_us);
        }
    }

    /// One of the clients, if there is any.
    pub(super) fn any_client(&mut self) -> Option<usize> {
        (!self.clients.is_empty()).then(|| self.rng.index(self.clients.len()))
    }

    fn let_time_pass(&mut self) {
        let us = match self.rng.below(100) {
            0..70 => self.rng.below(500),
            70..95 => self.rng.below(20_000),
            95..99 => self.next_deadline().map_or(1, |at| at.saturating_sub(self.clock.mono_us()).min(120_000_000)),
            _ if self.rng.chance(1, 8) => self.rng.below(120_000_000),
            _ => self.rng.below(3_000_000),
        };
        self.clock.advance(us);
    }

    fn send_something(&mut self) {
        let Some(at) = self.any_client() else { return };
        if self.unsent_count == 0 || !self.clients[at].is_running() || self.clients[at].is_leaving {
            return;
        }
        self.unsent_count -= 1;
        // Mostly to one of the others; sometimes to oneself, sometimes to a stranger.
        let to = match self.rng.below(20) {
            0 => self.clients[at].user,
            1 => self.user_count,
            _ => self.rng.index(self.user_count),
        };
        let len = self.profile.body_len(&mut self.rng);
        let is_ephemeral = self.rng.chance(1, 10);
        let name = self.names[to].clone();
        let count = if self.rng.chance(1, 4) { 1 + self.rng.below(6) } else { 1 };
        for _ in 0..count {
            self.clients[at].send(to, name.as_name(), len, is_ephemeral, around!(self));
        }
    }

    /// Whatever does not run may be started.
    fn start_something(&mut self) {
        if self.gateway.phase() == Phase::Down {
            if self.rng.chance(1, 4) {
                self.gateway.start(around!(self));
            }
            return;
        }
        let Some(at) = self.any_client() else { return };
        if self.bury(at) {
            return;
        }
        let client = &mut self.clients[at];
        if client.is_leaving {
            return;
        }
        if !client.is_running() {
            client.start(around!(self));
        } else if client.ended.is_some() && self.rng.chance(1, 2) {
            client.come_back(around!(self));
        }
    }

    /// Of a deleted account nothing is left but its name: somebody else may come, who takes the first that is free. Says whether
    /// that was so.
    pub(super) fn bury(&mut self, at: usize) -> bool {
        let client = &self.clients[at];
        let (user, device) = (client.user, client.device().to_owned());
        if client.generation == self.accounts.of(user).generation {
            return false;
        }
        let (is_over, install) = (!client.is_running() || client.ended.is_some() || client.is_leaving, client.install);
        if is_over {
            self.clients[at].stop(around!(self));
            self.model.forget_install(install);
            self.clients[at] = self.client(user, device);
            self.model.tally.count("successor");
        }
        true
    }

    /// When something is due that nobody asks for.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        let clients = self.clients.iter().filter_map(SimClient::next_deadline);
        clients.chain(self.gateway.next_deadline()).min()
    }
}

fn name(user: usize) -> Name<'static> {
    const NAMES: [&str; 5] = ["ada", "bob", "cleo", "dan", "eve"];
    Name::parse(NAMES[user].as_bytes()).expect("a name")
}

/// When the first of those who are drained come back.
pub(super) const DRAIN_SLOT_START_MS: u32 = 20;
/// Over how long they come back.
pub(super) const DRAIN_SLOT_LEN_MS: u32 = 100;

/// Shards with everything so small that every edge is near.
fn configs(rng: &mut Rng) -> Vec<ShardConfig> {
    let shard_count = pick(rng, [1, 2, 3]);
    let mut key = [0; 16];
    key[..8].copy_from_slice(&rng.next_u64().to_le_bytes());
    let mut config = ShardConfig::new(0, shard_count, StoreId([7; 16]), key);
    config.segment_len = 64 << 10;
    config.reserve_us = pick(rng, [20_000, 1_000_000, 60_000_000]);
    config.heartbeat_s = 25;
    config.confirm_timeout_ms = pick(rng, [1, 10, 250]);
    config.lane_count_max = pick(rng, [1, 4, 4_096]);
    config.lane_len_max = pick(rng, [64, 16 << 20]);
    config.inbox_count_max = if rng.chance(1, 6) { 3 } else { 1_000_000 };
    config.unknown_recipients = if rng.chance(1, 4) { UnknownRecipients::Refuse } else { UnknownRecipients::Store };
    config.drain_slot_start_ms = DRAIN_SLOT_START_MS;
    config.drain_slot_len_ms = DRAIN_SLOT_LEN_MS;
    (0..shard_count).map(|shard| ShardConfig { shard: gateway_core::ShardIndex(shard), ..config.clone() }).collect()
}
