//! Passwords, and what is stored of them: Argon2id (RFC 9106).

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde::{Deserialize, Serialize};
use wire::limits::PASSWORD_LEN_RANGE;
use zeroize::Zeroizing;

/// A password in memory. Overwritten when dropped; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Box<str>", into = "Box<str>")]
pub(crate) struct Password(Zeroizing<Box<str>>);

impl Password {
    /// Whether it may become an account's password: 8 to 128 bytes.
    pub(crate) fn is_fit(&self) -> bool {
        PASSWORD_LEN_RANGE.contains(&self.0.len())
    }

    fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The text; for whoever sends it on.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Box<str>> for Password {
    fn from(text: Box<str>) -> Password {
        Password(Zeroizing::new(text))
    }
}

impl From<Password> for Box<str> {
    fn from(password: Password) -> Box<str> {
        password.as_str().into()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// How much work a hash is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Memory, in KiB; at least 8 a lane.
    pub(crate) memory_kib: u32,
    /// How often all of it is gone through.
    pub(crate) pass_count: u32,
    /// Lanes; they are computed one after the other.
    pub(crate) lane_count: u32,
}

impl Cost {
    /// OWASP's first choice at 19 MiB: two passes, one lane. The memory is the operator's.
    pub(crate) fn of_memory(memory_kib: u32) -> Cost {
        Cost { memory_kib, pass_count: 2, lane_count: 1 }
    }

    /// Whether Argon2 can be computed with it, and this process would do so: a damaged record must not ask for a terabyte.
    pub(crate) fn is_possible(self) -> bool {
        self.memory_kib <= MEMORY_KIB_MAX && self.pass_count <= PASS_COUNT_MAX && self.params().is_some()
    }

    fn params(self) -> Option<Params> {
        Params::new(self.memory_kib, self.pass_count, self.lane_count, Some(HASH_LEN)).ok()
    }
}

/// What is stored of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PasswordHash {
    /// With which it was computed, and is computed again.
    pub(crate) cost: Cost,
    /// Random, for each hash anew.
    pub(crate) salt: [u8; SALT_LEN],
    /// The outcome.
    pub(crate) hash: [u8; HASH_LEN],
}

/// Computes hashes, in memory that it keeps for the next one. Some 20 ms each at 19 MiB: never on a shard's thread.
#[derive(Default)]
pub(crate) struct Workbench {
    blocks: Vec<Block>,
    /// KiB gone through so far, over all passes.
    #[cfg(test)]
    work_kib: u64,
}

impl Workbench {
    /// Hashes a new password with a salt of its own.
    ///
    /// # Panics
    /// When the system has no random bytes, or `cost` is not possible.
    pub(crate) fn hash(&mut self, password: &Password, cost: Cost) -> PasswordHash {
        let mut salt = [0; SALT_LEN];
        getrandom::fill(&mut salt).expect("the system has random bytes");
        PasswordHash { cost, salt, hash: self.compute(password, cost, &salt) }
    }

    /// Whether `stored` is of this password. Without `stored` (nobody of that name) the answer is no, after the work that
    /// `cost` asks for: the time it takes does not tell whether a user exists.
    pub(crate) fn verify(&mut self, password: &Password, stored: Option<&PasswordHash>, cost: Cost) -> bool {
        let nobody = PasswordHash { cost, salt: [0; SALT_LEN], hash: [0; HASH_LEN] };
        let target = stored.unwrap_or(&nobody);
        let hash = self.compute(password, target.cost, &target.salt);
        let is_equal = verify_slices_are_equal(&hash, &target.hash).is_ok();
        is_equal && stored.is_some()
    }

    /// The work done so far, in KiB.
    #[cfg(test)]
    pub(crate) fn work_kib(&self) -> u64 {
        self.work_kib
    }

    fn compute(&mut self, password: &Password, cost: Cost, salt: &[u8; SALT_LEN]) -> [u8; HASH_LEN] {
        let params = cost.params().expect("a record's or configuration's cost is checked where it is read");
        let block_count = params.block_count();
        if self.blocks.len() < block_count {
            self.blocks.resize(block_count, Block::default());
        }
        let mut hash = [0; HASH_LEN];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(password.as_bytes(), salt, &mut hash, &mut self.blocks)
            .expect("salt, length and memory are within the algorithm's bounds");
        #[cfg(test)]
        {
            self.work_kib += u64::from(cost.memory_kib) * u64::from(cost.pass_count);
        }
        hash
    }
}

/// Bytes of salt.
pub(crate) const SALT_LEN: usize = 16;
/// Bytes of hash.
pub(crate) const HASH_LEN: usize = 32;

/// One gigabyte for one hash is beyond every recommendation.
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASS_COUNT_MAX: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::from(Box::from(text))
    }

    const CHEAP: Cost = Cost { memory_kib: 64, pass_count: 1, lane_count: 1 };

    #[test]
    fn the_right_password_verifies_and_no_other() {
        let mut bench = Workbench::default();
        let stored = bench.hash(&password("correct horse"), CHEAP);
        assert!(bench.verify(&password("correct horse"), Some(&stored), CHEAP));
        for wrong in ["correct hors", "correct horse ", "Correct horse", ""] {
            assert!(!bench.verify(&password(wrong), Some(&stored), CHEAP), "{wrong:?}");
        }
    }

    #[test]
    fn a_hash_is_verified_with_its_own_cost() {
        let mut bench = Workbench::default();
        let stored = bench.hash(&password("correct horse"), Cost { memory_kib: 128, pass_count: 3, lane_count: 2 });
        assert!(bench.verify(&password("correct horse"), Some(&stored), CHEAP));
    }

    #[test]
    fn equal_passwords_have_different_hashes() {
        let mut bench = Workbench::default();
        let (a, b) = (bench.hash(&password("correct horse"), CHEAP), bench.hash(&password("correct horse"), CHEAP));
        assert!(a.salt != b.salt && a.hash != b.hash);
    }

    #[test]
    fn nobody_costs_the_same_work_as_a_wrong_password() {
        let mut bench = Workbench::default();
        let stored = bench.hash(&password("correct horse"), CHEAP);
        let before = bench.work_kib();
        assert!(!bench.verify(&password("wrong"), Some(&stored), CHEAP));
        let wrong = bench.work_kib() - before;
        assert!(!bench.verify(&password("wrong"), None, CHEAP));
        let nobody = bench.work_kib() - before - wrong;
        assert_eq!((wrong, nobody), (64, 64));
    }

    #[test]
    fn kept_memory_makes_no_difference() {
        let mut bench = Workbench::default();
        let cost = Cost { memory_kib: 64, pass_count: 2, lane_count: 1 };
        let salt = [3; SALT_LEN];
        bench.compute(&password("another"), cost, &[4; SALT_LEN]);
        let hash = bench.compute(&password("password"), cost, &salt);
        let mut fresh = [0; HASH_LEN];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 2, 1, Some(HASH_LEN)).unwrap())
            .hash_password_into(b"password", &salt, &mut fresh)
            .unwrap();
        assert_eq!(hash, fresh);
    }

    #[test]
    fn memory_left_by_a_larger_hash_does_not_change_a_smaller_one() {
        let mut bench = Workbench::default();
        let stored = bench.hash(&password("correct horse"), CHEAP);
        bench.hash(&password("another one"), Cost { memory_kib: 256, ..CHEAP });
        assert!(bench.verify(&password("correct horse"), Some(&stored), CHEAP));
    }

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(format!("{:?}", password("correct horse")), "Password(..)");
    }

    #[test]
    fn costs_beyond_reason_are_not_possible() {
        assert!(Cost::of_memory(19_456).is_possible());
        assert!(!Cost::of_memory(u32::MAX).is_possible());
        assert!(!Cost { memory_kib: 4, ..CHEAP }.is_possible());
        assert!(!Cost { pass_count: 0, ..CHEAP }.is_possible());
        assert!(!Cost { pass_count: 1_000, ..CHEAP }.is_possible());
    }
}
