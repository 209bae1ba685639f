//! What goes wrong in a world, and what people do at the wrong moment.

use wire::frame::{Credential, Credit, Hello};
use wire::limits::VERSION;
use wire::{Counter, Frame, Id, Incarnation, encode};

use super::accounts::Standing;
use super::gateway::Phase;
use super::net::{End, LinkId};
use super::shell::Around;
use super::trace::trace;
use super::workload::Chaos;
use super::world::{World, around};

impl World {
    /// Something goes wrong, as the profile has it.
    pub(super) fn suffer(&mut self) {
        let chaos = self.profile.misfortune(&mut self.rng);
        trace!(self.trace, "{chaos:?}");
        match chaos {
            Chaos::Kill => self.crash(false),
            Chaos::PowerCut => self.crash(true),
            Chaos::Drain => self.gateway.drain(around!(self)),
            Chaos::FillDisk => {
                let shard = self.any_shard();
                let is_full = self.rng.chance(1, 2);
                self.model.are_disks_good = false;
                self.gateway.disk_mut(shard).faults.space = is_full.then_some(0);
                self.model.tally.count(if is_full { "disk full" } else { "disk has space" });
            }
            Chaos::FailSync => {
                let shard = self.any_shard();
                self.model.are_disks_good = false;
                self.gateway.disk_mut(shard).faults.sync_failure_count = 1;
                self.model.tally.count("sync fails");
            }
            Chaos::FailRead => {
                let shard = self.any_shard();
                self.model.are_disks_good = false;
                self.gateway.disk_mut(shard).faults.read_failure_count = 1 + u32::from(self.rng.chance(1, 2));
                self.model.tally.count("reads fail");
            }
            Chaos::JumpClock => {
                let (forth_us, back_us) = (self.rng.below(50_000_000), self.rng.below(150_000_000));
                let is_back = self.rng.chance(3, 4);
                self.clock.jump(if is_back { back_us } else { forth_us }, is_back);
                self.model.logins.is_clock_bad |= is_back;
                self.model.tally.count(if is_back { "clock set back" } else { "clock set forward" });
            }
            Chaos::Disable => {
                let user = self.rng.index(self.user_count);
                let is_active = self.accounts.of(user).standing == Standing::Active;
                self.accounts.set_disabled(user, is_active);
                self.on_account_changed(user);
            }
            Chaos::Delete if self.rng.chance(1, 2) => {
                let user = self.rng.index(self.user_count);
                if self.accounts.delete(user, self.clock.now().wall_us) {
                    self.model.tally.count("account deleted by an operator");
                    self.on_account_changed(user);
                }
            }
            Chaos::OldTicket => self.try_old_ticket(),
            _ => {
                if let Some(at) = self.any_client() {
                    self.befall(chaos, at);
                }
            }
        }
    }

    /// What was done to an account may make logins void.
    pub(super) fn on_account_changed(&mut self, user: usize) {
        self.model.set_moment(self.clock.now().wall_us, self.accounts.last_us());
        self.model.on_account_changed(user);
    }

    fn befall(&mut self, chaos: Chaos, at: usize) {
        let until_us = self.clock.mono_us() + self.rng.below(2_000_000);
        let client_count = self.clients.len();
        let client = &mut self.clients[at];
        let has_account = !self.accounts.of(client.user).has_tokens;
        match chaos {
            Chaos::CutLink => {
                if let Some(link) = client.link() {
                    self.model.tally.count("link cut");
                    cut(link, around!(self));
                }
            }
            Chaos::HangUp => client.hang_up(around!(self)),
            Chaos::KillClient => client.stop(around!(self)),
            Chaos::Deafen => client.deaf_until_us = until_us,
            Chaos::Idle => client.idle_until_us = until_us,
            Chaos::FailStore => client.fail_store(),
            Chaos::LogOut if !client.is_leaving => client.log_out(false, around!(self)),
            Chaos::Forget => client.log_out(true, around!(self)),
            Chaos::WipeClient => self.wipe(at),
            Chaos::ChangePassword if has_account => client.change_password(around!(self)),
            Chaos::Delete if has_account => client.delete_account(around!(self)),
            Chaos::NewDevice if client_count < 12 => {
                let user = client.user;
                self.add_client(user);
            }
            _ => {}
        }
    }

    /// Somebody kept a ticket for too long, and tries it from another machine. He does not care for the answer; the model does.
    fn try_old_ticket(&mut self) {
        let tickets = self.model.old_tickets();
        if tickets.is_empty() || !self.mesh.is_open {
            return;
        }
        let (user, device, ticket) = &tickets[self.rng.index(tickets.len())];
        let mut bytes = Vec::new();
        let hello = Hello {
            version_min: VERSION,
            version_max: VERSION,
            features: 0,
            user: user.as_name(),
            credential: Credential::Ticket(ticket),
            device: device.as_device(),
            incarnation: Incarnation(self.rng.next_u64()),
            lowest_unresolved: Counter(1),
            highest_sent: Counter(0),
            last_id: Id::NONE,
            credit: Credit { entries: 1, bytes: 1 },
            client_name: "",
            client_version: "",
            store: &[],
        };
        encode(&Frame::Hello(hello), &mut bytes);
        let link = self.net.open(1 << 16);
        self.mesh.connect(link, NOBODY);
        self.net.write(link, End::Gateway, &bytes);
        self.model.tally.count("old ticket tried");
    }

    /// The store is lost; the same device begins a new life.
    fn wipe(&mut self, at: usize) {
        if self.clients[at].is_leaving {
            return;
        }
        self.clients[at].stop(around!(self));
        self.model.forget_install(self.clients[at].install);
        self.model.tally.count("wiped");
        let (user, device) = (self.clients[at].user, self.clients[at].device().to_owned());
        self.clients[at] = self.client(user, device);
    }

    /// The gateway dies, perhaps in the middle of a turn.
    pub(super) fn crash(&mut self, is_power_cut: bool) {
        if self.gateway.phase() != Phase::Down && self.rng.chance(1, 2) {
            let shard = self.any_shard();
            self.gateway.turn(shard, around!(self), 3, false);
        }
        self.gateway.crash(around!(self), is_power_cut);
    }

    fn any_shard(&mut self) -> usize {
        self.rng.index(self.gateway.shard_count())
    }
}

/// Whoever is none of the world's clients.
const NOBODY: u16 = u16::MAX;

/// The link dies, and each end gets a part of what was in flight. One end, or both, may hear nothing of it.
fn cut(link: LinkId, around: &mut Around<'_>) {
    for end in [End::Client, End::Gateway] {
        let kept = around.rng.index(around.net.in_flight_len(link, end) + 1);
        let hears = around.rng.chance(3, 4);
        around.net.cut(link, end, kept, hears);
    }
}
