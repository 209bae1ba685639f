//! How a world comes to rest: the disks work, the network is good, everybody is back, and what is owed must come.

use super::disk::DiskFaults;
use super::gateway::Phase;
use super::net::End;
use super::world::{World, around};

/// How long, in simulated time, a world may take to come to rest.
const REST_US: u64 = 600_000_000;
/// And in rounds, each of which lets everybody act who can.
const ROUND_COUNT: u32 = 20_000;

impl World {
    /// Lets everything come to rest. Some stay away if `some_are_absent`, and nothing is owed to them then.
    pub fn rest(&mut self, some_are_absent: bool) {
        self.repair(some_are_absent);
        let deadline_us = self.clock.mono_us() + REST_US;
        let mut quiet_count = 0;
        let mut has_moved = true;
        for _ in 0..ROUND_COUNT {
            self.revive(has_moved);
            let was_busy = self.round();
            has_moved = !was_busy;
            if self.model.violation.is_some() {
                return;
            }
            if was_busy {
                quiet_count = 0;
                continue;
            }
            // Nothing owed and nothing going on, for a few deadlines in a row: that is rest.
            quiet_count += u32::from(self.model.owed().is_none());
            if quiet_count > 4 || self.clock.mono_us() > deadline_us {
                break;
            }
            let next_us = self.next_deadline().unwrap_or(deadline_us + 1);
            self.clock.advance(next_us.saturating_sub(self.clock.mono_us()).max(1));
        }
        if let Some(owed) = self.model.owed() {
            self.model.fail(format!("at rest, and still: {owed}"));
        }
    }

    fn repair(&mut self, some_are_absent: bool) {
        for shard in 0..self.gateway.shard_count() {
            self.gateway.disk_mut(shard).faults = DiskFaults::default();
        }
        for user in 0..self.user_count {
            self.accounts.set_disabled(user, false);
            self.on_account_changed(user);
        }
        for at in 0..self.clients.len() {
            let is_away = some_are_absent && self.rng.chance(1, 4);
            let client = &mut self.clients[at];
            (client.deaf_until_us, client.idle_until_us) = (0, 0);
            self.model.set_away(client.install, is_away || client.is_leaving);
            if is_away {
                client.stop(around!(self));
            } else if let Some(link) = client.link() {
                self.net.set_capacity(link, End::Client, 1 << 16);
                self.net.set_capacity(link, End::Gateway, 1 << 16);
            }
            // What it did not look at while it was idle.
            self.clients[at].turn(around!(self));
        }
    }

    /// Starts whatever should run. Who was refused tries again when the clock has moved: people who type without a pause would stop
    /// it for everybody.
    fn revive(&mut self, has_moved: bool) {
        if self.gateway.is_read_only() {
            self.crash(false);
        }
        if self.gateway.phase() == Phase::Down {
            self.gateway.start(around!(self));
        }
        for at in 0..self.clients.len() {
            if self.bury(at) {
                continue;
            }
            let client = &mut self.clients[at];
            if self.model.is_away(client.install) {
                continue;
            }
            if !client.is_running() {
                client.start(around!(self));
            } else if client.ended.is_some() && has_moved {
                client.come_back(around!(self));
            }
        }
    }

    /// Lets everybody act who can, in any order; says whether anybody did.
    fn round(&mut self) -> bool {
        let mut was_busy = false;
        for _ in 0..self.gateway.shard_count() + self.clients.len() {
            self.mark_step();
            let at = self.rng.index(self.gateway.shard_count() + self.clients.len());
            was_busy |= self.act(at);
        }
        // Whoever was not picked must not be taken for idle.
        was_busy || (0..self.gateway.shard_count() + self.clients.len()).any(|at| self.act(at))
    }

    fn act(&mut self, at: usize) -> bool {
        let shard_count = self.gateway.shard_count();
        if at < shard_count {
            let around = around!(self);
            let has_work = self.gateway.has_work(at, around);
            if has_work {
                self.gateway.turn(at, around, 16, true);
            }
            has_work
        } else {
            let client = &mut self.clients[at - shard_count];
            let around = around!(self);
            let has_work = client.has_work(around);
            if has_work {
                client.turn(around);
            }
            has_work
        }
    }

    /// Judges what can only be judged at rest.
    pub fn judge(&mut self) {
        for client in &mut self.clients {
            if let Some(text) = client.undealt(&self.model) {
                self.model.fail(text);
            }
        }
        self.model.judge();
    }
}
