//! The accounts' thread: takes what is asked, has hashed what may be hashed, commits what changed, and answers.
//!
//! It works in turns. A turn takes what has come, then makes durable, in one commit, all that it changed, then sends its answers.
//! So a storm of registrations costs a sync for each turn and not for each account.

use std::collections::{BTreeSet, HashMap};
use std::hash::RandomState;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use gateway_core::{ConnId, Refusal, home};
use wire::{Code, NameBuf};

use super::ask::{Answer, Ask, Deed, Reply};
use super::backoff::{Attempt, Backoff, Class, Stake, Wait, Who};
use super::change::{Change, VoidBefore};
use super::command::{AccountLine, Command, CommandAnswer, CommandError, LIST_COUNT_MAX};
use super::gauges::Gauges;
use super::hasher::{Job, Outcome, Pool};
use super::ledger::Ledger;
use super::meters::Key;
use super::password::{Password, PasswordHash};
use super::queue::{Queue, Waiting};
use super::{Setup, busy, void_letter};
use crate::mesh::{Letter, Mesh};

/// What the thread is sent.
pub(crate) enum Message {
    /// By shards.
    Ask(Ask),
    /// By operators.
    Command(Command, Reply),
    /// By hashers.
    Hashed(Outcome),
    /// By shards: [`Letter::Void`] with `purge` is done.
    Purged(NameBuf),
    /// By the main thread: tell every shard what is void, then say here that they know it, or why they cannot.
    TellVoids(Sender<Result<(), CommandError>>),
    /// By the main thread: end.
    End,
}

/// What the thread owns.
pub(crate) struct Desk {
    ledger: Ledger,
    backoff: Backoff,
    queue: Queue<Ask>,
    pool: Pool,
    /// By the number of their job.
    hashing: HashMap<u64, Hashing>,
    next_id: u64,
    /// Of this turn, in order.
    answers: Vec<Ready>,
    /// Whose change was told as failed, and may have reached the disk all the same.
    doubtful: BTreeSet<NameBuf>,
    clock: Clock,
    mesh: Arc<Mesh>,
    key: [u8; 16],
    shard_count: u16,
    gauges: Arc<Gauges>,
}

/// What is with a hasher.
struct Hashing {
    ask: Ask,
    who: Who,
    stake: Stake,
}

/// An answer that leaves at the end of the turn.
struct Ready {
    answer: Answer,
    /// It says that something was changed: not to be sent if the commit fails.
    is_of_change: bool,
}

impl Desk {
    /// With nothing to do.
    pub(crate) fn new(ledger: Ledger, pool: Pool, thread_count: u16, setup: &Setup<'_>, gauges: Arc<Gauges>) -> Desk {
        Desk {
            ledger,
            backoff: Backoff::new(RandomState::new(), thread_count),
            queue: Queue::new(thread_count),
            pool,
            hashing: HashMap::new(),
            next_id: 0,
            answers: Vec::new(),
            doubtful: BTreeSet::new(),
            clock: Clock { zero: Instant::now(), last_wall_us: 0 },
            mesh: Arc::clone(&setup.mesh),
            key: setup.key,
            shard_count: setup.shard_count,
            gauges,
        }
    }

    /// The body of the thread.
    pub(crate) fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            let message = match self.queue.next_at().filter(|_| self.pool.is_idle()) {
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at_us) => inbox.recv_deadline(self.clock.instant(at_us)),
            };
            let is_over = match message {
                Ok(message) => self.take(message, inbox),
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            self.start_hashes();
            self.finish();
            self.gauges.set(self.queue.count(), self.hashing.len());
            if is_over {
                return;
            }
        }
    }

    /// Takes a message, and what is behind it up to a turn's worth. True: it is over.
    fn take(&mut self, first: Message, inbox: &Receiver<Message>) -> bool {
        let more = inbox.try_iter().take(MESSAGES_PER_TURN);
        for message in std::iter::once(first).chain(more) {
            match message {
                Message::Ask(ask) => self.on_ask(ask),
                Message::Command(command, reply) => self.on_command(command, reply),
                Message::Hashed(outcome) => self.on_hashed(&outcome),
                Message::Purged(user) => {
                    // Not durable: it is purged again at the next start.
                    let _ = self.ledger.change(&user, Change::Purged, self.clock.stamp_us());
                }
                Message::TellVoids(told) => {
                    // Without a main thread the process is about to end.
                    let _ = told.send(self.tell_voids());
                }
                Message::End => return true,
            }
        }
        false
    }

    fn on_ask(&mut self, ask: Ask) {
        let now_us = self.clock.now_us();
        let (attempt, who) = match ask.attempt() {
            Some((attempt, user, address)) => (attempt, self.backoff.who(user, address)),
            None => unreachable!("shards send what connections ask"),
        };
        let class = match self.backoff.admit(now_us, &who, attempt) {
            Ok(class) => class,
            Err(wait) => return self.say(ask.refuse(too_many(wait))),
        };
        if attempt == Attempt::Register {
            // It costs no hash to say this now, and it is looked at again behind the hash.
            match self.ledger.get(ask.user()) {
                Ok(None) => {}
                Ok(Some(_)) => return self.say(ask.refuse(Code::NameTaken.into())),
                Err(error) => return self.say(ask.refuse(refusal(&error))),
            }
        }
        self.wait(Waiting { since_us: now_us, class, who, item: ask });
    }

    fn on_command(&mut self, command: Command, reply: Reply) {
        let (user, change) = match command {
            Command::List { after } => return self.list(&after, reply),
            Command::Add { user, password } => return self.hash_for(user.0, true, password, reply),
            Command::Passwd { user, password } => return self.hash_for(user.0, false, password, reply),
            Command::Disable { user } => (user.0, Change::Disable),
            Command::Enable { user } => (user.0, Change::Enable),
            Command::Delete { user } => (user.0, Change::Delete),
        };
        self.change_for(user, change, reply);
    }

    /// An operator's new password goes to the hashers like everybody's, before those who are known.
    fn hash_for(&mut self, user: NameBuf, is_new: bool, password: Password, reply: Reply) {
        if !password.is_fit() {
            return self.say(Answer::Reply { reply, result: Err(CommandError::BadPassword) });
        }
        self.next_id += 1;
        let who = Who { account: Key(0), address: Key(0), pair: Key(self.next_id) };
        let item = Ask::Command { user, is_new, password, reply };
        self.wait(Waiting { since_us: self.clock.now_us(), class: Class::Known, who, item });
    }

    fn list(&mut self, after: &str, reply: Reply) {
        let result = self.ledger.list(after, LIST_COUNT_MAX + 1).map(|mut list| {
            let is_last = list.len() <= LIST_COUNT_MAX;
            list.truncate(LIST_COUNT_MAX);
            let accounts = list.iter().map(|(user, account)| AccountLine::new(user, account)).collect();
            CommandAnswer::List { accounts, is_last }
        });
        self.say(Answer::Reply { reply, result });
    }

    fn wait(&mut self, waiting: Waiting<Ask>) {
        if let Ok(Some(ask)) | Err(ask) = self.queue.push(waiting) {
            self.say(ask.refuse(busy()));
        }
    }

    /// Gives idle hashers what waits.
    fn start_hashes(&mut self) {
        while self.pool.is_idle() {
            let now_us = self.clock.now_us();
            let Some(waiting) = self.queue.pop(now_us) else { return };
            if now_us.saturating_sub(waiting.since_us) > WAIT_US_MAX {
                // The client has given up, or is about to.
                self.say(waiting.item.refuse(busy()));
                continue;
            }
            let attempt = waiting.item.attempt().map(|(attempt, ..)| attempt);
            let Some(waiting) = self.reclassify(now_us, waiting, attempt) else { continue };
            let Waiting { class, who, item: ask, .. } = waiting;
            let stake = match attempt.map(|attempt| self.backoff.begin(now_us, &who, attempt)).transpose() {
                Ok(stake) => stake.unwrap_or_default(),
                Err(wait) => {
                    self.say(ask.refuse(too_many(wait)));
                    continue;
                }
            };
            match self.job(&ask) {
                Ok(job) => {
                    self.queue.on_begun(class, now_us);
                    self.hashing.insert(job.id, Hashing { ask, who, stake });
                    self.pool.give(job);
                }
                Err(error) => self.say(ask.refuse(refusal(&error))),
            }
        }
    }

    /// Whose address was wrong since he came waits again, behind those of whom nothing is known.
    fn reclassify(&mut self, now_us: u64, waiting: Waiting<Ask>, attempt: Option<Attempt>) -> Option<Waiting<Ask>> {
        let class = attempt.and_then(|attempt| self.backoff.admit(now_us, &waiting.who, attempt).ok());
        if waiting.class == Class::Fresh && class == Some(Class::Suspect) {
            self.wait(Waiting { class: Class::Suspect, ..waiting });
            return None;
        }
        Some(waiting)
    }

    fn job(&mut self, ask: &Ask) -> Result<Job, CommandError> {
        let (old, make) = match ask {
            Ask::Login { password, .. } => (Some(password), None),
            Ask::Account { deed, .. } => match deed {
                Deed::Register(new) => (None, Some(new)),
                Deed::Change { old, new } => (Some(old), Some(new)),
                Deed::Delete(old) => (Some(old), None),
            },
            Ask::Command { password, .. } => (None, Some(password)),
        };
        let check = match old {
            None => None,
            Some(old) => {
                let stored = self.ledger.get(ask.user())?.and_then(|account| account.password().copied());
                Some((old.clone(), stored))
            }
        };
        self.next_id += 1;
        Ok(Job { id: self.next_id, check, make: make.cloned() })
    }

    fn on_hashed(&mut self, outcome: &Outcome) {
        self.pool.on_done();
        let took_us = u64::try_from(outcome.took.as_micros()).unwrap_or(u64::MAX);
        self.queue.on_done(took_us);
        let Hashing { ask, who, stake } = self.hashing.remove(&outcome.id).expect("each job is noted until it is done");
        if let Some((attempt, user, _)) = ask.attempt() {
            // Who asked for a name that was given to another meanwhile has proven nothing.
            let is_free = attempt != Attempt::Register || matches!(self.ledger.get(user), Ok(None));
            self.backoff.settle(self.clock.now_us(), &who, stake, outcome.is_right && is_free);
        }
        match ask {
            Ask::Login { from, user, device, .. } => {
                let verdict = self.login(&user, outcome);
                let letter = Letter::LoginChecked { conn: from.conn, user, device, verdict };
                self.say(Answer::Letter { shard: from.shard, letter });
            }
            Ask::Command { user, is_new, reply, .. } => {
                let made = outcome.made.expect("there was nothing to check");
                let change = if is_new { Change::Add(made) } else { Change::SetPassword(made) };
                self.change_for(user, change, reply);
            }
            Ask::Account { from, request, user, device, deed } => {
                let result = self.deed(&user, &deed, outcome);
                let is_changed = result.is_ok();
                let result =
                    result.map(|proven_us| device.zip(proven_us).map(|(device, us)| (user.clone(), device, us)));
                let letter = Letter::AccountDone { conn: from.conn, request, result };
                let answer = Answer::Letter { shard: from.shard, letter };
                self.answers.push(Ready { answer, is_of_change: is_changed });
                if is_changed {
                    let is_deleted = matches!(deed, Deed::Delete(_));
                    self.void(user, Some(from.conn).filter(|_| !is_deleted));
                }
            }
        }
    }

    /// Whether the login is good, and from which moment its proof is.
    fn login(&mut self, user: &NameBuf, outcome: &Outcome) -> Result<u64, Refusal> {
        if !outcome.is_right {
            return Err(Code::BadCredential.into());
        }
        let stamp_us = self.clock.stamp_us();
        let account = self.ledger.get(user).map_err(|error| refusal(&error))?;
        // It may have got another password, or an end, while this one was hashed.
        let account = account.filter(|account| account.password() == outcome.checked.as_ref());
        let account = account.ok_or(Refusal::from(Code::BadCredential))?;
        if let Some(VoidBefore { before_us: u64::MAX, code, .. }) = VoidBefore::of(&account) {
            return Err(code.into());
        }
        if let Some(made) = outcome.made {
            // If it fails, the next login does it.
            let _ = self.ledger.change(user, Change::Rehash(made), stamp_us);
        }
        Ok(stamp_us.max(account.valid_from_us))
    }

    /// Does what a person asked for. Gives the moment of the fresh proof, where there is one.
    fn deed(&mut self, user: &NameBuf, deed: &Deed, outcome: &Outcome) -> Result<Option<u64>, Refusal> {
        let stamp_us = self.clock.stamp_us();
        let made = || -> PasswordHash { outcome.made.expect("a right password is followed by the new one") };
        let change = match deed {
            Deed::Register(_) => Change::Register(made()),
            Deed::Change { .. } | Deed::Delete(_) => {
                // Checks also that the password is still the one that was right.
                self.login(user, &Outcome { made: None, ..*outcome })?;
                if matches!(deed, Deed::Delete(_)) { Change::Delete } else { Change::SetPassword(made()) }
            }
        };
        let account = self.ledger.change(user, change, stamp_us).map_err(|error| refusal(&error))?;
        Ok(account.map(|account| account.valid_from_us).filter(|_| matches!(deed, Deed::Change { .. })))
    }

    /// Does what an operator asked for.
    fn change_for(&mut self, user: NameBuf, change: Change, reply: Reply) {
        let result = self.ledger.change(&user, change, self.clock.stamp_us());
        let (is_so, is_changed) = (result.is_ok(), matches!(result, Ok(Some(_))));
        let answer = Answer::Reply { reply, result: result.map(|_| CommandAnswer::Done) };
        self.answers.push(Ready { answer, is_of_change: is_changed });
        // Also when it was so already: a commit that was told as failed may have reached the disk, and then no shard knows of it.
        if is_so {
            self.void(user, None);
        }
    }

    /// Tells a user's home what is void now, after whoever asked for it has been answered.
    fn void(&mut self, user: NameBuf, except: Option<ConnId>) {
        let void = self.ledger.get(&user).ok().flatten().and_then(|account| VoidBefore::of(&account));
        if let Some(void) = void {
            let shard = home(&self.key, self.shard_count, &user).0;
            let answer = Answer::Letter { shard, letter: void_letter(user, void, except) };
            self.answers.push(Ready { answer, is_of_change: true });
        }
    }

    fn tell_voids(&mut self) -> Result<(), CommandError> {
        for (user, void) in self.ledger.voids(self.clock.stamp_us())? {
            let shard = home(&self.key, self.shard_count, &user).0;
            self.mesh.send_letter(shard, void_letter(user, void, None));
        }
        Ok(())
    }

    fn say(&mut self, answer: Answer) {
        self.answers.push(Ready { answer, is_of_change: false });
    }

    /// Commits what the turn changed, then answers.
    fn finish(&mut self) {
        let result = self.ledger.commit();
        for Ready { answer, is_of_change } in self.answers.drain(..) {
            let failure = result.as_ref().err().filter(|_| is_of_change);
            match (answer, failure) {
                (Answer::Reply { reply, .. }, Some(error)) => reply(Err(error.clone())),
                (Answer::Reply { reply, result }, None) => reply(result),
                (Answer::Letter { shard, letter: Letter::AccountDone { conn, request, .. } }, Some(error)) => {
                    let result = Err(refusal(error));
                    self.mesh.send_letter(shard, Letter::AccountDone { conn, request, result });
                }
                (Answer::Letter { letter: Letter::Void { user, .. }, .. }, Some(_)) => {
                    self.doubtful.insert(user);
                }
                (Answer::Letter { .. }, Some(_)) => {}
                (Answer::Letter { shard, letter }, None) => self.mesh.send_letter(shard, letter),
            }
        }
        self.settle_doubts();
    }

    /// After a commit that failed, the store says what became of it, as soon as it can be read again: a sync that fails may have
    /// written. Then the shards are told what is void.
    fn settle_doubts(&mut self) {
        while let Some(user) = self.doubtful.first() {
            let Ok(account) = self.ledger.get(user) else { return };
            let void = account.and_then(|account| VoidBefore::of(&account));
            if let Some((user, void)) = self.doubtful.pop_first().zip(void) {
                let shard = home(&self.key, self.shard_count, &user).0;
                self.mesh.send_letter(shard, void_letter(user, void, None));
            }
        }
    }
}

/// The clocks. Moments of proofs and of what voids them never repeat and never go back, whatever the system's clock does.
struct Clock {
    zero: Instant,
    last_wall_us: u64,
}

impl Clock {
    /// Since the thread was made.
    fn now_us(&self) -> u64 {
        u64::try_from(self.zero.elapsed().as_micros()).expect("584,000 years fit")
    }

    fn instant(&self, at_us: u64) -> Instant {
        self.zero + Duration::from_micros(at_us)
    }

    /// µs since 1970.
    fn stamp_us(&mut self) -> u64 {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_us = u64::try_from(wall.as_micros()).expect("584,000 years fit");
        self.last_wall_us = wall_us.max(self.last_wall_us + 1);
        self.last_wall_us
    }
}

fn too_many(wait: Wait) -> Refusal {
    Refusal { code: Code::TooManyAttempts, retry_ms: wait.retry_ms }
}

fn refusal(error: &CommandError) -> Refusal {
    let code = error.code();
    Refusal { code, retry_ms: if code == Code::Internal { STORE_RETRY_MS } else { 0 } }
}

/// What is taken before answers leave.
const MESSAGES_PER_TURN: usize = 256;
/// A core closes a connection that was not answered for 10 s; what waits longer than this is not worth a hash.
const WAIT_US_MAX: u64 = 8_000_000;
/// When to come back to a store that fails.
const STORE_RETRY_MS: u32 = 5_000;

#[cfg(test)]
mod tests;
