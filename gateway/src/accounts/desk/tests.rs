use std::sync::Mutex;

use super::super::command::UserText;
use super::super::password::Cost;
use super::super::store::AccountStore;
use super::*;
use crate::config::{Config, Flags};

#[test]
fn shards_are_told_what_is_void_also_when_the_disk_says_it_failed_and_did_not() {
    let mut reached_the_disk = Vec::new();
    for sync_count in 0..6 {
        let dir = tempfile::tempdir().unwrap();
        let mesh = Mesh::new(1);
        let mut shard = mesh.end(0);
        let config = Config::load(Flags { dev: true, ..Flags::default() }).unwrap();
        let setup = Setup { login: &config.login, key: [1; 16], shard_count: 1, mesh };
        let user = UserText::try_from("alice".to_owned()).unwrap();
        let mut store = AccountStore::open(dir.path()).unwrap();
        let cost = Cost::of_memory(64);
        let hash = PasswordHash { cost, salt: [1; 16], hash: [1; 32] };
        let alice = Change::Add(hash).apply(None, 1).unwrap().unwrap();
        store.commit([("alice", &alice)].into_iter()).unwrap();
        store.fail_after_syncs(sync_count);
        let pool = Pool::start(1, cost, |_| {}).unwrap();
        let mut desk = Desk::new(Ledger::new(store), pool, 1, &setup, Arc::default());
        let answer = Arc::new(Mutex::new(None));
        let told = Arc::clone(&answer);
        desk.on_command(
            Command::Disable { user: user.clone() },
            Box::new(move |result| *told.lock().unwrap() = Some(result)),
        );
        desk.finish();
        let is_void = desk.ledger.get(&user.0).unwrap().is_some_and(|account| account.valid_from_us > 0);
        let letter = shard.next_letter();
        assert_eq!(is_void, matches!(letter, Some(Letter::Void { before_us: u64::MAX, .. })), "{sync_count} syncs");
        let is_done = matches!(answer.lock().unwrap().take(), Some(Ok(CommandAnswer::Done)));
        assert!(is_void || !is_done, "{sync_count} syncs");
        reached_the_disk.push((is_done, is_void));
    }
    for wanted in [(false, false), (false, true), (true, true)] {
        assert!(reached_the_disk.contains(&wanted), "{reached_the_disk:?}");
    }
}
