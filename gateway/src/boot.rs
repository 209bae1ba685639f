//! The composition root: opens what the gateway needs, in the order in which a mistake is cheapest to find; starts the shards;
//! takes it all down again.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use gateway_core::ShardConfig;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

use crate::accounts::{self, Accounts, AccountsThread};
use crate::admin::{self, Admin, Stage};
use crate::config::Config;
use crate::cpu;
use crate::error::Error;
use crate::keeper::{self, Keeper};
use crate::live::Live;
use crate::mesh::{Letter, Mesh};
use crate::reactor::ring::{self, Ring};
use crate::reactor::{DescriptorBudget, listen};
use crate::secrets::Secrets;
use crate::shard_loop::{self, Report, Setup};
use crate::signals;
use crate::store::{SHARD_COUNT_MAX, Store};
use crate::telemetry;

/// Serves until a signal comes, then drains.
///
/// # Errors
/// What keeps the gateway from serving, or from ending well.
pub(crate) fn serve(config: Config, load: &dyn Fn() -> Result<Config, Error>) -> Result<(), Error> {
    telemetry::start(&config.log)?;
    // Before anything that takes time: a signal that comes earlier ends the process.
    let (sender, reports) = unbounded();
    signals::watch(sender.clone()).map_err(Error::system("watch for signals"))?;
    Ring::new().map_err(|error| Error::NoRing(ring::explain(&error)))?;
    let cpus: Arc<[usize]> = cpu::allowed().map_err(Error::system("ask which CPUs are allowed"))?.into();
    let store = Store::open(&config.data_dir, config.shards, default_shard_count(cpus.len()))?;
    let shard_count = store.identity().shard_count;
    let keeper = Keeper::new(&config, store.identity().id, keeper::now_s())?;
    let account_store = accounts::open(&config.data_dir)?;
    let budget = descriptor_budget(shard_count)?;
    let tcp = Listener::open(config.listen.tcp, shard_count)?;
    let tls = Listener::open(config.listen.tls, shard_count)?;
    let mesh = Mesh::new(shard_count);
    let setup =
        accounts::Setup { login: &config.login, key: store.identity().key, shard_count, mesh: Arc::clone(&mesh) };
    let (accounts, accounts_thread) = Accounts::start(account_store, &setup)?;
    let admin = Admin::start(
        &config.admin,
        admin::Setup {
            data_dir: config.data_dir.clone(),
            mesh: Arc::clone(&mesh),
            shard_count,
            budget: Arc::clone(&budget),
            reports: sender.clone(),
            accounts: accounts.clone(),
            certificate_expiry_s: keeper.expiry_s(),
        },
    )?;
    let secrets = keeper.secrets();
    let live = Live::new(config, keeper, load);
    let shards = Shards { mesh, reports, threads: Vec::new(), accounts: accounts_thread, admin, live };
    let mut shards = shards.start(&store, &cpus, &secrets, &accounts, &budget, &sender)?;
    shards.serve(tcp, tls)?;
    if !shards.accounts.end(ACCOUNTS_PATIENCE) {
        warn!("the accounts do not end: ending without them, nothing is lost by it");
    }
    if let Some(admin) = shards.admin {
        admin.end();
    }
    info!(dropped_lines = telemetry::dropped_lines(), "ended");
    telemetry::flush();
    Ok(())
}

/// A socket for each shard, on one address; none where nobody is to be listened to.
struct Listener {
    sockets: Vec<OwnedFd>,
    address: Option<SocketAddr>,
}

impl Listener {
    fn open(address: Option<SocketAddr>, shard_count: u16) -> Result<Listener, Error> {
        let Some(address) = address else {
            return Ok(Listener { sockets: Vec::new(), address: None });
        };
        let (sockets, actual) = listen(address, shard_count, LISTEN_PATIENCE)?;
        Ok(Listener { sockets, address: Some(actual) })
    }

    /// As it is announced.
    fn text(&self) -> String {
        self.address.map_or_else(|| "-".to_owned(), |address| address.to_string())
    }
}

/// The running shards, seen from the main thread.
struct Shards<'a> {
    mesh: Arc<Mesh>,
    reports: Receiver<Report>,
    threads: Vec<JoinHandle<()>>,
    accounts: AccountsThread,
    admin: Option<Admin>,
    live: Live<'a>,
}

/// What a wait for the shards ended with.
#[derive(PartialEq, Eq)]
enum Waited {
    /// All have reported.
    All,
    /// A signal came first.
    Signal,
    /// So many had not reported in time.
    TimeOut(usize),
}

impl<'a> Shards<'a> {
    fn start(
        mut self,
        store: &Store,
        cpus: &Arc<[usize]>,
        secrets: &Arc<Secrets>,
        accounts: &Accounts,
        budget: &Arc<DescriptorBudget>,
        reports: &Sender<Report>,
    ) -> Result<Shards<'a>, Error> {
        let identity = store.identity();
        // More shards than CPUs share them, one after the other.
        for (shard, cpu) in (0..identity.shard_count).zip(cpus.iter().cycle()) {
            let mut shard_config = ShardConfig::new(shard, identity.shard_count, identity.id, identity.key);
            configure(&mut shard_config, self.live.config());
            let setup = Setup {
                config: shard_config,
                cpu: *cpu,
                cpus: Arc::clone(cpus),
                dir: store.shard_dir(shard),
                mesh: self.mesh.end(shard),
                secrets: Arc::clone(secrets),
                accounts: accounts.clone(),
                budget: Arc::clone(budget),
                reports: reports.clone(),
            };
            let thread = std::thread::Builder::new()
                .name(format!("shard-{shard:02}"))
                .spawn(move || shard_loop::run(setup))
                .map_err(Error::system("start a thread for a shard"))?;
            self.threads.push(thread);
        }
        Ok(self)
    }

    fn serve(&mut self, tcp: Listener, tls: Listener) -> Result<(), Error> {
        if self.wait(&Report::Ready, None)? == Waited::Signal {
            // Nobody was served yet; a recovery that is cut begins again at the next start.
            return Ok(());
        }
        // Before the first connection, each shard knows which logins are void.
        self.accounts.tell_voids()?;
        let (tcp_address, tls_address) = (tcp.text(), tls.text());
        for (listener, is_tls) in [(tcp, false), (tls, true)] {
            for (shard, socket) in (0..).zip(listener.sockets) {
                self.mesh.send_letter(shard, Letter::Serve { socket, is_tls });
            }
        }
        let shards = self.threads.len();
        self.set_stage(Stage::Serving);
        let admin = self.admin.as_ref().map_or_else(|| "-".to_owned(), |admin| admin.address().to_string());
        info!(version = env!("CARGO_PKG_VERSION"), tcp = tcp_address, tls = tls_address, admin, shards, "serving");
        announce(&format!("ready tcp={tcp_address} tls={tls_address} shards={shards}"));
        if self.wait(&Report::Drained, None)? == Waited::Signal {
            info!("draining");
        }
        self.set_stage(Stage::Draining);
        self.tell_all(|| Letter::Drain);
        let limit = self.live.config().drain.deadline;
        let deadline = Instant::now() + limit;
        if matches!(self.wait(&Report::Drained, Some(limit))?, Waited::TimeOut(_))
            && let Some(left) = self.what_is_left()
        {
            return Err(Error::DrainTimeout(left));
        }
        // Only now: until the last one has drained, it may need an answer from the others.
        self.tell_all(|| Letter::Stop);
        // Those who do not take their last bytes are cut off by the reactor, which is what this waits for at most.
        let left = END_TIMEOUT.min(deadline.saturating_duration_since(Instant::now()));
        if let Waited::TimeOut(missing) = self.wait(&Report::Ended, Some(left))? {
            if left < END_TIMEOUT {
                info!("drained as the deadline passed: some clients may not have heard when to come back");
            } else {
                warn!(missing, "drained, but so many shards do not end: ending without them, nothing is lost by it");
            }
            return Ok(());
        }
        for thread in std::mem::take(&mut self.threads) {
            if thread.join().is_err() {
                unreachable!("a panic ends the process");
            }
        }
        Ok(())
    }

    /// What the drain waits for, shard by shard; `None` when it has ended after all.
    fn what_is_left(&self) -> Option<String> {
        self.tell_all(|| Letter::TellLeft);
        let deadline = Instant::now() + ANSWER_TIME_MAX;
        let mut left: BTreeMap<u16, String> =
            (0..).zip(&self.threads).map(|(shard, _)| (shard, NO_ANSWER.into())).collect();
        let mut missing = left.len();
        while missing > 0 {
            match self.reports.recv_deadline(deadline) {
                Ok(Report::Left(shard, of_shard)) => {
                    missing -= 1;
                    match of_shard {
                        Some(of_shard) => left.insert(shard, of_shard.to_string()),
                        None => left.remove(&shard),
                    };
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        let text: Vec<String> = left.iter().map(|(shard, left)| format!("shard {shard}: {left}")).collect();
        (!text.is_empty()).then(|| text.join("; "))
    }

    /// Waits until every shard has sent this report, a signal comes (while there is no time limit: later the drain is under way
    /// already), or the time is over. Meanwhile does what is due, and what SIGHUP asks for.
    fn wait(&mut self, wanted: &Report, limit: Option<Duration>) -> Result<Waited, Error> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        let mut missing = self.threads.len();
        while missing > 0 {
            let look_at = self.live.look_at();
            match self.reports.recv_deadline(deadline.map_or(look_at, |deadline| deadline.min(look_at))) {
                Ok(Report::Failed(error)) => return Err(error),
                Ok(Report::Signal) if deadline.is_none() => return Ok(Waited::Signal),
                Ok(Report::Reload) => {
                    let secrets = self.live.reload();
                    self.give_out(secrets);
                }
                Ok(report) if std::mem::discriminant(&report) == std::mem::discriminant(wanted) => missing -= 1,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) if deadline.is_some_and(|deadline| deadline <= Instant::now()) => {
                    return Ok(Waited::TimeOut(missing));
                }
                Err(RecvTimeoutError::Timeout) => {
                    let secrets = self.live.look();
                    self.give_out(secrets);
                }
                Err(RecvTimeoutError::Disconnected) => unreachable!("the signal thread keeps its end"),
            }
        }
        Ok(Waited::All)
    }

    fn give_out(&self, secrets: Option<Arc<Secrets>>) {
        if let Some(secrets) = secrets {
            self.tell_all(|| Letter::Secrets(Arc::clone(&secrets)));
        }
    }

    fn set_stage(&self, stage: Stage) {
        if let Some(admin) = &self.admin {
            admin.set_stage(stage);
        }
    }

    fn tell_all(&self, letter: impl Fn() -> Letter) {
        for (shard, _) in (0..).zip(&self.threads) {
            self.mesh.send_letter(shard, letter());
        }
    }
}

/// What the operator decides about a shard.
fn configure(shard: &mut ShardConfig, config: &Config) {
    let millis = |duration: Duration| u32::try_from(duration.as_millis()).expect("an hour at most");
    shard.heartbeat_s = config.session.heartbeat_s;
    shard.payload_len_max = config.session.payload_len_max;
    shard.unknown_recipients = config.messages.unknown_recipients;
    shard.inbox_count_max = config.messages.inbox_count_max;
    shard.drain_slot_start_ms = millis(config.drain.slot_start);
    shard.drain_slot_len_ms = millis(config.drain.slot_len);
}

/// The one line on standard output.
fn announce(line: &str) {
    let mut stdout = io::stdout().lock();
    // Who closed our standard output does not want to know.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

fn default_shard_count(cpu_count: usize) -> u16 {
    u16::try_from(cpu_count).map_or(SHARD_COUNT_MAX, |count| count.clamp(1, SHARD_COUNT_MAX))
}

/// Raises the limit on open files as far as it goes, and gives connections what the gateway itself does not need.
fn descriptor_budget(shard_count: u16) -> Result<Arc<DescriptorBudget>, Error> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
            .map_err(|error| Error::system("raise the limit on open files")(error.into()))?;
    }
    let reserve = u64::from(shard_count) * RESERVE_PER_SHARD + RESERVE;
    match limit.maximum.map(|maximum| maximum.saturating_sub(reserve)) {
        Some(0) => Err(Error::Setting(format!(
            "the limit on open files leaves no room for connections: raise it above {reserve} (ulimit -n)"
        ))),
        Some(count) => Ok(DescriptorBudget::new(usize::try_from(count).unwrap_or(usize::MAX))),
        None => Ok(DescriptorBudget::new(usize::MAX)),
    }
}

/// How long an address in use is tried again: what the kernel takes to clear away a gateway that was killed under load, and more.
const LISTEN_PATIENCE: Duration = Duration::from_secs(3);
/// How long a shard that has not drained in time may take to say what it waits for.
const ANSWER_TIME_MAX: Duration = Duration::from_millis(250);
/// Of a shard that does not say it.
const NO_ANSWER: &str = "it does not answer";
/// Longer than a closing connection lingers.
const END_TIMEOUT: Duration = Duration::from_secs(3);
/// Longer than a commit on a disk that works.
const ACCOUNTS_PATIENCE: Duration = Duration::from_secs(1);
/// Descriptors of a shard: 12 files that stay open, 8 that are being read, some that are written, made or closed at the moment;
/// listener, two rings, eventfds, directory.
const RESERVE_PER_SHARD: u64 = 48;
/// Descriptors of the process: standard streams, lock, signals, accounts, and the admin listener with its 16 connections.
const RESERVE: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_shard_for_each_cpu_within_bounds() {
        assert_eq!([0, 1, 7, 64, 500].map(default_shard_count), [1, 1, 7, 64, 64]);
    }
}
