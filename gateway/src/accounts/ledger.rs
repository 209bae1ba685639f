//! The store, and what is to be committed to it together: many changes cost one sync.

use std::collections::BTreeMap;

use tracing::{error, info};
use wire::NameBuf;

use super::change::{Change, VoidBefore};
use super::command::CommandError;
use super::record::Account;
use super::store::{AccountStore, AccountStoreError};

/// The accounts as they will be after the next commit.
pub(crate) struct Ledger {
    store: AccountStore,
    staged: BTreeMap<NameBuf, Account>,
    /// The operator was told that the store fails.
    is_failing: bool,
}

impl Ledger {
    /// Over this store.
    pub(crate) fn new(store: AccountStore) -> Ledger {
        Ledger { store, staged: BTreeMap::new(), is_failing: false }
    }

    /// An account, with what is staged for it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn get(&mut self, user: &NameBuf) -> Result<Option<Account>, CommandError> {
        if let Some(account) = self.staged.get(user) {
            return Ok(Some(*account));
        }
        let result = self.store.reopen().and_then(|()| self.store.get(user));
        self.heed(result)
    }

    /// Changes an account; the next [`Ledger::commit`] makes it durable. Gives it as it will be, or `None` when it was so already.
    ///
    /// # Errors
    /// Why it cannot be changed.
    pub(crate) fn change(
        &mut self,
        user: &NameBuf,
        change: Change,
        now_us: u64,
    ) -> Result<Option<Account>, CommandError> {
        let account = self.get(user)?;
        let changed = change.apply(account.as_ref(), now_us)?;
        if let Some(changed) = changed {
            self.staged.insert(user.clone(), changed);
        }
        Ok(changed)
    }

    /// Makes everything durable that was changed since the last one, all or nothing.
    ///
    /// # Errors
    /// When the store cannot be written: then nothing was changed.
    pub(crate) fn commit(&mut self) -> Result<(), CommandError> {
        let staged = std::mem::take(&mut self.staged);
        if staged.is_empty() {
            return Ok(());
        }
        let result = self.store.commit(staged.iter().map(|(user, account)| (&**user, account)));
        self.heed(result)
    }

    /// Accounts behind `after`. What is staged is not among them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn list(&mut self, after: &str, count_max: usize) -> Result<Vec<(NameBuf, Account)>, CommandError> {
        let result = self.store.reopen().and_then(|()| self.store.list(after, count_max));
        self.heed(result)
    }

    /// What the shards must know at a start. What nobody needs to know any more, since every ticket from before is expired, is
    /// forgotten.
    ///
    /// # Errors
    /// When the store cannot be read. Where it cannot be written, as on a full disk, nothing is forgotten.
    pub(crate) fn voids(&mut self, now_us: u64) -> Result<Vec<(NameBuf, VoidBefore)>, CommandError> {
        let oldest_us = now_us.saturating_sub(KEPT_US);
        let result = self.store.reopen().and_then(|()| self.store.voids());
        let (mut voids, mut over) = (Vec::new(), Vec::new());
        for (user, account) in self.heed(result)? {
            match VoidBefore::of(&account) {
                Some(void) if void.before_us >= oldest_us || void.purge => voids.push((user, void)),
                _ => over.push(user),
            }
        }
        if !over.is_empty() {
            let result = self.store.forget_voids(&over);
            // The operator is told. What a void login is good for does not depend on it.
            let _ = self.heed(result);
        }
        Ok(voids)
    }

    /// Tells the operator when the store begins to fail, and when it works again.
    fn heed<T>(&mut self, result: Result<T, AccountStoreError>) -> Result<T, CommandError> {
        match &result {
            Ok(_) if self.is_failing => info!("the accounts can be used again"),
            Err(error) if !self.is_failing => {
                error!(%error, "the accounts cannot be used: logins with a password fail until they can");
            }
            _ => {}
        }
        self.is_failing = result.is_err();
        result.map_err(|error| CommandError::Store(error.to_string()))
    }
}

/// Longer than any configuration lets a ticket live. What the present one says does not count: the next one may say more, and keys
/// outlive both.
const KEPT_US: u64 = 400 * 86_400_000_000;

#[cfg(test)]
mod tests {
    use wire::Name;

    use super::super::password::{Cost, PasswordHash};
    use super::*;

    fn name(text: &str) -> NameBuf {
        Name::parse_user(text.as_bytes()).unwrap().into()
    }

    fn open(dir: &tempfile::TempDir) -> Ledger {
        Ledger::new(AccountStore::open(dir.path()).unwrap())
    }

    fn hash() -> PasswordHash {
        PasswordHash { cost: Cost::of_memory(64), salt: [1; 16], hash: [1; 32] }
    }

    #[test]
    fn two_registrations_of_one_name_before_a_commit_are_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = open(&dir);
        assert!(ledger.change(&name("alice"), Change::Register(hash()), 1).unwrap().is_some());
        assert_eq!(ledger.change(&name("alice"), Change::Register(hash()), 1), Err(CommandError::NameTaken));
        assert_eq!(ledger.list("", 10).unwrap().len(), 0);
        ledger.commit().unwrap();
        assert_eq!(ledger.list("", 10).unwrap().len(), 1);
    }

    #[test]
    fn what_was_not_committed_is_not_there_later() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = open(&dir);
        ledger.change(&name("alice"), Change::Register(hash()), 1).unwrap();
        ledger.commit().unwrap();
        ledger.change(&name("alice"), Change::Disable, 2).unwrap();
        drop(ledger);
        let mut ledger = open(&dir);
        assert_eq!(ledger.get(&name("alice")).unwrap().unwrap().valid_from_us, 0);
    }

    #[test]
    fn shards_are_told_what_may_still_matter_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = open(&dir);
        let day_us = 86_400_000_000;
        for user in
            ["changed-lately", "changed-long-ago", "disabled-long-ago", "deleted-long-ago", "purged-long-ago", "new"]
        {
            ledger.change(&name(user), Change::Add(hash()), 1).unwrap();
        }
        for (user, change, at_us) in [
            ("changed-lately", Change::SetPassword(hash()), 101 * day_us),
            ("changed-long-ago", Change::SetPassword(hash()), 5 * day_us),
            ("disabled-long-ago", Change::Disable, 5 * day_us),
            ("deleted-long-ago", Change::Delete, 5 * day_us),
            ("purged-long-ago", Change::Delete, 5 * day_us),
            ("purged-long-ago", Change::Purged, 5 * day_us),
        ] {
            ledger.change(&name(user), change, at_us).unwrap();
        }
        ledger.commit().unwrap();
        let told = |ledger: &mut Ledger| -> Vec<_> {
            let voids = ledger.voids(500 * day_us).unwrap();
            voids.into_iter().map(|(user, void)| (user.to_string(), void.before_us, void.purge)).collect()
        };
        let wanted = [
            ("changed-lately".to_owned(), 101 * day_us, false),
            ("deleted-long-ago".to_owned(), 5 * day_us, true),
            ("disabled-long-ago".to_owned(), u64::MAX, false),
        ];
        assert_eq!(told(&mut ledger), wanted);
        assert_eq!(told(&mut ledger), wanted);
        assert_eq!(ledger.store.voids().unwrap().len(), 3, "the others are forgotten");
    }

    #[test]
    fn on_a_full_disk_shards_are_told_what_is_void_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = open(&dir);
        let day_us = 86_400_000_000;
        for (user, change, at_us) in [
            ("disabled", Change::Add(hash()), 1),
            ("disabled", Change::Disable, 99 * day_us),
            ("changed-long-ago", Change::Add(hash()), 1),
            ("changed-long-ago", Change::SetPassword(hash()), 5 * day_us),
        ] {
            ledger.change(&name(user), change, at_us).unwrap();
        }
        ledger.commit().unwrap();
        ledger.store.fill_disk();
        let voids = ledger.voids(500 * day_us).unwrap();
        assert_eq!(voids.iter().map(|(user, _)| &**user).collect::<Vec<_>>(), ["disabled"]);
    }
}
