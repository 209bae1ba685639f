//! Accounts: who may log in with a password, and how he makes, changes and ends that. Nothing of it runs on a shard.
//!
//! ```text
//!  shard ──try_login, try_account──►  ┌──────────┐  ──jobs──►  hash-00 … (hasher.rs)
//!  admin ──ask──────────────────────► │ accounts │  ◄─outcomes─┘
//!        ◄──letters, replies───────── └──────────┘  ──► DATA/accounts.redb (store.rs)
//! ```
//!
//! One thread, `accounts`, owns the store (`ledger.rs`), the back-off (`backoff.rs`) and the queue in front of the hashers (`queue.rs`). An
//! attempt is refused at once, or waits for its hash, or for room: what the thread is sent is bounded, and beyond that it is busy.
//! What changes an account is durable before anybody is told; then the one who asked is, and then the user's home shard
//! ([`Letter::Void`]), which ends the sessions that are void by it. Resume tickets and tokens never come here.

mod ask;
mod backoff;
mod change;
pub(crate) mod command;
mod desk;
mod gauges;
mod hasher;
mod known;
mod ledger;
mod meters;
pub(crate) mod offline;
mod password;
mod queue;
mod record;
mod store;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Sender, unbounded};
use gateway_core::{AccountKind, AccountRequest, ConnId, Refusal};
use wire::{Code, DeviceBuf, NameBuf};

use self::ask::{Ask, Deed, From, Reply};
use self::change::VoidBefore;
use self::command::{Command, CommandAnswer, CommandError};
use self::desk::{Desk, Message};
use self::gauges::Gauges;
use self::hasher::Pool;
use self::ledger::Ledger;
use self::password::Cost;
pub(crate) use self::password::Password;
pub(crate) use self::store::{AccountStore, AccountStoreError};
use crate::config::LoginConfig;
use crate::error::Error;
use crate::mesh::{Letter, Mesh};
use crate::reactor::Peer;

/// The accounts, seen from other threads. Clones are cheap and the same.
#[derive(Clone)]
pub(crate) struct Accounts {
    messages: Sender<Message>,
    passwords: bool,
    register: bool,
    gauges: Arc<Gauges>,
}

/// The accounts' thread.
pub(crate) struct AccountsThread {
    messages: Sender<Message>,
    thread: JoinHandle<()>,
}

/// What the thread is given beside its store.
pub(crate) struct Setup<'a> {
    /// Who may log in how.
    pub(crate) login: &'a LoginConfig,
    /// The key for hashing names to shards.
    pub(crate) key: [u8; 16],
    /// How many shards there are.
    pub(crate) shard_count: u16,
    /// Where they are reached.
    pub(crate) mesh: Arc<Mesh>,
}

/// Opens the accounts of a data directory.
///
/// # Errors
/// [`Error::Accounts`], with the file's name.
pub(crate) fn open(dir: &Path) -> Result<AccountStore, Error> {
    let path = AccountStore::path_in(dir);
    AccountStore::open(dir).map_err(|cause| Error::Accounts { path, cause })
}

impl Accounts {
    /// Starts the thread and its hashers. The shards are told nothing yet: see [`AccountsThread::tell_voids`].
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(store: AccountStore, setup: &Setup<'_>) -> Result<(Accounts, AccountsThread), Error> {
        let thread_error = Error::system("start a thread for the accounts");
        let LoginConfig { passwords, register, hash_threads, hash_memory_kib, .. } = *setup.login;
        let (messages, inbox) = unbounded();
        let done = messages.clone();
        // Nobody waits for a hash after the accounts have ended.
        let pool = Pool::start(hash_threads, Cost::of_memory(hash_memory_kib), move |outcome| {
            let _ = done.send(Message::Hashed(outcome));
        });
        let gauges = Arc::<Gauges>::default();
        let spawn = |pool| {
            let desk = Desk::new(Ledger::new(store), pool, hash_threads, setup, Arc::clone(&gauges));
            std::thread::Builder::new().name("accounts".to_owned()).spawn(move || desk.run(&inbox))
        };
        let thread = pool.and_then(spawn).map_err(thread_error)?;
        let accounts = Accounts { messages: messages.clone(), passwords, register: passwords && register, gauges };
        Ok((accounts, AccountsThread { messages, thread }))
    }

    /// Nobody looks at what these are sent.
    #[cfg(test)]
    pub(crate) fn nobodys() -> Accounts {
        Accounts { messages: unbounded().0, passwords: false, register: false, gauges: Arc::default() }
    }

    /// Has a password checked; [`Letter::LoginChecked`] answers.
    ///
    /// # Errors
    /// At once: what the client is told.
    pub(crate) fn try_login(
        &self,
        shard: u16,
        conn: ConnId,
        (user, device): (NameBuf, DeviceBuf),
        password: Box<str>,
        peer: Option<Peer>,
    ) -> Result<(), Refusal> {
        let password = Password::from(password);
        if !self.passwords {
            return Err(Code::CredentialUnsupported.into());
        }
        let from = From { shard, conn, address: address_of(peer)? };
        self.send(Ask::Login { from, user, device, password })
    }

    /// Has something done to an account; [`Letter::AccountDone`] answers.
    ///
    /// # Errors
    /// At once: what the client is told.
    pub(crate) fn try_account(
        &self,
        shard: u16,
        conn: ConnId,
        request: AccountRequest,
        peer: Option<Peer>,
    ) -> Result<(), Refusal> {
        let AccountRequest { request, kind, device } = request;
        let (user, deed) = match kind {
            AccountKind::Register { user, password } => (user, Deed::Register(password.into())),
            AccountKind::ChangePassword { user, password, new_password } => {
                (user, Deed::Change { old: password.into(), new: new_password.into() })
            }
            AccountKind::Delete { user, password } => (user, Deed::Delete(password.into())),
        };
        let new = match &deed {
            Deed::Register(_) if !self.register => return Err(Code::RegistrationClosed.into()),
            _ if !self.passwords => return Err(Code::Unsupported.into()),
            Deed::Register(new) | Deed::Change { new, .. } => Some(new),
            Deed::Delete(_) => None,
        };
        let is_fit = new.is_none_or(Password::is_fit);
        let from = From { shard, conn, address: address_of(peer)? };
        if !is_fit {
            return Err(Code::BadPassword.into());
        }
        self.send(Ask::Account { from, request, user, device, deed })
    }

    /// Does what an operator says, and calls `reply`, on any thread, at any later time, once.
    pub(crate) fn ask(
        &self,
        command: Command,
        reply: impl FnOnce(Result<CommandAnswer, CommandError>) + Send + 'static,
    ) {
        // Without the thread the process is about to end; then nobody waits for the answer.
        let _ = self.messages.send(Message::Command(command, Box::new(reply) as Reply));
    }

    /// How busy they are.
    pub(crate) fn gauges(&self) -> &Gauges {
        &self.gauges
    }

    /// A user's devices and messages are gone, as [`Letter::Void`] said.
    pub(crate) fn on_purged(&self, user: NameBuf) {
        let _ = self.messages.send(Message::Purged(user));
    }

    fn send(&self, ask: Ask) -> Result<(), Refusal> {
        if self.messages.len() >= MESSAGE_COUNT_MAX {
            return Err(busy());
        }
        self.messages.send(Message::Ask(ask)).map_err(|_| busy())
    }
}

impl AccountsThread {
    /// Tells every shard which logins are void. What is sent to a shard after this returns comes after it.
    ///
    /// # Errors
    /// When the store cannot be read: nobody may be served then, since logins that are void would be taken.
    pub(crate) fn tell_voids(&self) -> Result<(), Error> {
        let (sender, told) = unbounded();
        let _ = self.messages.send(Message::TellVoids(sender));
        match told.recv() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Error::Voids(error.to_string())),
            Err(_) => unreachable!("a panic ends the process"),
        }
    }

    /// Ends the thread, after what it has begun. Waits for `patience` at most: a disk that hangs must not hold up the end of the
    /// process, and nothing that was answered is lost by going without. Says whether it has ended.
    pub(crate) fn end(self, patience: Duration) -> bool {
        let give_up = Instant::now() + patience;
        let _ = self.messages.send_deadline(Message::End, give_up);
        while !self.thread.is_finished() {
            if Instant::now() >= give_up {
                return false;
            }
            std::thread::sleep(END_INTERVAL);
        }
        if self.thread.join().is_err() {
            unreachable!("a panic ends the process");
        }
        true
    }
}

/// Where a password may be taken from: over TLS from anywhere, without only from this machine.
fn address_of(peer: Option<Peer>) -> Result<IpAddr, Refusal> {
    // Without a peer the connection is gone, and nobody reads what it is told.
    let Peer { address, is_tls } = peer.ok_or_else(busy)?;
    let address = address.ip().to_canonical();
    if is_tls || address.is_loopback() { Ok(address) } else { Err(Code::PasswordInClear.into()) }
}

/// Too much is being asked: in a moment again.
fn busy() -> Refusal {
    Refusal { code: Code::Busy, retry_ms: BUSY_RETRY_MS }
}

/// The letter to a user's home.
fn void_letter(user: NameBuf, void: VoidBefore, except: Option<ConnId>) -> Letter {
    let VoidBefore { before_us, code, purge } = void;
    Letter::Void { user, before_us, code, purge, except }
}

/// What the thread may be behind. It looks at each within some 10 µs.
const MESSAGE_COUNT_MAX: usize = 4_096;
const BUSY_RETRY_MS: u32 = 1_000;
/// Between two looks whether the thread has ended.
const END_INTERVAL: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests;
