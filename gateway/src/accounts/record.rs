//! An account as it lies in the store.
//!
//! ```text
//!  0  1  version, 1                        (all numbers little-endian)
//!  1  1  state: 0 active, 1 disabled, 2 deleted, 3 deleted and its messages not yet purged for certain
//!  2  8  created, µs since 1970
//! 10  8  valid from, µs since 1970: logins proven earlier are void; 0 when there was never a reason
//! 18  4  Argon2id: memory in KiB           (zero from here on when deleted)
//! 22  4            passes
//! 26  4            lanes
//! 30 16            salt
//! 46 32            hash
//! ```
//!
//! A deleted account stays as a tombstone: its name is not given to whoever asks first, and it says from when on old logins are void.

use super::password::{Cost, HASH_LEN, PasswordHash, SALT_LEN};

/// One account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    /// When it was made, µs since 1970.
    pub(crate) created_us: u64,
    /// Logins proven before this are void. 0: none.
    pub(crate) valid_from_us: u64,
    /// What it is good for.
    pub(crate) state: State,
}

/// What an account is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Its owner may log in.
    Active(PasswordHash),
    /// Its owner may not, until an operator enables it again.
    Disabled(PasswordHash),
    /// Only its name is left.
    Deleted {
        /// The shard was not told, or may have ended before it had purged the messages.
        is_purge_due: bool,
    },
}

impl Account {
    /// What a password is checked against; `None` when deleted.
    pub(crate) fn password(&self) -> Option<&PasswordHash> {
        match &self.state {
            State::Active(hash) | State::Disabled(hash) => Some(hash),
            State::Deleted { .. } => None,
        }
    }

    /// Whether only the name is left.
    pub(crate) fn is_deleted(&self) -> bool {
        matches!(self.state, State::Deleted { .. })
    }

    /// Whether it has something to tell the shards at a start.
    pub(crate) fn is_void_before(&self) -> bool {
        self.valid_from_us > 0 || !matches!(self.state, State::Active(_))
    }

    /// As stored.
    pub(crate) fn encode(&self) -> [u8; RECORD_LEN] {
        let mut bytes = [0; RECORD_LEN];
        bytes[0] = VERSION;
        bytes[1] = match self.state {
            State::Active(_) => 0,
            State::Disabled(_) => 1,
            State::Deleted { is_purge_due } => 2 + u8::from(is_purge_due),
        };
        bytes[2..10].copy_from_slice(&self.created_us.to_le_bytes());
        bytes[10..18].copy_from_slice(&self.valid_from_us.to_le_bytes());
        if let Some(PasswordHash { cost, salt, hash }) = self.password() {
            bytes[18..22].copy_from_slice(&cost.memory_kib.to_le_bytes());
            bytes[22..26].copy_from_slice(&cost.pass_count.to_le_bytes());
            bytes[26..30].copy_from_slice(&cost.lane_count.to_le_bytes());
            bytes[30..46].copy_from_slice(salt);
            bytes[46..78].copy_from_slice(hash);
        }
        bytes
    }

    /// As stored.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Account, BadRecord> {
        let Some((&version, rest)) = bytes.split_first() else { return Err(BadRecord::Damaged) };
        match version {
            VERSION => {}
            0 => return Err(BadRecord::Damaged),
            newer => return Err(BadRecord::Newer(newer)),
        }
        let mut fields = Fields(rest);
        let [state] = fields.take::<1>()?;
        let created_us = u64::from_le_bytes(fields.take()?);
        let valid_from_us = u64::from_le_bytes(fields.take()?);
        let cost = Cost {
            memory_kib: u32::from_le_bytes(fields.take()?),
            pass_count: u32::from_le_bytes(fields.take()?),
            lane_count: u32::from_le_bytes(fields.take()?),
        };
        let hash = PasswordHash { cost, salt: fields.take::<SALT_LEN>()?, hash: fields.take::<HASH_LEN>()? };
        let is_possible = cost.is_possible();
        let state = match state {
            0 if is_possible => State::Active(hash),
            1 if is_possible => State::Disabled(hash),
            2 | 3 => State::Deleted { is_purge_due: state == 3 },
            _ => return Err(BadRecord::Damaged),
        };
        if fields.0.is_empty() { Ok(Account { created_us, valid_from_us, state }) } else { Err(BadRecord::Damaged) }
    }
}

/// Why bytes are no account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadRecord {
    /// Not what was written.
    #[error("an account's record is damaged")]
    Damaged,
    /// Of a later version.
    #[error("an account's record has version {0}, this version of shardwire reads up to {VERSION}")]
    Newer(u8),
}

/// Bytes that are taken from the front.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], BadRecord> {
        let (field, rest) = self.0.split_first_chunk().ok_or(BadRecord::Damaged)?;
        self.0 = rest;
        Ok(*field)
    }
}

const VERSION: u8 = 1;
/// Bytes of a record of this version.
pub(crate) const RECORD_LEN: usize = 78;

#[cfg(test)]
mod tests {
    use super::*;

    fn hash() -> PasswordHash {
        PasswordHash { cost: Cost::of_memory(19_456), salt: [7; SALT_LEN], hash: [9; HASH_LEN] }
    }

    fn accounts() -> Vec<Account> {
        let states = [
            State::Active(hash()),
            State::Disabled(hash()),
            State::Deleted { is_purge_due: false },
            State::Deleted { is_purge_due: true },
        ];
        states.map(|state| Account { created_us: 1, valid_from_us: u64::MAX - 1, state }).to_vec()
    }

    #[test]
    fn every_state_comes_back_as_it_was() {
        for account in accounts() {
            assert_eq!(Account::decode(&account.encode()), Ok(account));
        }
    }

    #[test]
    fn a_cut_or_long_record_is_refused() {
        for account in accounts() {
            let mut bytes = account.encode().to_vec();
            for len in 0..bytes.len() {
                assert_eq!(Account::decode(&bytes[..len]), Err(BadRecord::Damaged), "{len} bytes");
            }
            bytes.push(0);
            assert_eq!(Account::decode(&bytes), Err(BadRecord::Damaged));
        }
    }

    #[test]
    fn a_newer_record_is_called_newer() {
        let mut bytes = accounts()[0].encode();
        bytes[0] = 2;
        assert_eq!(Account::decode(&bytes), Err(BadRecord::Newer(2)));
    }

    #[test]
    fn a_record_that_asks_for_a_terabyte_is_damaged() {
        let mut bytes = accounts()[0].encode();
        bytes[18..22].copy_from_slice(&(1u32 << 30).to_le_bytes());
        assert_eq!(Account::decode(&bytes), Err(BadRecord::Damaged));
    }

    #[test]
    fn version_1_is_these_bytes() {
        let account = Account { created_us: 0x0102, valid_from_us: 3, state: State::Disabled(hash()) };
        let mut bytes = vec![1, 1, 2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend([0, 0x4c, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0]);
        bytes.extend([7; 16]);
        bytes.extend([9; 32]);
        assert_eq!(account.encode().to_vec(), bytes);
    }
}
