//! Resume tickets: what a device that has logged in shows instead of a password. The shard that accepts checks it, without
//! a look-up.
//!
//! A ticket says when its bearer *proved* who he is: by password or token. A ticket that was got with a ticket keeps the proof time
//! of the first one. So whatever voids a proof (a changed password, LOGOUT, a disabled account: the home shard holds the time
//! from which on proofs count) voids every ticket that descends from it, even one that was renewed while the news was on its
//! way. How long a ticket is good for counts from its own issue: a device that comes back in time never needs the password again.
//!
//! ```text
//! plain, then sealed by a key ring (`key_ring`) for this purpose and this store:
//!      0  1  version, 1
//!      1  8  proven, in µs since 1970     (little-endian, as all numbers)
//!      9  8  issued
//!     17  8  expires
//!     25  1  length of the user's name, then the name
//!         1  length of the device's name, then the name
//! ```

use std::sync::Arc;
use std::time::Duration;

use storage::StoreId;
use wire::Code;

use crate::auth::LEEWAY_S;
use crate::key_ring::{KeyRing, OpenError};

/// Seals and opens tickets of one store.
#[derive(Debug, Clone)]
pub(crate) struct Tickets {
    ring: Arc<KeyRing>,
    aad: [u8; AAD_LEN],
    ttl_us: u64,
}

/// Why a ticket is no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TicketError {
    /// Its time is over, or its key is no more: nobody can say which of the two.
    Expired,
    /// Changed, made up, of another user or device, or from a time that has not come.
    Bad,
}

impl From<TicketError> for Code {
    fn from(error: TicketError) -> Code {
        match error {
            TicketError::Expired => Code::CredentialExpired,
            TicketError::Bad => Code::BadCredential,
        }
    }
}

impl Tickets {
    /// Tickets of this store that are good for `ttl`, sealed by `ring`, whose period is `ttl` too (else they are not good for as long).
    pub(crate) fn new(ring: Arc<KeyRing>, store: StoreId, ttl: Duration) -> Tickets {
        let mut aad = [0; AAD_LEN];
        let (purpose, id) = aad.split_at_mut(PURPOSE.len());
        purpose.copy_from_slice(PURPOSE);
        id.copy_from_slice(&store.0);
        Tickets { ring, aad, ttl_us: u64::try_from(ttl.as_micros()).unwrap_or(u64::MAX) }
    }

    /// A ticket for a device whose user proved at `proven_us` who he is (µs since 1970). Empty when none can be sealed
    /// ([`KeyRing::seal`]): the login goes on without.
    pub(crate) fn seal(&self, user: &str, device: &str, proven_us: u64, now_us: u64) -> Box<[u8]> {
        let mut plain = Vec::with_capacity(27 + user.len() + device.len());
        plain.push(VERSION);
        for time_us in [proven_us, now_us, now_us.saturating_add(self.ttl_us)] {
            plain.extend_from_slice(&time_us.to_le_bytes());
        }
        for name in [user, device] {
            plain.push(u8::try_from(name.len()).expect("names are short"));
            plain.extend_from_slice(name.as_bytes());
        }
        self.ring.seal(&self.aad, &plain).unwrap_or_default().into()
    }

    /// When the bearer of `ticket` proved that he is `user`, on `device`.
    ///
    /// # Errors
    /// [`TicketError`]. A ticket that lives longer than tickets may now is cut to that.
    pub(crate) fn open(&self, ticket: &[u8], user: &str, device: &str, now_us: u64) -> Result<u64, TicketError> {
        let plain = self.ring.open(&self.aad, ticket).map_err(|error| match error {
            OpenError::UnknownKey => TicketError::Expired,
            OpenError::Forged => TicketError::Bad,
        })?;
        let content = Content::parse(&plain).ok_or(TicketError::Bad)?;
        if content.user != user.as_bytes() || content.device != device.as_bytes() {
            return Err(TicketError::Bad);
        }
        // A proof from the future would outlive whatever voids proofs until then.
        if content.issued_us > now_us.saturating_add(LEEWAY_S * 1_000_000) || content.proven_us > content.issued_us {
            return Err(TicketError::Bad);
        }
        if now_us >= content.expires_us.min(content.issued_us.saturating_add(self.ttl_us)) {
            return Err(TicketError::Expired);
        }
        Ok(content.proven_us)
    }
}

struct Content<'a> {
    proven_us: u64,
    issued_us: u64,
    expires_us: u64,
    user: &'a [u8],
    device: &'a [u8],
}

impl Content<'_> {
    fn parse(bytes: &[u8]) -> Option<Content<'_>> {
        let rest = bytes.strip_prefix(&[VERSION])?;
        let time = |bytes: &'_ [u8]| bytes.split_first_chunk().map(|(time, _)| u64::from_le_bytes(*time));
        let (times, rest) = rest.split_at_checked(24)?;
        let (user, rest) = name(rest)?;
        let (device, rest) = name(rest)?;
        rest.is_empty().then_some(Content {
            proven_us: time(times)?,
            issued_us: time(times.get(8..)?)?,
            expires_us: time(times.get(16..)?)?,
            user,
            device,
        })
    }
}

/// A name behind its length.
fn name(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*len))
}

const VERSION: u8 = 1;
const PURPOSE: &[u8; 23] = b"shardwire resume ticket";
const AAD_LEN: usize = PURPOSE.len() + 16;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const HOUR_US: u64 = 3_600_000_000;
    const NOW_US: u64 = 1_800_000_000_000_000;

    fn ring() -> Arc<KeyRing> {
        Arc::new(KeyRing::fresh(0).unwrap())
    }

    fn tickets() -> Tickets {
        Tickets::new(ring(), StoreId([1; 16]), HOUR)
    }

    #[test]
    fn a_ticket_tells_when_its_bearer_proved_who_he_is() {
        let tickets = tickets();
        let first = tickets.seal("alice", "phone", NOW_US, NOW_US);
        let proven_us = tickets.open(&first, "alice", "phone", NOW_US + 1000).unwrap();
        assert_eq!(proven_us, NOW_US);
        // Renewed: the proof is as old as it was.
        let second = tickets.seal("alice", "phone", proven_us, NOW_US + HOUR_US / 2);
        assert_eq!(tickets.open(&second, "alice", "phone", NOW_US + HOUR_US), Ok(NOW_US));
    }

    #[test]
    fn a_ticket_is_good_for_one_user_and_one_device() {
        let tickets = tickets();
        let ticket = tickets.seal("alice", "phone", NOW_US, NOW_US);
        for (user, device) in
            [("alicf", "phone"), ("alice", "tablet"), ("phone", "alice"), ("alicep", "hone"), ("", "")]
        {
            assert_eq!(tickets.open(&ticket, user, device, NOW_US), Err(TicketError::Bad), "{user} {device}");
        }
    }

    #[test]
    fn a_ticket_expires_to_the_microsecond() {
        let tickets = tickets();
        let ticket = tickets.seal("alice", "phone", NOW_US, NOW_US);
        assert!(tickets.open(&ticket, "alice", "phone", NOW_US + HOUR_US - 1).is_ok());
        assert_eq!(tickets.open(&ticket, "alice", "phone", NOW_US + HOUR_US), Err(TicketError::Expired));
    }

    #[test]
    fn a_shorter_life_holds_for_tickets_that_are_out() {
        let ring = ring();
        let long = Tickets::new(Arc::clone(&ring), StoreId([1; 16]), HOUR);
        let short = Tickets::new(ring, StoreId([1; 16]), HOUR / 2);
        let ticket = long.seal("alice", "phone", NOW_US, NOW_US);
        assert_eq!(short.open(&ticket, "alice", "phone", NOW_US + HOUR_US / 2), Err(TicketError::Expired));
        let ticket = short.seal("alice", "phone", NOW_US, NOW_US);
        assert_eq!(long.open(&ticket, "alice", "phone", NOW_US + HOUR_US / 2), Err(TicketError::Expired));
    }

    #[test]
    fn a_ticket_from_the_future_is_refused() {
        let tickets = tickets();
        let ahead_us = LEEWAY_S * 1_000_000;
        let ticket = tickets.seal("alice", "phone", NOW_US, NOW_US);
        assert!(tickets.open(&ticket, "alice", "phone", NOW_US - ahead_us).is_ok());
        assert_eq!(tickets.open(&ticket, "alice", "phone", NOW_US - ahead_us - 1), Err(TicketError::Bad));
        let ticket = tickets.seal("alice", "phone", NOW_US + 1, NOW_US);
        assert_eq!(tickets.open(&ticket, "alice", "phone", NOW_US), Err(TicketError::Bad));
    }

    #[test]
    fn a_ticket_of_another_store_is_refused_even_by_the_same_keys() {
        let ring = ring();
        let here = Tickets::new(Arc::clone(&ring), StoreId([1; 16]), HOUR);
        let there = Tickets::new(ring, StoreId([2; 16]), HOUR);
        let ticket = there.seal("alice", "phone", NOW_US, NOW_US);
        assert_eq!(here.open(&ticket, "alice", "phone", NOW_US), Err(TicketError::Bad));
        assert_eq!(tickets().open(&ticket, "alice", "phone", NOW_US), Err(TicketError::Expired), "other keys");
    }

    #[test]
    fn a_changed_or_cut_ticket_is_refused() {
        let tickets = tickets();
        let ticket = tickets.seal("alice", "phone", NOW_US, NOW_US);
        for index in 0..ticket.len() {
            let mut bad = ticket.to_vec();
            bad[index] ^= 0x80;
            assert!(tickets.open(&bad, "alice", "phone", NOW_US).is_err(), "byte {index}");
            assert!(tickets.open(&ticket[..index], "alice", "phone", NOW_US).is_err(), "{index} bytes");
        }
    }

    #[test]
    fn what_this_version_did_not_write_is_no_ticket_though_its_key_sealed_it() {
        let tickets = tickets();
        let good = tickets.ring.open(&tickets.aad, &tickets.seal("alice", "phone", NOW_US, NOW_US)).unwrap();
        let mut wrong = vec![vec![], [2].iter().chain(&good[1..]).copied().collect(), [&good[..], &[0]].concat()];
        wrong.extend((0..good.len()).map(|len| good[..len].to_vec()));
        for plain in wrong {
            let ticket = tickets.ring.seal(&tickets.aad, &plain).unwrap();
            assert_eq!(tickets.open(&ticket, "alice", "phone", NOW_US), Err(TicketError::Bad), "{plain:?}");
        }
    }

    #[test]
    fn a_ticket_outlives_one_rotation_of_the_keys() {
        let ring = ring();
        let ticket = Tickets::new(Arc::clone(&ring), StoreId([1; 16]), HOUR).seal("alice", "phone", NOW_US, NOW_US);
        let rotated = Arc::new(ring.rotated(1).unwrap());
        let tickets = Tickets::new(Arc::clone(&rotated), StoreId([1; 16]), HOUR);
        assert!(tickets.open(&ticket, "alice", "phone", NOW_US + HOUR_US - 1).is_ok());
        let tickets = Tickets::new(Arc::new(rotated.rotated(2).unwrap()), StoreId([1; 16]), HOUR);
        assert_eq!(tickets.open(&ticket, "alice", "phone", NOW_US + 1), Err(TicketError::Expired));
    }
}
