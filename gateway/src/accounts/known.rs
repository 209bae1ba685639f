//! Who logged in from where, lately: pairs of account and address, in memory of a fixed size.
//!
//! A table of sets with eight places each, chosen by a keyed hash. A full set gives up its oldest pair. Only a successful login, or
//! an account that is made, puts a pair in, so whoever wants to push out somebody else's needs right passwords, some half a million of
//! them for one set he cannot even name. Addresses are not written to disk: after a restart nobody is known, and those who hold a resume ticket need not be.

use super::meters::Key;

/// The pairs.
pub(crate) struct Known {
    /// Empty: 0. Otherwise the tag in the upper half, and in the lower when it was last seen, in seconds from 1.
    places: Vec<u64>,
}

impl Known {
    /// None. 4 MiB, touched only where it is used.
    pub(crate) fn new() -> Known {
        Known { places: vec![0; SET_LEN << SET_BITS] }
    }

    /// The pair has just logged in.
    pub(crate) fn insert(&mut self, pair: Key, now_us: u64) {
        let (set, tag) = self.set_of(pair);
        let place = set.iter().position(|place| is_of(*place, tag));
        let oldest = || (0..SET_LEN).min_by_key(|index| set.get(*index).map(|place| seen_s(*place)));
        let index = place.or_else(oldest).expect("a set has places");
        let entry = u64::from(tag) << 32 | u64::from(seconds(now_us));
        if let Some(place) = self.set_mut(pair).get_mut(index) {
            *place = entry;
        }
    }

    /// Whether the pair logged in during the last 30 days.
    pub(crate) fn contains(&self, pair: Key, now_us: u64) -> bool {
        let (set, tag) = self.set_of(pair);
        set.iter().any(|place| is_of(*place, tag) && seconds(now_us).saturating_sub(seen_s(*place)) <= KEPT_S)
    }

    fn set_of(&self, pair: Key) -> (&[u64], u32) {
        let begin = begin(pair);
        (self.places.get(begin..begin + SET_LEN).expect("a set within the table"), tag(pair))
    }

    fn set_mut(&mut self, pair: Key) -> &mut [u64] {
        let begin = begin(pair);
        self.places.get_mut(begin..begin + SET_LEN).expect("a set within the table")
    }
}

fn begin(pair: Key) -> usize {
    usize::try_from(pair.0 >> (u64::BITS - SET_BITS)).expect("16 bits") * SET_LEN
}

fn tag(pair: Key) -> u32 {
    u32::try_from(pair.0 & u64::from(u32::MAX)).expect("32 bits")
}

fn is_of(place: u64, tag: u32) -> bool {
    place != 0 && place >> 32 == u64::from(tag)
}

fn seen_s(place: u64) -> u32 {
    u32::try_from(place & u64::from(u32::MAX)).expect("32 bits")
}

fn seconds(now_us: u64) -> u32 {
    u32::try_from(now_us / 1_000_000 + 1).unwrap_or(u32::MAX)
}

const SET_LEN: usize = 8;
const SET_BITS: u32 = 16;
const KEPT_S: u32 = 30 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_pair_is_known_for_thirty_days_after_its_last_login() {
        let mut known = Known::new();
        known.insert(Key(7), SECOND);
        let day_30 = SECOND + 30 * 86_400 * SECOND;
        assert!(known.contains(Key(7), day_30));
        assert!(!known.contains(Key(7), day_30 + SECOND));
        assert!(!known.contains(Key(8), SECOND));
        known.insert(Key(7), day_30);
        assert!(known.contains(Key(7), day_30 + SECOND));
    }

    #[test]
    fn a_full_set_gives_up_its_oldest() {
        let mut known = Known::new();
        for number in 0..=SET_LEN as u64 {
            known.insert(Key(number), number * SECOND);
        }
        let here: Vec<_> = (0..=SET_LEN as u64).filter(|number| known.contains(Key(*number), 10 * SECOND)).collect();
        assert_eq!(here, [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
