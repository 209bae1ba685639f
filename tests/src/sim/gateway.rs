//! The gateway as one machine: shards that live and die together, each with a disk that outlives them.

use gateway_core::ShardConfig;
use storage::LogState;

use super::disk::SimDisk;
use super::fault::Planted;
use super::shell::{Around, Shell};
use super::trace::trace;

/// What the gateway is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It does not run.
    Down,
    /// It reads its logs.
    Starting,
    /// It serves.
    Serving,
    /// It ends in good order.
    Draining,
}

/// All shards.
#[derive(Debug)]
pub struct Gateway {
    shells: Vec<Shell>,
    /// While it is down.
    resting: Vec<(ShardConfig, SimDisk)>,
    phase: Phase,
    planted: Option<Planted>,
}

impl Gateway {
    /// A gateway that does not run yet, with empty disks.
    pub fn new(configs: Vec<ShardConfig>, planted: Option<Planted>) -> Gateway {
        let resting = configs.into_iter().map(|config| (config, SimDisk::new())).collect();
        Gateway { shells: Vec::new(), resting, phase: Phase::Down, planted }
    }

    /// What it is doing.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// How many shards it has.
    pub fn shard_count(&self) -> usize {
        self.shells.len() + self.resting.len()
    }

    /// Starts it.
    pub fn start(&mut self, around: &mut Around<'_>) {
        debug_assert_eq!(self.phase, Phase::Down);
        trace!(around.trace, "the gateway starts");
        self.phase = Phase::Starting;
        around.model.on_start(self.resting.iter().all(|(_, disk)| is_good(disk)));
        for (config, disk) in std::mem::take(&mut self.resting) {
            let mut shell = Shell::new(config, disk);
            match self.planted {
                Some(Planted::Core(fault)) => shell.core_mut().plant(fault),
                Some(Planted::Storage(fault)) => shell.core_mut().plant_storage(fault),
                Some(Planted::Sdk) | None => {}
            }
            self.shells.push(shell);
        }
        for shell in &mut self.shells {
            shell.start(around);
        }
    }

    /// All shards die at once. With `is_power_cut` each disk loses a part of its own of what was not synced; without,
    /// everything written is there, and still not synced.
    pub fn crash(&mut self, around: &mut Around<'_>, is_power_cut: bool) {
        if self.phase == Phase::Down {
            return;
        }
        trace!(around.trace, "the gateway dies, power cut: {is_power_cut}");
        self.phase = Phase::Down;
        around.mesh.is_open = false;
        for link in around.mesh.crash() {
            super::net::reset(link, around.net, around.rng);
        }
        for shell in std::mem::take(&mut self.shells) {
            self.resting.push(shell.crash(around, is_power_cut));
        }
        around.accounts.on_crash();
        around.model.on_crash();
    }

    /// No new work; it goes down when all shards are drained.
    pub fn drain(&mut self, around: &mut Around<'_>) {
        if self.phase != Phase::Serving {
            return;
        }
        trace!(around.trace, "the gateway drains");
        self.phase = Phase::Draining;
        around.mesh.is_open = false;
        for shell in &mut self.shells {
            shell.drain(around);
        }
        self.follow(around);
    }

    /// One turn of a shard, and what follows for the whole.
    pub fn turn(&mut self, shard: usize, around: &mut Around<'_>, input_count: u64, is_whole: bool) {
        let Some(shell) = self.shells.get_mut(shard) else { return };
        shell.turn(around, input_count, is_whole);
        self.follow(around);
    }

    /// What follows for the whole from what its shards said.
    fn follow(&mut self, around: &mut Around<'_>) {
        if self.shells.iter().any(|shell| shell.is_unusable) {
            return self.crash(around, false);
        }
        if self.phase == Phase::Starting && self.shells.iter().all(|shell| shell.is_ready) {
            trace!(around.trace, "the gateway serves");
            self.phase = Phase::Serving;
            self.say_what_is_void(around);
            around.mesh.is_open = true;
        }
        if self.phase == Phase::Draining
            && self.shells.iter().all(|shell| shell.is_drained)
            && around.model.violation.is_none()
        {
            // A log that takes nothing keeps nothing, and nobody was told that it does.
            if !self.shells.iter().any(|shell| matches!(shell.log_state, LogState::Full | LogState::ReadOnly)) {
                around.model.on_drained();
            }
            self.crash(around, true);
        }
    }

    /// Before anybody may log in.
    fn say_what_is_void(&mut self, around: &mut Around<'_>) {
        around.accounts.on_crash();
        for user in 0..around.accounts.count() {
            let void = around.accounts.void(user);
            if void.before_us > 0 {
                let home = usize::from(around.accounts.home(user).0);
                self.shells[home].void(&void, around);
            }
        }
    }

    /// Whether a shard has something to do now.
    pub fn has_work(&self, shard: usize, around: &Around<'_>) -> bool {
        self.shells.get(shard).is_some_and(|shell| shell.has_work(around))
    }

    /// When a shard wants to be told of the time.
    pub fn next_deadline(&self) -> Option<u64> {
        self.shells.iter().filter_map(Shell::next_deadline).min()
    }

    /// Whether a shard's log has given up writing.
    pub fn is_read_only(&self) -> bool {
        self.shells.iter().any(|shell| shell.log_state == LogState::ReadOnly)
    }

    /// One of the disks.
    pub fn disk_mut(&mut self, shard: usize) -> &mut SimDisk {
        match self.shells.get_mut(shard) {
            Some(shell) => &mut shell.disk,
            None => &mut self.resting[shard].1,
        }
    }
}

fn is_good(disk: &SimDisk) -> bool {
    let faults = &disk.faults;
    faults.space.is_none() && faults.sync_failure_count + faults.read_failure_count == 0
}
