//! The data directory: one store, used by one process at a time.
//!
//! ```text
//! DATA/lock            held (flock) by the process that uses the store; holds its process id
//! DATA/store           the 64 bytes below; written once, when the store is made
//! DATA/shard-NN/       the log of shard NN, in `docs/storage.md`
//! DATA/accounts.redb   names and password hashes (`accounts/store`)
//! DATA/keys/           the keys that seal tickets and TLS sessions (`key_ring`)
//! DATA/admin-*         how commands find a running gateway, and prove that they may (`admin`)
//! DATA/dev-*.pem       the key pair (`auth`) and the certificate (`dev_certificate`) of `--dev`, if it was ever used
//!
//! DATA/store:  0  8  "SHRDWIRE"
//!              8  4  format version, 1           (all numbers little-endian)
//!             12  2  shard count
//!             14  2  zero
//!             16 16  store id
//!             32 16  key for hashing names; secret
//!             48 12  zero
//!             60  4  crc32c of the 60 bytes before
//! ```
//!
//! The shards' directories are durable before `store` is: where there is a `store`, a missing directory means loss, not a
//! beginning, and is refused.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use storage::StoreId;

use crate::error::Error;

/// An open store. Nobody else uses it for as long as this value lives.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    identity: Identity,
    /// Unlocks when it is closed, however the process ends.
    _lock: File,
}

/// What `DATA/store` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Tells this store from every other.
    pub(crate) id: StoreId,
    /// The key for hashing names to shards.
    pub(crate) key: [u8; 16],
    /// Fixed when the store was made.
    pub(crate) shard_count: u16,
}

/// Why a directory cannot be used as a store.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum StoreError {
    /// Another process has it.
    #[error("the store is in use by process {0}: stop that gateway, or give this one another --data-dir")]
    InUse(String),
    /// Made with another number of shards.
    #[error("the store was made for {made} shards, not for {wanted}: start with --shards {made}")]
    ShardCount {
        /// As stored.
        made: u16,
        /// As asked.
        wanted: u16,
    },
    /// Written by a later version.
    #[error(
        "the store has format {0}, this version of shardwire reads up to {FORMAT}: \
         start the version that wrote it, or a later one"
    )]
    NewerFormat(u32),
    /// Something else lives there.
    #[error(
        "not a store: the directory has no file `store` but holds {0:?}; give a directory that is empty or does not exist"
    )]
    NotAStore(String),
    /// Nothing says that it is one.
    #[error("there is no store: give the --data-dir of one; `shardwire serve` makes it at its first start")]
    NoStore,
    /// `store` is not what was written.
    #[error("the file `store` is damaged ({0}): put it back from a backup, or give another --data-dir")]
    Damaged(&'static str),
    /// A shard's directory is gone.
    #[error("{0} is missing: put it back, for what it held is lost otherwise")]
    ShardMissing(String),
}

/// The most shards a store may have: lanes are made ahead for every pair.
pub(crate) const SHARD_COUNT_MAX: u16 = 64;

impl Store {
    /// Opens the store in `dir`, or makes one there of `wanted` shards (or else `default_shard_count`).
    ///
    /// # Errors
    /// [`Error::Store`] says what is wrong with the directory, [`Error::Path`] what could not be read or written. Nothing is
    /// changed where a store, or anything else, was before.
    pub(crate) fn open(dir: &Path, wanted: Option<u16>, default_shard_count: u16) -> Result<Store, Error> {
        make_data_dir(dir).map_err(Error::path(dir, "make the data directory"))?;
        let refuse = |source| refuse(dir, source);
        // Looked at before the lock file is made: a directory of somebody else's stays as it is.
        let path = dir.join("store");
        let exists = path.try_exists().map_err(Error::path(&path, "read the store"))?;
        if !exists {
            check_fresh(dir)?;
        }
        let lock = lock(dir)?;
        // Again: another process may have made it between the two.
        let identity = match fs::read(&path) {
            Ok(bytes) => {
                let identity = Identity::decode(&bytes).map_err(refuse)?;
                if let Some(wanted) = wanted.filter(|wanted| *wanted != identity.shard_count) {
                    let made = identity.shard_count;
                    return Err(refuse(StoreError::ShardCount { made, wanted }));
                }
                identity
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let identity = Identity::fresh(wanted.unwrap_or(default_shard_count))?;
                make(dir, &identity)?;
                identity
            }
            Err(error) => return Err(Error::path(&path, "read the store")(error)),
        };
        let store = Store { dir: dir.to_owned(), identity, _lock: lock };
        store.check_shards()?;
        Ok(store)
    }

    /// What the store is.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where a shard's log lies.
    pub(crate) fn shard_dir(&self, shard: u16) -> PathBuf {
        self.dir.join(shard_dir_name(shard))
    }

    fn check_shards(&self) -> Result<(), Error> {
        for shard in 0..self.identity.shard_count {
            let dir = self.shard_dir(shard);
            if !dir.try_exists().map_err(Error::path(&dir, "read"))? {
                let name = shard_dir_name(shard);
                return Err(refuse(&self.dir, StoreError::ShardMissing(name)));
            }
        }
        Ok(())
    }
}

impl Identity {
    fn fresh(shard_count: u16) -> Result<Identity, Error> {
        let mut random = [0; 32];
        getrandom::fill(&mut random)
            .map_err(|error| Error::system("get random bytes")(io::Error::other(error.to_string())))?;
        let (id, key) = random.split_at(16);
        Ok(Identity {
            id: StoreId(id.try_into().expect("half of 32 bytes")),
            key: key.try_into().expect("half of 32 bytes"),
            shard_count,
        })
    }

    fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.shard_count.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.id.0);
        bytes[32..48].copy_from_slice(&self.key);
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Magic and format come first, each at a place no later format moves: a newer store is called newer, not damaged.
    fn decode(bytes: &[u8]) -> Result<Identity, StoreError> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            return Err(StoreError::Damaged("it does not begin with SHRDWIRE"));
        };
        let Some((format, _)) = rest.split_first_chunk() else {
            return Err(StoreError::Damaged("it is too short"));
        };
        match u32::from_le_bytes(*format) {
            FORMAT => {}
            newer if newer > FORMAT => return Err(StoreError::NewerFormat(newer)),
            _ => return Err(StoreError::Damaged("there was never such a format")),
        }
        let Ok(bytes) = <&[u8; LEN]>::try_from(bytes) else {
            return Err(StoreError::Damaged("it does not have 64 bytes"));
        };
        let (body, crc) = bytes.split_at(60);
        if crc != crc32c::crc32c(body).to_le_bytes() {
            return Err(StoreError::Damaged("its checksum is wrong"));
        }
        let [_, _, _, _, _, _, _, _, _, _, _, _, a, b, ..] = *bytes;
        let shard_count = u16::from_le_bytes([a, b]);
        if !(1..=SHARD_COUNT_MAX).contains(&shard_count) {
            return Err(StoreError::Damaged("its shard count is out of range"));
        }
        Ok(Identity {
            id: StoreId(bytes[16..32].try_into().expect("16 bytes")),
            key: bytes[32..48].try_into().expect("16 bytes"),
            shard_count,
        })
    }
}

/// What the store in `dir` is, without taking it and without changing anything.
///
/// # Errors
/// [`Error::Store`] says what is wrong with the directory, [`Error::Path`] what could not be read.
pub(crate) fn peek(dir: &Path) -> Result<Identity, Error> {
    let path = dir.join("store");
    match fs::read(&path) {
        Ok(bytes) => Identity::decode(&bytes).map_err(|cause| refuse(dir, cause)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(refuse(dir, StoreError::NoStore)),
        Err(error) => Err(Error::path(&path, "read")(error)),
    }
}

/// Keeps every gateway away from the store in `dir`, for as long as the file lives. Makes nothing.
///
/// # Errors
/// As [`peek`]; [`StoreError::InUse`] while a gateway runs.
pub(crate) fn occupy(dir: &Path) -> Result<File, Error> {
    peek(dir)?;
    lock(dir)
}

/// The process that uses the store in `dir`, if one does. It is looked at for a moment only: a gateway that starts in just that
/// moment tries again.
pub(crate) fn holder(dir: &Path) -> Option<String> {
    let mut file = File::open(dir.join("lock")).ok()?;
    // If it is free, it is ours for as long as the file is open, which is until the end of this function.
    let Err(TryLockError::WouldBlock) = file.try_lock_shared() else { return None };
    Some(read_holder(&mut file))
}

/// The number is a help for the reader, not the lock: without it what is said is still right.
fn read_holder(lock: &mut File) -> String {
    let mut holder = String::new();
    match (lock.read_to_string(&mut holder), holder.trim()) {
        (Ok(_), pid) if !pid.is_empty() => pid.to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// Writes `bytes` under a name so that after a cut either all of it is there or nothing: a file beside it, synced, renamed,
/// and the directory synced. Only its owner may read it, whatever an interrupted write, or a restored backup, left beside it.
pub(crate) fn write_durably(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let path = dir.join(name);
    let beside = dir.join(format!("{name}.tmp"));
    let write = || {
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // A new file: an old one would keep its mode.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(Error::path(&path, "write"))
}

/// A directory that has no `store`: may one be made there? Only what an interrupted first start leaves may be in it.
fn check_fresh(dir: &Path) -> Result<(), Error> {
    let list = |dir: &Path| {
        fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(Error::path(dir, "list"))
    };
    for entry in list(dir)? {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_leftover = match name.as_str() {
            "lock" | "store.tmp" | "dev-key.pem" | "dev-key.pem.tmp" => true,
            name if name.starts_with("shard-") => list(&entry.path())?.is_empty(),
            _ => false,
        };
        if !is_leftover {
            return Err(refuse(dir, StoreError::NotAStore(name)));
        }
    }
    Ok(())
}

/// Makes what is missing of the path, and makes that durable: the store is in it.
fn make_data_dir(dir: &Path) -> io::Result<()> {
    let missing: Vec<_> = dir.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    for made in missing {
        let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(Error::path(&path, "open the lock file"))?;
    match try_lock(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(refuse(dir, StoreError::InUse(read_holder(&mut file))));
        }
        Err(TryLockError::Error(error)) => return Err(Error::path(&path, "lock")(error)),
    }
    // Over the old one, in as many bytes, which takes no room; and on a disk without any room the gateway starts all the same.
    let _ = writeln!(file, "{:<10}", std::process::id());
    Ok(file)
}

fn try_lock(file: &File) -> Result<(), TryLockError> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            other => return other,
        }
    }
    file.try_lock()
}

fn make(dir: &Path, identity: &Identity) -> Result<(), Error> {
    for shard in 0..identity.shard_count {
        let path = dir.join(shard_dir_name(shard));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(Error::path(&path, "make the shard's directory"))?;
    }
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::path(dir, "sync"))?;
    write_durably(dir, "store", &identity.encode())
}

fn refuse(dir: &Path, cause: StoreError) -> Error {
    Error::Store { path: dir.to_owned(), cause }
}

/// The name of a shard's directory.
pub(crate) fn shard_dir_name(shard: u16) -> String {
    format!("shard-{shard:02}")
}

/// Who only looks at a store asks for the lock for a moment: it is tried again a few times.
const LOCK_TRIES: usize = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(20);
const MAGIC: &[u8; 8] = b"SHRDWIRE";
const FORMAT: u32 = 1;
const LEN: usize = 64;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn refusal(result: Result<Store, Error>) -> StoreError {
        match result {
            Err(Error::Store { cause, .. }) => cause,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    fn dir() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary directory")
    }

    #[test]
    fn a_store_is_made_once_and_found_again() {
        let dir = dir();
        let path = dir.path().join("deep/data");
        let made = *Store::open(&path, Some(3), 1).unwrap().identity();
        let found = Store::open(&path, None, 1).unwrap();
        assert_eq!(*found.identity(), made);
        assert_eq!(found.identity().shard_count, 3);
        assert!(found.shard_dir(2).ends_with("shard-02") && found.shard_dir(2).exists());
    }

    #[test]
    fn two_stores_have_different_ids_and_keys() {
        let (a, b) = (dir(), dir());
        let a = *Store::open(a.path(), None, 1).unwrap().identity();
        let b = *Store::open(b.path(), None, 1).unwrap().identity();
        assert!(a.id != b.id && a.key != b.key);
    }

    #[test]
    fn another_shard_count_is_refused_with_the_flag_that_helps() {
        let dir = dir();
        drop(Store::open(dir.path(), Some(2), 1).unwrap());
        let error = refusal(Store::open(dir.path(), Some(4), 1));
        assert_eq!(error, StoreError::ShardCount { made: 2, wanted: 4 });
        assert!(error.to_string().contains("--shards 2"));
    }

    #[test]
    fn a_store_in_use_is_refused_and_names_the_process() {
        let dir = dir();
        let _held = Store::open(dir.path(), None, 1).unwrap();
        let error = refusal(Store::open(dir.path(), None, 1));
        assert_eq!(error, StoreError::InUse(std::process::id().to_string()));
    }

    #[test]
    fn missing_parts_of_the_path_are_made() {
        let dir = dir();
        let path = dir.path().join("a/b/c");
        let made = Store::open(&path, None, 1).unwrap().identity().id;
        assert_eq!(Store::open(&path, None, 1).unwrap().identity().id, made);
    }

    #[test]
    fn a_full_disk_keeps_no_store_from_being_opened() {
        let dir = dir();
        drop(Store::open(dir.path(), None, 1).unwrap());
        let lock = dir.path().join("lock");
        fs::remove_file(&lock).unwrap();
        // Takes no byte.
        std::os::unix::fs::symlink("/dev/full", &lock).unwrap();
        assert!(Store::open(dir.path(), None, 1).is_ok());
    }

    #[test]
    fn a_newer_format_is_refused_as_newer() {
        let dir = dir();
        drop(Store::open(dir.path(), None, 1).unwrap());
        let path = dir.path().join("store");
        let mut bytes = fs::read(&path).unwrap();
        bytes[8] = 9;
        bytes.extend([0; 100]);
        fs::write(&path, &bytes).unwrap();
        let error = refusal(Store::open(dir.path(), None, 1));
        assert_eq!(error, StoreError::NewerFormat(9));
    }

    #[test]
    fn every_flipped_bit_of_the_store_file_is_found() {
        let good = Identity { id: StoreId([7; 16]), key: [9; 16], shard_count: 2 }.encode();
        assert!(Identity::decode(&good).is_ok());
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Identity::decode(&bad).is_err(), "bit {bit}");
        }
        for len in 0..good.len() {
            assert!(Identity::decode(&good[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_directory_of_something_else_is_refused_and_left_alone() {
        let dir = dir();
        fs::write(dir.path().join("thesis.txt"), "x").unwrap();
        let error = refusal(Store::open(dir.path(), None, 1));
        assert_eq!(error, StoreError::NotAStore("thesis.txt".to_owned()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_log_without_its_store_file_is_refused() {
        let dir = dir();
        let store = Store::open(dir.path(), None, 1).unwrap();
        fs::write(store.shard_dir(0).join("super"), "x").unwrap();
        drop(store);
        fs::remove_file(dir.path().join("store")).unwrap();
        let error = refusal(Store::open(dir.path(), None, 1));
        assert_eq!(error, StoreError::NotAStore("shard-00".to_owned()));
    }

    #[test]
    fn a_first_start_that_was_cut_is_taken_up_again() {
        let dir = dir();
        drop(Store::open(dir.path(), Some(2), 1).unwrap());
        fs::rename(dir.path().join("store"), dir.path().join("store.tmp")).unwrap();
        let store = Store::open(dir.path(), Some(3), 1).unwrap();
        assert_eq!(store.identity().shard_count, 3);
    }

    #[test]
    fn what_lies_beside_a_file_lends_it_neither_mode_nor_bytes() {
        let dir = dir();
        let beside = dir.path().join("secret.tmp");
        fs::write(&beside, "longer than what comes").unwrap();
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o644)).unwrap();
        write_durably(dir.path(), "secret", b"new").unwrap();
        let path = dir.path().join("secret");
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!beside.exists());
    }

    #[test]
    fn a_missing_shard_is_refused_not_begun_anew() {
        let dir = dir();
        drop(Store::open(dir.path(), Some(2), 1).unwrap());
        fs::remove_dir(dir.path().join("shard-01")).unwrap();
        let error = refusal(Store::open(dir.path(), None, 1));
        assert_eq!(error, StoreError::ShardMissing("shard-01".to_owned()));
    }
}
