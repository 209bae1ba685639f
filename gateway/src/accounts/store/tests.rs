use std::os::unix::fs::PermissionsExt;

use super::super::password::{Cost, PasswordHash};
use super::super::record::State;
use super::*;

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
    let PasswordHash { .. } = *account(1).password().unwrap();
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
