//! The accounts on disk: `DATA/accounts.redb`, one B-tree of [redb](https://docs.rs/redb), opened by one process at a time.
//!
//! ```text
//! table account   user → the bytes of `record.rs`
//! table void      user → (), those accounts that have something to tell the shards at a start
//! table meta      "format" → 1
//! ```
//!
//! Every commit is synced before it returns, in redb's quick-repair form: a commit writes more, and in exchange an open after a
//! kill or a power cut need not read the file.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition};
use wire::{Name, NameBuf};

use super::record::{Account, BadRecord};

/// The open store. One thread uses it.
pub(crate) struct AccountStore {
    path: PathBuf,
    /// `None` after a write that failed, until it could be opened again.
    database: Option<Database>,
}

/// Why the accounts cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountStoreError {
    /// Somebody else has it open.
    #[error("another process has it open: stop that one first")]
    Locked,
    /// Written by a later version.
    #[error("a later version of shardwire wrote it ({0}): start that version, or a later one")]
    Newer(String),
    /// Not what was written.
    #[error("damaged ({0}): put it back from a backup; without accounts nobody can log in with a password")]
    Damaged(String),
    /// May be read and not written.
    #[error("cannot be written ({0}): accounts need a file and a disk that this process may write")]
    ReadOnly(io::Error),
    /// No room.
    #[error("the disk has no room for it: make some, then start again")]
    NoSpace,
    /// What else the system said.
    #[error("{0}")]
    Io(io::Error),
}

impl AccountStore {
    /// Where it lies in a data directory.
    pub(crate) fn path_in(dir: &Path) -> PathBuf {
        dir.join(FILE_NAME)
    }

    /// Opens the accounts of a data directory; makes an empty store, readable by its owner only, when there is none.
    ///
    /// # Errors
    /// [`AccountStoreError`], each with what helps.
    pub(crate) fn open(dir: &Path) -> Result<AccountStore, AccountStoreError> {
        let path = AccountStore::path_in(dir);
        if !path.try_exists()? {
            make(dir, &path)?;
        }
        let database = open_database(&path)?;
        let store = AccountStore { path, database: Some(database) };
        store.check_format()?;
        Ok(store)
    }

    /// The account of that name; a tombstone too. 1 to 12 µs at a million accounts.
    ///
    /// # Errors
    /// When the file cannot be read, or holds what nobody wrote.
    pub(crate) fn get(&self, user: &str) -> Result<Option<Account>, AccountStoreError> {
        let table = self.database()?.begin_read()?.open_table(ACCOUNTS)?;
        let Some(bytes) = table.get(user)? else { return Ok(None) };
        Ok(Some(Account::decode(bytes.value())?))
    }

    /// Stores all of these, or none: durable when it returns. A sync of the disk: some ms, for one as for a hundred.
    ///
    /// After an error the file is opened anew at the next call: nothing of the failed commit is there.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn commit<'a>(
        &mut self,
        accounts: impl Iterator<Item = (&'a str, &'a Account)>,
    ) -> Result<(), AccountStoreError> {
        self.reopen()?;
        let result = self.write(accounts);
        if result.is_err() {
            // redb takes nothing more after a failed write.
            self.database = None;
        }
        result
    }

    /// Opens the file again if a write has failed.
    pub(crate) fn reopen(&mut self) -> Result<(), AccountStoreError> {
        if self.database.is_none() {
            self.database = Some(open_database(&self.path)?);
        }
        Ok(())
    }

    /// Up to `count_max` accounts behind `after`, in the order of their names; no tombstones.
    ///
    /// # Errors
    /// As [`AccountStore::get`].
    pub(crate) fn list(&self, after: &str, count_max: usize) -> Result<Vec<(NameBuf, Account)>, AccountStoreError> {
        let table = self.database()?.begin_read()?.open_table(ACCOUNTS)?;
        let mut list = Vec::new();
        for entry in table.range(after..)? {
            let (user, bytes) = entry?;
            let account = Account::decode(bytes.value())?;
            if user.value() == after || account.is_deleted() {
                continue;
            }
            list.push((name(user.value())?, account));
            if list.len() == count_max {
                break;
            }
        }
        Ok(list)
    }

    /// All accounts that have something to tell the shards.
    ///
    /// # Errors
    /// As [`AccountStore::get`].
    pub(crate) fn voids(&self) -> Result<Vec<(NameBuf, Account)>, AccountStoreError> {
        let transaction = self.database()?.begin_read()?;
        let (voids, accounts) = (transaction.open_table(VOIDS)?, transaction.open_table(ACCOUNTS)?);
        let mut list = Vec::new();
        for entry in voids.iter()? {
            let (user, _) = entry?;
            let bytes = accounts.get(user.value())?.ok_or_else(|| damaged("an account is missing"))?;
            list.push((name(user.value())?, Account::decode(bytes.value())?));
        }
        Ok(list)
    }

    /// Takes those users off the list of [`AccountStore::voids`]. Durable when it returns.
    ///
    /// # Errors
    /// As [`AccountStore::commit`].
    pub(crate) fn forget_voids(&mut self, users: &[NameBuf]) -> Result<(), AccountStoreError> {
        self.reopen()?;
        let result = self.remove_voids(users);
        if result.is_err() {
            self.database = None;
        }
        result
    }

    fn remove_voids(&self, users: &[NameBuf]) -> Result<(), AccountStoreError> {
        let mut transaction = self.database()?.begin_write()?;
        transaction.set_quick_repair(true);
        {
            let mut voids = transaction.open_table(VOIDS)?;
            for user in users {
                voids.remove(&**user)?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn write<'a>(&self, accounts: impl Iterator<Item = (&'a str, &'a Account)>) -> Result<(), AccountStoreError> {
        let mut transaction = self.database()?.begin_write()?;
        transaction.set_quick_repair(true);
        {
            let (mut table, mut voids) = (transaction.open_table(ACCOUNTS)?, transaction.open_table(VOIDS)?);
            for (user, account) in accounts {
                table.insert(user, account.encode().as_slice())?;
                if account.is_void_before() {
                    voids.insert(user, ())?;
                } else {
                    voids.remove(user)?;
                }
            }
        }
        Ok(transaction.commit()?)
    }

    fn check_format(&self) -> Result<(), AccountStoreError> {
        let table = self.database()?.begin_read()?.open_table(META)?;
        match table.get("format")?.map(|format| format.value()) {
            Some(FORMAT) => Ok(()),
            Some(newer) if newer > FORMAT => Err(AccountStoreError::Newer(format!("format {newer}"))),
            _ => Err(damaged("it says no format")),
        }
    }

    fn database(&self) -> Result<&Database, AccountStoreError> {
        self.database.as_ref().ok_or_else(|| AccountStoreError::Io(io::Error::other("the last write failed")))
    }
}

/// Makes an empty store under another name first: where there is a file, it is whole.
fn make(dir: &Path, path: &Path) -> Result<(), AccountStoreError> {
    let beside = dir.join(format!("{FILE_NAME}.tmp"));
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    let database = builder().create_with_backend(FileBackend::new(file)?)?;
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    transaction.open_table(META)?.insert("format", FORMAT)?;
    transaction.open_table(ACCOUNTS)?;
    transaction.open_table(VOIDS)?;
    transaction.commit()?;
    drop(database);
    fs::rename(&beside, path)?;
    Ok(File::open(dir)?.sync_all()?)
}

fn open_database(path: &Path) -> Result<Database, AccountStoreError> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    if file.metadata()?.len() == 0 {
        return Err(damaged("it is empty"));
    }
    Ok(builder().create_with_backend(FileBackend::new(file)?)?)
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_LEN);
    builder
}

fn name(text: &str) -> Result<NameBuf, AccountStoreError> {
    Name::parse_user(text.as_bytes()).map(NameBuf::from).map_err(|error| damaged(&error.to_string()))
}

fn damaged(what: &str) -> AccountStoreError {
    AccountStoreError::Damaged(what.to_owned())
}

impl From<io::Error> for AccountStoreError {
    fn from(error: io::Error) -> AccountStoreError {
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => AccountStoreError::ReadOnly(error),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => AccountStoreError::NoSpace,
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => damaged(&error.to_string()),
            _ => AccountStoreError::Io(error),
        }
    }
}

impl From<StorageError> for AccountStoreError {
    fn from(error: StorageError) -> AccountStoreError {
        match error {
            StorageError::Io(error) => error.into(),
            StorageError::Corrupted(what) if what.contains("file format version") => AccountStoreError::Newer(what),
            StorageError::Corrupted(what) => AccountStoreError::Damaged(what),
            other => AccountStoreError::Io(io::Error::other(other)),
        }
    }
}

impl From<DatabaseError> for AccountStoreError {
    fn from(error: DatabaseError) -> AccountStoreError {
        match error {
            DatabaseError::DatabaseAlreadyOpen => AccountStoreError::Locked,
            DatabaseError::Storage(error) => error.into(),
            other => damaged(&other.to_string()),
        }
    }
}

impl From<BadRecord> for AccountStoreError {
    fn from(error: BadRecord) -> AccountStoreError {
        match error {
            BadRecord::Newer(_) => AccountStoreError::Newer(error.to_string()),
            BadRecord::Damaged => damaged(&error.to_string()),
        }
    }
}

impl From<redb::TableError> for AccountStoreError {
    fn from(error: redb::TableError) -> AccountStoreError {
        match error {
            redb::TableError::Storage(error) => error.into(),
            other => damaged(&other.to_string()),
        }
    }
}

impl From<redb::TransactionError> for AccountStoreError {
    fn from(error: redb::TransactionError) -> AccountStoreError {
        match error {
            redb::TransactionError::Storage(error) => error.into(),
            other => AccountStoreError::Io(io::Error::other(other)),
        }
    }
}

impl From<redb::CommitError> for AccountStoreError {
    fn from(error: redb::CommitError) -> AccountStoreError {
        match error {
            redb::CommitError::Storage(error) => error.into(),
            other => AccountStoreError::Io(io::Error::other(other)),
        }
    }
}

const ACCOUNTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("account");
const VOIDS: TableDefinition<'_, &str, ()> = TableDefinition::new("void");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const FORMAT: u64 = 1;
/// Inside the data directory.
const FILE_NAME: &str = "accounts.redb";
/// Pages kept in memory. The file of a million accounts has 285 MB; what is not here is in the kernel's cache, some 10 µs away.
const CACHE_LEN: usize = 64 << 20;

#[cfg(test)]
mod tests;
