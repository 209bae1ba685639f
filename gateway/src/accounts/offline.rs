//! What an operator asks while no gateway runs: done by the one who asks, on the store itself. The caller holds the store's lock.

use std::time::{SystemTime, UNIX_EPOCH};

use super::change::Change;
use super::command::{AccountLine, Command, CommandAnswer, CommandError, LIST_COUNT_MAX};
use super::hasher::{Job, compute};
use super::ledger::Ledger;
use super::password::{Cost, Password, PasswordHash, Workbench};
use super::store::AccountStore;

/// The accounts of a data directory that no gateway uses.
pub(crate) struct Offline {
    ledger: Ledger,
    cost: Cost,
}

impl Offline {
    /// Over an open store. Where the gateway hashes at another cost than the default, it does so at the first login.
    pub(crate) fn new(store: AccountStore) -> Offline {
        // No shard is told anything here; the next start does that.
        Offline { ledger: Ledger::new(store), cost: Cost::of_memory(DEFAULT_MEMORY_KIB) }
    }

    /// Does it. Durable when it returns.
    ///
    /// # Errors
    /// Why it was not done.
    pub(crate) fn run(&mut self, command: Command) -> Result<CommandAnswer, CommandError> {
        let (user, change) = match command {
            Command::List { after } => {
                let list = self.ledger.list(&after, LIST_COUNT_MAX)?;
                let is_last = list.len() < LIST_COUNT_MAX;
                let accounts = list.iter().map(|(user, account)| AccountLine::new(user, account)).collect();
                return Ok(CommandAnswer::List { accounts, is_last });
            }
            Command::Add { user, password } => (user.0, Change::Add(self.hash(password)?)),
            Command::Passwd { user, password } => (user.0, Change::SetPassword(self.hash(password)?)),
            Command::Disable { user } => (user.0, Change::Disable),
            Command::Enable { user } => (user.0, Change::Enable),
            Command::Delete { user } => (user.0, Change::Delete),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_us = u64::try_from(now.as_micros()).unwrap_or(u64::MAX - 1);
        self.ledger.change(&user, change, now_us)?;
        self.ledger.commit()?;
        Ok(CommandAnswer::Done)
    }

    fn hash(&self, password: Password) -> Result<PasswordHash, CommandError> {
        if !password.is_fit() {
            return Err(CommandError::BadPassword);
        }
        let job = Job { id: 0, check: None, make: Some(password) };
        let outcome = compute(&mut Workbench::default(), job, self.cost);
        Ok(outcome.made.expect("there was nothing to check"))
    }
}

/// As `login.hash_memory_kib` has it.
const DEFAULT_MEMORY_KIB: u32 = 19_456;

#[cfg(test)]
mod tests {
    use wire::Name;

    use super::super::command::UserText;
    use super::*;

    fn user(name: &str) -> UserText {
        UserText(Name::parse_user(name.as_bytes()).unwrap().into())
    }

    fn password(text: &str) -> Password {
        Password::from(Box::from(text))
    }

    #[test]
    fn commands_are_done_and_durable() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Offline { cost: Cost::of_memory(64), ..Offline::new(AccountStore::open(dir.path()).unwrap()) };
        let list = |offline: &mut Offline| match offline.run(Command::List { after: String::new() }).unwrap() {
            CommandAnswer::List { accounts, is_last: true } => {
                accounts.into_iter().map(|line| (line.user, line.disabled)).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        let mut offline = open();
        for name in ["alice", "bob", "carol"] {
            offline.run(Command::Add { user: user(name), password: password("correct horse") }).unwrap();
        }
        offline.run(Command::Disable { user: user("bob") }).unwrap();
        offline.run(Command::Delete { user: user("carol") }).unwrap();
        drop(offline);
        let mut offline = open();
        assert_eq!(list(&mut offline), [("alice".to_owned(), false), ("bob".to_owned(), true)]);
        let again = Command::Add { user: user("alice"), password: password("correct horse") };
        assert_eq!(offline.run(again), Err(CommandError::NameTaken));
        let short = Command::Passwd { user: user("alice"), password: password("short") };
        assert_eq!(offline.run(short), Err(CommandError::BadPassword));
        assert_eq!(offline.run(Command::Enable { user: user("dave") }), Err(CommandError::NoSuchAccount));
    }
}
