//! What people and misfortune do: profiles, each a mix that makes some edge happen often.

use wire::frame::Credit;

use super::client::Habits;
use super::rng::Rng;

/// Misfortunes, and wishes that are as bad. The numbers of a [`Profile`] say how likely each is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chaos {
    /// A link dies in the middle of a byte stream.
    CutLink,
    /// A client closes its connection.
    HangUp,
    /// A client's program is killed, and started again later.
    KillClient,
    /// A client's store is lost: another life of the device begins.
    WipeClient,
    /// A user gets another device.
    NewDevice,
    /// A client signs out, for a while.
    LogOut,
    /// A client signs out for ever.
    Forget,
    /// A client stops reading from its connection for a while.
    Deafen,
    /// A client's application stops looking at what came.
    Idle,
    /// A client's store fails.
    FailStore,
    /// The gateway's process dies.
    Kill,
    /// The machine's power goes.
    PowerCut,
    /// The gateway drains and is started again.
    Drain,
    /// A disk is full, or has space again.
    FillDisk,
    /// A sync fails.
    FailSync,
    /// Some reads fail.
    FailRead,
    /// The wall clock jumps.
    JumpClock,
    /// A user changes his password.
    ChangePassword,
    /// An operator shuts an account, or opens it again.
    Disable,
    /// A user deletes his account.
    Delete,
    /// Somebody tries a ticket that is void.
    OldTicket,
}

/// A kind of world.
#[derive(Debug, Clone)]
pub struct Profile {
    /// What it is called.
    pub name: &'static str,
    /// How likely each misfortune is, in weights among each other.
    pub chaos: &'static [(Chaos, u64)],
    /// Misfortunes per 1,000 steps.
    pub chaos_rate: u64,
    /// Devices a user starts with, at most.
    pub device_count_max: u64,
    /// Whether some credits are tiny.
    pub has_tiny_credit: bool,
    /// Whether bodies are long enough to fill segments.
    pub has_long_bodies: bool,
    /// Whether sockets hold only little.
    pub has_narrow_links: bool,
}

const CALM: Profile = Profile {
    name: "calm",
    chaos: &[(Chaos::HangUp, 3), (Chaos::KillClient, 2), (Chaos::LogOut, 1)],
    chaos_rate: 3,
    device_count_max: 2,
    has_tiny_credit: false,
    has_long_bodies: false,
    has_narrow_links: false,
};

/// Every profile.
pub const PROFILES: &[Profile] = &[
    CALM,
    Profile {
        name: "storms",
        chaos: &[
            (Chaos::CutLink, 6),
            (Chaos::HangUp, 3),
            (Chaos::KillClient, 2),
            (Chaos::Deafen, 1),
            (Chaos::LogOut, 1),
        ],
        chaos_rate: 30,
        device_count_max: 3,
        has_tiny_credit: true,
        ..CALM
    },
    Profile {
        name: "crashes",
        chaos: &[
            (Chaos::PowerCut, 3),
            (Chaos::Kill, 3),
            (Chaos::CutLink, 2),
            (Chaos::KillClient, 1),
            (Chaos::HangUp, 2),
        ],
        chaos_rate: 12,
        ..CALM
    },
    Profile {
        name: "disk trouble",
        chaos: &[
            (Chaos::FillDisk, 6),
            (Chaos::FailSync, 3),
            (Chaos::PowerCut, 1),
            (Chaos::HangUp, 4),
            (Chaos::CutLink, 2),
        ],
        chaos_rate: 15,
        has_long_bodies: true,
        ..CALM
    },
    Profile {
        name: "many devices",
        chaos: &[
            (Chaos::NewDevice, 4),
            (Chaos::HangUp, 3),
            (Chaos::WipeClient, 2),
            (Chaos::Forget, 1),
            (Chaos::LogOut, 2),
        ],
        chaos_rate: 15,
        device_count_max: 4,
        has_tiny_credit: true,
        ..CALM
    },
    Profile {
        name: "wiped clients",
        chaos: &[
            (Chaos::WipeClient, 4),
            (Chaos::CutLink, 3),
            (Chaos::KillClient, 2),
            (Chaos::PowerCut, 1),
            (Chaos::FailStore, 2),
        ],
        chaos_rate: 15,
        ..CALM
    },
    Profile {
        name: "slow readers",
        chaos: &[(Chaos::Deafen, 4), (Chaos::Idle, 4), (Chaos::CutLink, 1), (Chaos::KillClient, 1)],
        chaos_rate: 20,
        has_tiny_credit: true,
        has_narrow_links: true,
        ..CALM
    },
    Profile {
        name: "clock jumps",
        chaos: &[(Chaos::JumpClock, 6), (Chaos::PowerCut, 2), (Chaos::Kill, 1), (Chaos::HangUp, 2)],
        chaos_rate: 12,
        ..CALM
    },
    Profile {
        name: "drain",
        chaos: &[(Chaos::Drain, 4), (Chaos::HangUp, 2), (Chaos::CutLink, 2), (Chaos::Kill, 1)],
        chaos_rate: 10,
        has_long_bodies: true,
        ..CALM
    },
    Profile {
        name: "accounts",
        chaos: &[
            (Chaos::ChangePassword, 4),
            (Chaos::Disable, 3),
            (Chaos::Delete, 2),
            (Chaos::OldTicket, 8),
            (Chaos::LogOut, 8),
            (Chaos::Forget, 1),
            (Chaos::HangUp, 2),
            (Chaos::KillClient, 2),
            (Chaos::CutLink, 1),
            (Chaos::WipeClient, 1),
            (Chaos::PowerCut, 6),
            (Chaos::Kill, 1),
        ],
        chaos_rate: 30,
        device_count_max: 3,
        ..CALM
    },
    Profile {
        name: "everything",
        chaos: &[
            (Chaos::CutLink, 6),
            (Chaos::HangUp, 4),
            (Chaos::KillClient, 3),
            (Chaos::WipeClient, 1),
            (Chaos::NewDevice, 1),
            (Chaos::LogOut, 2),
            (Chaos::Forget, 1),
            (Chaos::Deafen, 2),
            (Chaos::Idle, 2),
            (Chaos::FailStore, 1),
            (Chaos::Kill, 1),
            (Chaos::PowerCut, 1),
            (Chaos::Drain, 1),
            (Chaos::FillDisk, 2),
            (Chaos::FailSync, 1),
            (Chaos::FailRead, 1),
            (Chaos::JumpClock, 2),
            (Chaos::ChangePassword, 1),
            (Chaos::Disable, 1),
            (Chaos::Delete, 1),
            (Chaos::OldTicket, 2),
        ],
        chaos_rate: 20,
        device_count_max: 3,
        has_tiny_credit: true,
        has_narrow_links: true,
        ..CALM
    },
];

impl Profile {
    /// The profile of that name.
    pub fn by_name(name: &str) -> Option<&'static Profile> {
        PROFILES.iter().find(|profile| profile.name == name)
    }

    /// One of them.
    pub fn any(rng: &mut Rng) -> &'static Profile {
        &PROFILES[rng.index(PROFILES.len())]
    }

    /// What happens next, of all that may go wrong.
    pub fn misfortune(&self, rng: &mut Rng) -> Chaos {
        let total = self.chaos.iter().map(|(_, weight)| weight).sum();
        let mut at = rng.below(total);
        for (chaos, weight) in self.chaos {
            match at.checked_sub(*weight) {
                None => return *chaos,
                Some(rest) => at = rest,
            }
        }
        unreachable!("below the sum of the weights")
    }

    /// How a new client is set up.
    pub fn habits(&self, rng: &mut Rng, drops_silently: bool) -> Habits {
        let credit = if self.has_tiny_credit && rng.chance(1, 2) {
            Credit { entries: 1 + below(rng, 4), bytes: 1 + below(rng, 200) }
        } else {
            Credit { entries: 256, bytes: 1 << 20 }
        };
        let link_capacity = if self.has_narrow_links && rng.chance(1, 2) { 16 + rng.index(400) } else { 1 << 16 };
        Habits { credit, ack_delay_ms: pick(rng, [0, 5, 50]), link_capacity, drops_silently }
    }

    /// How long the next message is.
    pub fn body_len(&self, rng: &mut Rng) -> usize {
        let len_max = if self.has_long_bodies && rng.chance(1, 2) { 6_000 } else { 60 };
        rng.index(len_max)
    }
}

/// One of them.
pub(super) fn pick<T: Copy, const N: usize>(rng: &mut Rng, choices: [T; N]) -> T {
    choices[rng.index(N)]
}

/// A number below `bound`.
pub(super) fn below(rng: &mut Rng, bound: u32) -> u32 {
    u32::try_from(rng.below(bound.into())).expect("below a u32")
}
