//! Who may have a password checked, and when: back-off that stops guessing and cannot lock an owner out. Decides only; the time
//! is handed in.
//!
//! **What it is for.** A hash costs some 20 ms of a CPU, so a thousand guesses a second must be refused before they are hashed. And
//! whoever knows a name must not be able to keep its owner out by guessing wrong, as he could if an account were simply locked.
//!
//! **First of all: tickets.** A device that has logged in holds a resume ticket, renewed at each login, and shows that instead
//! of a password. Tickets and tokens do not come here at all. So no attack whatsoever reaches a device that has been here during the
//! last `ticket_hours`; what follows is for those who type a password. (This is the scheme of device cookies, OWASP "Slow Down
//! Online Guessing Attacks with Device Cookies", with the ticket as the cookie.)
//!
//! **Wrong passwords are counted** in four sets of leaky buckets (`meters.rs`). An attempt needs room in its buckets when it comes and once more
//! when its hash begins; a wrong password is charged to them. (Guesses that are hashed side by side, one on each thread, may all find the
//! same room.)
//!
//! | bucket of | holds | leaks one in | which leaves a guesser |
//! |---|---|---|---|
//! | an address (an IPv4 address, an IPv6 /64) | 30 | 20 s | 180 guesses an hour, over all accounts |
//! | an account, from strangers | 12 | 2 s | 1,800 guesses an hour, from all of the world |
//! | a stranger: an address with an account | 6 | 10 min | 6 guesses an hour for this account |
//! | an address that logged in to the account lately | 10 | 1 min | 60 guesses an hour, from there alone |
//!
//! **Accounts that are made** are counted too, by address: 60 at once, then one a minute. Each costs a hash, and a place in the store for
//! ever.
//!
//! **A lane of one's own.** An address that logged in to the account during the last 30 days (`known.rs`) is held to the last bucket
//! and to no other. Whatever is done to the account from elsewhere, and to other accounts from this address, does not touch it.
//!
//! **A turn of one's own.** A stranger who comes when the account's or the address's bucket is full is told when to come back, and
//! that moment is his: his charge is made now, and from then on, for his slot and a minute, he passes these two buckets. Everybody has
//! one such turn at a time, the turns of one account lie 2 s apart, and nobody can take another's. So an owner at a new address waits for those who
//! asked before him, 2 s for each address that guesses at his account, no matter how many guesses a second they make. Faster
//! would be no more than to let each of these addresses guess more often: they look the same as he does.
//!
//! **What it does not do.** Turns are given up to an hour ahead for an account, ten minutes for an address. Who has more than 1,800
//! addresses to guess at one account with can keep that hour full; then a new address comes in by luck, and known ones as ever. Who has
//! thousands of addresses and stays below every limit looks like a crowd of strangers, and shares the hashing with honest
//! strangers, address by address (`queue.rs`), behind those who are known. Who is at a new address together with an
//! attacker that guesses at many accounts waits for that attacker's turns.
//!
//! **Memory** is of a fixed size, and nothing is thrown out of it (but the oldest of who is known): no attack makes it forget.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use super::known::Known;
use super::meters::{Key, Meters, Rate};

/// The state of all accounts and addresses.
pub(crate) struct Backoff {
    hasher: RandomState,
    addresses: Meters,
    accounts: Meters,
    strangers: Meters,
    friends: Meters,
    makers: Meters,
    known: Known,
    /// By pair. At most [`TURN_COUNT_MAX`].
    turns: HashMap<Key, Turn>,
    /// When the turns that are over were last cleared away.
    cleared_us: u64,
}

/// Whom an attempt is about, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Who {
    /// The account.
    pub(crate) account: Key,
    /// The address.
    pub(crate) address: Key,
    /// Both.
    pub(crate) pair: Key,
}

/// What is attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// To log in.
    Login,
    /// To make an account: costs a hash, tries no password.
    Register,
    /// To prove oneself again, inside a session.
    Inside,
}

/// How an attempt stands, best first. Hashing is shared out by this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// From an address that the account knows.
    Known,
    /// A stranger, and nothing speaks against him.
    Fresh,
    /// A stranger whose turn it is.
    Turn,
    /// A stranger at an address, or an account, where passwords were wrong.
    Suspect,
}

/// Which buckets a wrong password is charged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stake {
    address: bool,
    account: bool,
    stranger: bool,
    friend: bool,
    maker: bool,
}

/// Not now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    /// When to come back, from now.
    pub(crate) retry_ms: u32,
}

/// A moment that belongs to one pair.
#[derive(Debug, Clone, Copy)]
struct Turn {
    from_us: u64,
    until_us: u64,
}

impl Backoff {
    /// Nothing has happened. `hasher` is secret and random; memory grows with what `thread_count` threads can charge.
    pub(crate) fn new(hasher: RandomState, thread_count: u16) -> Backoff {
        let row_bits = ROW_BITS + u32::from(thread_count).next_power_of_two().ilog2();
        let meters = |rate| Meters::new(row_bits, rate);
        Backoff {
            hasher,
            addresses: meters(ADDRESS),
            accounts: meters(ACCOUNT),
            strangers: meters(STRANGER),
            friends: meters(FRIEND),
            makers: meters(MAKER),
            known: Known::new(),
            turns: HashMap::new(),
            cleared_us: 0,
        }
    }

    /// The keys of an attempt.
    pub(crate) fn who(&self, user: &str, address: IpAddr) -> Who {
        let address = prefix(address);
        let hash = |what: (u8, &str, Option<u128>)| Key(self.hasher.hash_one(what));
        Who {
            account: hash((0, user, None)),
            address: hash((1, "", Some(address))),
            pair: hash((2, user, Some(address))),
        }
    }

    /// Whether this attempt may be hashed, and how it stands. Who may not, may be given a turn.
    ///
    /// # Errors
    /// When to come back.
    pub(crate) fn admit(&mut self, now_us: u64, who: &Who, attempt: Attempt) -> Result<Class, Wait> {
        self.assess(now_us, who, attempt).map(|(class, _)| class)
    }

    /// A hash for this attempt begins now: looks once more, and says what [`Backoff::settle`] is to be given. A turn is taken by this.
    ///
    /// # Errors
    /// When to come back: since it was admitted, others were wrong.
    pub(crate) fn begin(&mut self, now_us: u64, who: &Who, attempt: Attempt) -> Result<Stake, Wait> {
        let (class, stake) = self.assess(now_us, who, attempt)?;
        if class == Class::Turn {
            self.turns.remove(&who.pair);
        }
        Ok(stake)
    }

    /// The password was right, or the account was made, and it knows the address from then on; or not.
    pub(crate) fn settle(&mut self, now_us: u64, who: &Who, stake: Stake, is_right: bool) {
        if stake.maker {
            self.makers.charge(who.address, now_us);
        }
        if is_right {
            self.known.insert(who.pair, now_us);
        } else if !stake.maker {
            self.charge(now_us, who, stake);
        }
    }

    /// How the attempt stands, and what it is charged if it is wrong.
    fn assess(&mut self, now_us: u64, who: &Who, attempt: Attempt) -> Result<(Class, Stake), Wait> {
        if attempt == Attempt::Inside || attempt == Attempt::Login && self.known.contains(who.pair, now_us) {
            let at_us = self.friends.fits_at(who.pair);
            let stake = Stake { friend: true, ..Stake::default() };
            return if at_us <= now_us { Ok((Class::Known, stake)) } else { Err(Wait::until(now_us, at_us)) };
        }
        let is_login = attempt == Attempt::Login;
        let maker = attempt == Attempt::Register;
        if maker && self.makers.fits_at(who.address) > now_us {
            return Err(Wait::until(now_us, self.makers.fits_at(who.address)));
        }
        if is_login && self.strangers.fits_at(who.pair) > now_us {
            return Err(Wait::until(now_us, self.strangers.fits_at(who.pair)));
        }
        match self.turns.get(&who.pair) {
            Some(turn) if now_us < turn.from_us => return Err(Wait::until(now_us, turn.from_us)),
            Some(turn) if now_us < turn.until_us => {
                return Ok((Class::Turn, Stake { stranger: is_login, maker, ..Stake::default() }));
            }
            _ => {}
        }
        let address_us = self.addresses.fits_at(who.address);
        let account_us = if is_login { self.accounts.fits_at(who.account) } else { 0 };
        if address_us.max(account_us) > now_us {
            if address_us > now_us + ADDRESS_HORIZON_US || account_us > now_us + ACCOUNT_HORIZON_US {
                return Err(Wait::until(now_us, address_us.max(account_us)));
            }
            let stake = Stake { address: address_us > now_us, account: account_us > now_us, ..Stake::default() };
            return Err(self.give_turn(now_us, address_us.max(account_us), who, stake));
        }
        let is_suspect = self.addresses.level(who.address, now_us) >= SUSPECT_ADDRESS_LEVEL
            || is_login && self.accounts.level(who.account, now_us) >= SUSPECT_ACCOUNT_LEVEL;
        let stake = Stake { address: true, account: is_login, stranger: is_login, friend: false, maker };
        Ok((if is_suspect { Class::Suspect } else { Class::Fresh }, stake))
    }

    /// Reserves the moment `at_us`, while there is room for that.
    fn give_turn(&mut self, now_us: u64, at_us: u64, who: &Who, stake: Stake) -> Wait {
        if self.turns.len() >= TURN_COUNT_MAX && self.cleared_us + TURN_LEN_US <= now_us {
            self.cleared_us = now_us;
            self.turns.retain(|_, turn| now_us < turn.until_us);
        }
        if self.turns.len() < TURN_COUNT_MAX {
            self.charge(now_us, who, stake);
            // The slot that GOAWAY gives is half as long as the wait; who connects at its end takes some time, too.
            let until_us = at_us + (at_us - now_us) / 2 + TURN_LEN_US;
            self.turns.insert(who.pair, Turn { from_us: at_us, until_us });
        }
        Wait::until(now_us, at_us)
    }

    fn charge(&mut self, now_us: u64, who: &Who, stake: Stake) {
        for (is_charged, meters, key) in [
            (stake.address, &mut self.addresses, who.address),
            (stake.account, &mut self.accounts, who.account),
            (stake.stranger, &mut self.strangers, who.pair),
            (stake.friend, &mut self.friends, who.pair),
        ] {
            if is_charged {
                meters.charge(key, now_us);
            }
        }
    }
}

impl Wait {
    fn until(now_us: u64, at_us: u64) -> Wait {
        // Rounded up: who comes back at that moment is not early.
        let ms = at_us.saturating_sub(now_us).div_ceil(1_000).max(1);
        Wait { retry_ms: u32::try_from(ms).unwrap_or(u32::MAX) }
    }
}

/// What counts as one address: all of IPv4, of IPv6 the half that a subscriber does not choose himself.
fn prefix(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

const SECOND_US: u64 = 1_000_000;
const ADDRESS: Rate = Rate { interval_us: 20 * SECOND_US, burst: 30 };
const ACCOUNT: Rate = Rate { interval_us: 2 * SECOND_US, burst: 12 };
const STRANGER: Rate = Rate { interval_us: 600 * SECOND_US, burst: 6 };
const MAKER: Rate = Rate { interval_us: 60 * SECOND_US, burst: 60 };
const FRIEND: Rate = Rate { interval_us: 60 * SECOND_US, burst: 10 };
/// With so many wrong passwords that have not leaked out yet, the next one from there goes behind the others. Of an address, one is enough:
/// then a crowd of guessing addresses is in the way of honest strangers once and not again, and who mistypes while nobody guesses
/// waits for nobody.
const SUSPECT_ADDRESS_LEVEL: u64 = 1;
const SUSPECT_ACCOUNT_LEVEL: u64 = 3;
/// How far ahead turns are given.
const ADDRESS_HORIZON_US: u64 = 600 * SECOND_US;
const ACCOUNT_HORIZON_US: u64 = 3_600 * SECOND_US;
/// How long a turn lasts beyond the slot in which the client comes.
const TURN_LEN_US: u64 = 60 * SECOND_US;
/// Some 10 MB. It takes thousands of addresses to fill it; who then gets no turn is told when to try.
const TURN_COUNT_MAX: usize = 1 << 18;
/// Cells in a row of each meter, for one thread that hashes: 2 MiB a meter.
const ROW_BITS: u32 = 16;

#[cfg(test)]
mod tests;
