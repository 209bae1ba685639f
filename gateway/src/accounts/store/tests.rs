use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use redb::StorageBackend;

use super::super::password::{Cost, PasswordHash};
use super::super::record::State;
use super::*;

/// A disk that can be read, and takes nothing any more once it is full.
#[derive(Debug)]
struct Disk {
    file: FileBackend,
    is_full: Arc<AtomicBool>,
    /// So many syncs succeed; those behind write, and fail.
    syncs_left: Arc<AtomicI64>,
}

impl Disk {
    fn take(&self) -> io::Result<()> {
        if self.is_full.load(Ordering::Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.take()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.take()?;
        self.file.sync_data()?;
        if self.syncs_left.fetch_sub(1, Ordering::Relaxed) <= 0 { Err(io::Error::other("a lie")) } else { Ok(()) }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.take()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

impl AccountStore {
    /// From here on what it writes fails, until the file is opened anew.
    pub(crate) fn fill_disk(&mut self) {
        self.use_disk().0.store(true, Ordering::Relaxed);
    }

    /// After so many more syncs they fail, and have written what there was; until the file is opened anew.
    pub(crate) fn fail_after_syncs(&mut self, count: i64) {
        self.use_disk().1.store(count, Ordering::Relaxed);
    }

    fn use_disk(&mut self) -> (Arc<AtomicBool>, Arc<AtomicI64>) {
        self.database = None;
        let file = OpenOptions::new().read(true).write(true).open(&self.path).unwrap();
        let (is_full, syncs_left) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(i64::MAX)));
        let file = FileBackend::new(file).unwrap();
        let disk = Disk { file, is_full: Arc::clone(&is_full), syncs_left: Arc::clone(&syncs_left) };
        self.database = Some(builder().create_with_backend(disk).unwrap());
        (is_full, syncs_left)
    }
}

fn account(number: u8) -> Account {
    let hash = PasswordHash { cost: Cost::of_memory(64), salt: [number; 16], hash: [number; 32] };
    Account { created_us: u64::from(number), valid_from_us: 0, state: State::Active(hash) }
}

fn put(store: &mut AccountStore, accounts: &[(&str, Account)]) {
    store.commit(accounts.iter().map(|(user, account)| (*user, account))).unwrap();
}

fn open(dir: &tempfile::TempDir) -> Result<AccountStore, AccountStoreError> {
    AccountStore::open(dir.path())
}

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn names(list: Vec<(NameBuf, Account)>) -> Vec<String> {
    list.into_iter().map(|(user, _)| user.to_string()).collect()
}

#[test]
fn what_was_committed_is_there_after_an_open() {
    let dir = dir();
    let mut store = open(&dir).unwrap();
    assert_eq!(store.get("alice").unwrap(), None);
    put(&mut store, &[("alice", account(1)), ("bob", account(2))]);
    put(&mut store, &[("bob", account(3))]);
    drop(store);
    let store = open(&dir).unwrap();
    assert_eq!(store.get("alice").unwrap(), Some(account(1)));
    assert_eq!(store.get("bob").unwrap(), Some(account(3)));
    assert_eq!(store.get("Bob").unwrap(), None);
}

#[test]
fn the_file_is_for_its_owner_only() {
    let dir = dir();
    drop(open(&dir).unwrap());
    let mode = fs::metadata(AccountStore::path_in(dir.path())).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_list_goes_on_behind_its_last_name_and_shows_no_tombstone() {
    let mut store = open(&dir()).unwrap();
    let deleted = Account { state: State::Deleted { is_purge_due: true }, ..account(9) };
    put(&mut store, &[("c", account(1)), ("a", account(2)), ("b", deleted), ("d", account(3))]);
    assert_eq!(names(store.list("", 2).unwrap()), ["a", "c"]);
    assert_eq!(names(store.list("c", 2).unwrap()), ["d"]);
    assert_eq!(names(store.list("d", 2).unwrap()), [""; 0]);
}

#[test]
fn what_shards_must_know_is_listed_until_it_is_over() {
    let mut store = open(&dir()).unwrap();
    let disabled = Account { state: State::Disabled(*account(1).password().unwrap()), ..account(1) };
    let changed = Account { valid_from_us: 7, ..account(2) };
    let deleted = Account { state: State::Deleted { is_purge_due: false }, ..account(3) };
    put(&mut store, &[("active", account(4)), ("disabled", disabled), ("changed", changed), ("deleted", deleted)]);
    assert_eq!(names(store.voids().unwrap()), ["changed", "deleted", "disabled"]);
    put(&mut store, &[("disabled", account(1))]);
    store.forget_voids(&[NameBuf::from(Name::parse_user(b"changed").unwrap())]).unwrap();
    assert_eq!(names(store.voids().unwrap()), ["deleted"]);
    assert_eq!(store.get("changed").unwrap(), Some(changed));
}

#[test]
fn a_file_in_use_is_told_as_in_use() {
    let dir = dir();
    let _held = open(&dir).unwrap();
    assert!(matches!(open(&dir), Err(AccountStoreError::Locked)));
}

#[test]
fn a_first_start_that_was_cut_is_begun_anew() {
    let dir = dir();
    fs::write(dir.path().join("accounts.redb.tmp"), "half a fi").unwrap();
    assert!(open(&dir).is_ok());
}

#[test]
fn something_else_under_its_name_is_damaged_and_stays_as_it_is() {
    let dir = dir();
    let path = AccountStore::path_in(dir.path());
    for bytes in [Vec::new(), b"SHRDWIRE".to_vec(), vec![0x55; 100_000]] {
        fs::write(&path, &bytes).unwrap();
        let error = open(&dir).err().expect("it is refused");
        assert!(matches!(error, AccountStoreError::Damaged(_)), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn a_cut_file_is_damaged() {
    let dir = dir();
    let mut store = open(&dir).unwrap();
    for number in 0..200 {
        put(&mut store, &[(&format!("user-{number}"), account(number))]);
    }
    drop(store);
    let path = AccountStore::path_in(dir.path());
    let whole = fs::read(&path).unwrap();
    for len in [100, 4_096, whole.len() / 2] {
        fs::write(&path, &whole[..len]).unwrap();
        let error = open(&dir).err().expect("it is refused");
        assert!(matches!(error, AccountStoreError::Damaged(_)), "{len} bytes: {error}");
    }
}

#[test]
fn a_newer_format_is_told_as_newer() {
    let dir = dir();
    let store = open(&dir).unwrap();
    let transaction = store.database.as_ref().unwrap().begin_write().unwrap();
    transaction.open_table(META).unwrap().insert("format", 2).unwrap();
    transaction.commit().unwrap();
    drop(store);
    assert!(matches!(open(&dir), Err(AccountStoreError::Newer(_))));
}

#[test]
fn what_the_system_says_becomes_what_helps() {
    let told = |kind: io::ErrorKind| AccountStoreError::from(io::Error::from(kind));
    assert!(matches!(told(io::ErrorKind::PermissionDenied), AccountStoreError::ReadOnly(_)));
    assert!(matches!(told(io::ErrorKind::ReadOnlyFilesystem), AccountStoreError::ReadOnly(_)));
    assert!(matches!(told(io::ErrorKind::StorageFull), AccountStoreError::NoSpace));
    assert!(matches!(told(io::ErrorKind::UnexpectedEof), AccountStoreError::Damaged(_)));
    assert!(matches!(told(io::ErrorKind::Interrupted), AccountStoreError::Io(_)));
}

#[test]
fn a_full_disk_fails_the_commit_and_harms_nothing() {
    // Without rights to mount, the device that is always full stands in: a new store beside it cannot be made.
    let dir = dir();
    std::os::unix::fs::symlink("/dev/full", dir.path().join("accounts.redb.tmp")).unwrap();
    assert!(open(&dir).is_err());
    assert!(!AccountStore::path_in(dir.path()).exists());
}

#[test]
fn after_the_disk_was_full_the_store_is_opened_again() {
    let dir = dir();
    let mut store = open(&dir).unwrap();
    put(&mut store, &[("alice", Account { valid_from_us: 7, ..account(1) })]);
    store.fill_disk();
    let alice = NameBuf::from(Name::parse_user(b"alice").unwrap());
    assert!(matches!(store.forget_voids(&[alice]), Err(AccountStoreError::NoSpace)));
    put(&mut store, &[("bob", account(2))]);
    assert_eq!(names(store.voids().unwrap()), ["alice"]);
    store.fill_disk();
    let carol = account(3);
    assert!(matches!(store.commit([("carol", &carol)].into_iter()), Err(AccountStoreError::NoSpace)));
    put(&mut store, &[("dave", account(4))]);
    assert_eq!(store.get("carol").unwrap(), None);
    assert_eq!(store.get("dave").unwrap(), Some(account(4)));
}

#[test]
fn after_a_failed_write_the_store_is_opened_again() {
    let dir = dir();
    let mut store = open(&dir).unwrap();
    put(&mut store, &[("alice", account(1))]);
    store.database = None;
    assert!(store.get("alice").is_err());
    put(&mut store, &[("bob", account(2))]);
    assert_eq!(store.get("alice").unwrap(), Some(account(1)));
    assert_eq!(store.get("bob").unwrap(), Some(account(2)));
}

/// `cargo test --release -p gateway --lib a_million -- --ignored --nocapture`
#[test]
#[ignore = "a measurement, of half a minute: what a million accounts cost"]
fn a_million_accounts() {
    const COUNT: u32 = 1_000_000;
    let dir = dir();
    let mut out = io::stdout();
    let name = |number: u32| format!("user-{:07}", u64::from(number) * 7_919 % u64::from(COUNT));
    let mut timed = |what: &str, count: u32, work: &mut dyn FnMut()| {
        let begin = std::time::Instant::now();
        work();
        let each = begin.elapsed().as_secs_f64() * 1e6 / f64::from(count);
        writeln!(out, "{what}: {each:.1} µs each, {count} of them").unwrap();
    };
    let mut store = open(&dir).unwrap();
    timed("import, 10,000 a commit", COUNT, &mut || {
        for batch in 0..COUNT / 10_000 {
            let names: Vec<_> = (0..10_000).map(|number| name(batch * 10_000 + number)).collect();
            let account = account(1);
            store.commit(names.iter().map(|name| (name.as_str(), &account))).unwrap();
        }
    });
    let len = fs::metadata(AccountStore::path_in(dir.path())).unwrap().len();
    writeln!(io::stdout(), "the file: {} MB", len / 1_000_000).unwrap();
    timed("look-up", 200_000, &mut || {
        for number in 0..200_000 {
            assert!(store.get(&name(number * 5)).unwrap().is_some());
        }
    });
    timed("look-up of nobody", 200_000, &mut || {
        for number in 0..200_000 {
            assert!(store.get(&format!("nobody-{number}")).unwrap().is_none());
        }
    });
    timed("durable commit of one", 1_000, &mut || {
        for number in 0..1_000 {
            put(&mut store, &[(&name(number * 997), account(2))]);
        }
    });
    timed("durable commit of 100, per account", 10_000, &mut || {
        for batch in 0..100 {
            let names: Vec<_> = (0..100).map(|number| name(batch * 7_001 + number * 97)).collect();
            let account = account(3);
            store.commit(names.iter().map(|name| (name.as_str(), &account))).unwrap();
        }
    });
    // As a kill leaves it: the file is not closed, only let go of. (A copy, since this process holds the lock.)
    let copy = tempfile::tempdir().unwrap();
    fs::copy(AccountStore::path_in(dir.path()), AccountStore::path_in(copy.path())).unwrap();
    // Or the first sync of the open would write all of it.
    File::open(AccountStore::path_in(copy.path())).unwrap().sync_all().unwrap();
    timed("open after a kill", 1, &mut || drop(AccountStore::open(copy.path()).unwrap()));
    drop(store);
    timed("open after a clean end", 1, &mut || drop(open(&dir).unwrap()));
    let store = open(&dir).unwrap();
    timed("list of a thousand", 1, &mut || assert_eq!(store.list("user-05", 1_000).unwrap().len(), 1_000));
    timed("what shards must be told, at a start", 1, &mut || assert!(store.voids().unwrap().is_empty()));
}
