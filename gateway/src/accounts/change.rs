//! What can be done to an account, and what the shards are told about it.

use wire::Code;

use super::command::CommandError;
use super::password::PasswordHash;
use super::record::{Account, State};

/// What is to become of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Make it: by an operator, who may give a deleted name away again.
    Add(PasswordHash),
    /// Make it: by a person, for whom a deleted name stays taken, since others may still take it for its old owner.
    Register(PasswordHash),
    /// Another password; earlier logins are void.
    SetPassword(PasswordHash),
    /// The same password, hashed anew.
    Rehash(PasswordHash),
    /// Nobody logs in.
    Disable,
    /// Its owner may log in again, and must: earlier logins stay void.
    Enable,
    /// Only the name is left, and the messages are to be purged.
    Delete,
    /// The messages are purged.
    Purged,
}

impl Change {
    /// The account after the change; `None` when there is nothing to change.
    ///
    /// # Errors
    /// Why it cannot be done.
    pub(crate) fn apply(self, account: Option<&Account>, now_us: u64) -> Result<Option<Account>, CommandError> {
        match self {
            Change::Add(hash) => add(account, hash, now_us, true).map(Some),
            Change::Register(hash) => add(account, hash, now_us, false).map(Some),
            Change::Purged => Ok(account
                .filter(|account| account.is_deleted())
                .map(|account| Account { state: State::Deleted { is_purge_due: false }, ..*account })),
            _ => {
                let account = account.filter(|account| !account.is_deleted()).ok_or(CommandError::NoSuchAccount)?;
                let hash = *account.password().expect("it is not deleted");
                let is_disabled = matches!(account.state, State::Disabled(_));
                let keep = |hash| if is_disabled { State::Disabled(hash) } else { State::Active(hash) };
                // Moments go up, whatever the clock does.
                let now_us = now_us.max(account.valid_from_us + 1);
                Ok(match self {
                    Change::SetPassword(new) => Some(Account { state: keep(new), valid_from_us: now_us, ..*account }),
                    Change::Rehash(new) => Some(Account { state: keep(new), ..*account }),
                    Change::Disable if !is_disabled => {
                        Some(Account { state: State::Disabled(hash), valid_from_us: now_us, ..*account })
                    }
                    Change::Enable if is_disabled => {
                        Some(Account { state: State::Active(hash), valid_from_us: now_us, ..*account })
                    }
                    Change::Delete => {
                        let state = State::Deleted { is_purge_due: true };
                        Some(Account { state, valid_from_us: now_us, ..*account })
                    }
                    _ => None,
                })
            }
        }
    }
}

/// Which logins of an account are void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VoidBefore {
    /// Those proven before this; `u64::MAX`: all.
    pub(crate) before_us: u64,
    /// What sessions that end by it are told.
    pub(crate) code: Code,
    /// The user's devices and messages go, too.
    pub(crate) purge: bool,
}

impl VoidBefore {
    /// What the shards must know of this account, if anything.
    pub(crate) fn of(account: &Account) -> Option<VoidBefore> {
        let void = |before_us, code, purge| Some(VoidBefore { before_us, code, purge });
        match account.state {
            State::Disabled(_) => void(u64::MAX, Code::AccountDisabled, false),
            State::Deleted { is_purge_due } => void(account.valid_from_us, Code::AccountDisabled, is_purge_due),
            State::Active(_) if account.valid_from_us > 0 => {
                void(account.valid_from_us, Code::CredentialExpired, false)
            }
            State::Active(_) => None,
        }
    }
}

fn add(account: Option<&Account>, hash: PasswordHash, now_us: u64, may_reuse: bool) -> Result<Account, CommandError> {
    let fresh = Account { created_us: now_us, valid_from_us: 0, state: State::Active(hash) };
    match account.map(|account| (account.state, account.valid_from_us)) {
        None => Ok(fresh),
        Some((State::Deleted { is_purge_due: true }, _)) if may_reuse => Err(CommandError::StillPurging),
        // Tickets of the one who had the name before stay void.
        Some((State::Deleted { .. }, valid_from_us)) if may_reuse => Ok(Account { valid_from_us, ..fresh }),
        Some(_) => Err(CommandError::NameTaken),
    }
}

#[cfg(test)]
mod tests {
    use super::super::password::Cost;
    use super::*;

    fn hash(number: u8) -> PasswordHash {
        PasswordHash { cost: Cost::of_memory(64), salt: [number; 16], hash: [number; 32] }
    }

    fn after(changes: &[(Change, u64)]) -> Option<Account> {
        let mut account = None;
        for (change, now_us) in changes {
            account = change.apply(account.as_ref(), *now_us).unwrap().or(account);
        }
        account
    }

    const ADD: (Change, u64) = (
        Change::Add(PasswordHash {
            cost: Cost { memory_kib: 64, pass_count: 2, lane_count: 1 },
            salt: [1; 16],
            hash: [1; 32],
        }),
        100,
    );

    #[test]
    fn a_new_account_voids_nothing() {
        let account = after(&[ADD]).unwrap();
        assert_eq!(account, Account { created_us: 100, valid_from_us: 0, state: State::Active(hash(1)) });
        assert_eq!(VoidBefore::of(&account), None);
    }

    #[test]
    fn another_password_voids_what_was_before() {
        let account = after(&[ADD, (Change::SetPassword(hash(2)), 200)]).unwrap();
        let void = VoidBefore { before_us: 200, code: Code::CredentialExpired, purge: false };
        assert_eq!((account.password(), VoidBefore::of(&account)), (Some(&hash(2)), Some(void)));
    }

    #[test]
    fn a_rehash_voids_nothing() {
        let account = after(&[ADD, (Change::Rehash(hash(2)), 200)]).unwrap();
        assert_eq!((account.password(), VoidBefore::of(&account)), (Some(&hash(2)), None));
    }

    #[test]
    fn a_disabled_account_voids_all_until_it_is_enabled() {
        let disabled = after(&[ADD, (Change::Disable, 200)]).unwrap();
        let void = VoidBefore { before_us: u64::MAX, code: Code::AccountDisabled, purge: false };
        assert_eq!(VoidBefore::of(&disabled), Some(void));
        let enabled = after(&[ADD, (Change::Disable, 200), (Change::Enable, 300)]).unwrap();
        let void = VoidBefore { before_us: 300, code: Code::CredentialExpired, purge: false };
        assert_eq!((enabled.state, VoidBefore::of(&enabled)), (State::Active(hash(1)), Some(void)));
    }

    #[test]
    fn a_password_set_while_disabled_does_not_enable() {
        let account = after(&[ADD, (Change::Disable, 200), (Change::SetPassword(hash(2)), 300)]).unwrap();
        assert_eq!(account.state, State::Disabled(hash(2)));
    }

    #[test]
    fn what_is_so_already_changes_nothing() {
        let disabled = after(&[ADD, (Change::Disable, 200)]).unwrap();
        assert_eq!(Change::Disable.apply(Some(&disabled), 300), Ok(None));
        assert_eq!(Change::Enable.apply(after(&[ADD]).as_ref(), 300), Ok(None));
        assert_eq!(Change::Purged.apply(after(&[ADD]).as_ref(), 300), Ok(None));
        assert_eq!(Change::Purged.apply(None, 300), Ok(None));
    }

    #[test]
    fn a_deleted_name_is_the_operators_to_give_away_once_it_is_purged() {
        let deleted = after(&[ADD, (Change::Delete, 200)]);
        let void = VoidBefore { before_us: 200, code: Code::AccountDisabled, purge: true };
        assert_eq!(VoidBefore::of(&deleted.unwrap()), Some(void));
        assert_eq!(Change::Add(hash(2)).apply(deleted.as_ref(), 300), Err(CommandError::StillPurging));
        assert_eq!(Change::Register(hash(2)).apply(deleted.as_ref(), 300), Err(CommandError::NameTaken));
        let purged = after(&[ADD, (Change::Delete, 200), (Change::Purged, 250)]);
        assert_eq!(VoidBefore::of(&purged.unwrap()), Some(VoidBefore { purge: false, ..void }));
        assert_eq!(Change::Register(hash(2)).apply(purged.as_ref(), 300), Err(CommandError::NameTaken));
        let again = Change::Add(hash(2)).apply(purged.as_ref(), 300).unwrap().unwrap();
        let void = VoidBefore { code: Code::CredentialExpired, purge: false, ..void };
        assert_eq!((again.state, VoidBefore::of(&again)), (State::Active(hash(2)), Some(void)));
    }

    #[test]
    fn nobody_and_the_deleted_cannot_be_changed() {
        let deleted = after(&[ADD, (Change::Delete, 200)]);
        for change in
            [Change::SetPassword(hash(2)), Change::Rehash(hash(2)), Change::Disable, Change::Enable, Change::Delete]
        {
            assert_eq!(change.apply(None, 300), Err(CommandError::NoSuchAccount), "{change:?}");
            assert_eq!(change.apply(deleted.as_ref(), 300), Err(CommandError::NoSuchAccount), "{change:?}");
        }
        assert_eq!(Change::Add(hash(2)).apply(after(&[ADD]).as_ref(), 300), Err(CommandError::NameTaken));
    }

    #[test]
    fn a_clock_that_goes_back_does_not_bring_old_logins_back() {
        let account = after(&[ADD, (Change::SetPassword(hash(2)), 200), (Change::SetPassword(hash(3)), 150)]).unwrap();
        assert_eq!(account.valid_from_us, 201);
    }
}
