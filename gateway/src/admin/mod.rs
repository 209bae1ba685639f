//! The admin listener: metrics, health, and what an operator may ask of a running gateway, over HTTP/1.1 on loopback.
//!
//! One thread with a runtime of its own. It shares nothing with the shards but the letter box: to ask a shard is to send it
//! [`Letter::Report`](crate::mesh::Letter::Report), which it answers at the end of a turn. It opens before the stores are recovered,
//! so that a long recovery can be watched, and ends with the process.

mod health;
mod listener;
mod metrics;
mod process;
mod routes;
mod shards;
mod text;
mod token;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::channel::Sender;
use tokio::sync::watch;

use self::metrics::Whole;
use self::shards::Shards;
use self::token::Token;
use crate::accounts::Accounts;
use crate::config::AdminConfig;
use crate::error::Error;
use crate::mesh::Mesh;
use crate::reactor::DescriptorBudget;
use crate::shard_loop::Report;
use crate::store::write_durably;
use crate::telemetry;

/// In the data directory, while a gateway with an admin listener runs: its address.
pub(crate) const ADDRESS_FILE: &str = "admin-address";
/// In the data directory: what proves to that gateway that one may change something.
pub(crate) const TOKEN_FILE: &str = "admin-token";

/// Where the gateway is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The logs are being read.
    Recovering,
    /// Clients may come.
    Serving,
    /// They are sent away.
    Draining,
}

/// The running listener, for the main thread.
pub(crate) struct Admin {
    address: SocketAddr,
    address_file: PathBuf,
    stage: watch::Sender<Stage>,
}

/// What the listener needs to know of the gateway.
pub(crate) struct Setup {
    /// The data directory.
    pub(crate) data_dir: PathBuf,
    /// How shards are reached.
    pub(crate) mesh: Arc<Mesh>,
    /// How many.
    pub(crate) shard_count: u16,
    /// What connections may take, and have.
    pub(crate) budget: Arc<DescriptorBudget>,
    /// To the main thread.
    pub(crate) reports: Sender<Report>,
    /// Who has an account.
    pub(crate) accounts: Accounts,
    /// When the certificate expires, in seconds since 1970; 0 without one.
    pub(crate) certificate_expiry_s: Arc<AtomicU64>,
}

/// What handlers work with.
struct Gateway {
    setup: Setup,
    shards: Shards,
    token: Token,
    stage: watch::Receiver<Stage>,
}

impl Admin {
    /// Listens and answers, if the configuration wants that.
    ///
    /// # Errors
    /// When the address cannot be had, or the token file is unusable.
    pub(crate) fn start(config: &AdminConfig, setup: Setup) -> Result<Option<Admin>, Error> {
        let Some(address) = config.listen else { return Ok(None) };
        let token = Token::load(&setup.data_dir, config.token_file.as_deref())?;
        let listener = std::net::TcpListener::bind(address).map_err(|error| explain(address, &error))?;
        listener.set_nonblocking(true).map_err(|error| explain(address, &error))?;
        let address = listener.local_addr().map_err(|error| explain(address, &error))?;
        let (stage, seen) = watch::channel(Stage::Recovering);
        let data_dir = setup.data_dir.clone();
        let shards = Shards::new(Arc::clone(&setup.mesh), setup.shard_count, PATIENCE);
        let gateway = Gateway { setup, shards, token, stage: seen };
        std::thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || run(listener, gateway))
            .map_err(Error::system("start the admin thread"))?;
        announce(&data_dir, address);
        Ok(Some(Admin { address, address_file: data_dir.join(ADDRESS_FILE), stage }))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The gateway ends in good order: its address goes. Whoever waits for the end can tell by that.
    pub(crate) fn end(self) {
        if let Err(error) = std::fs::remove_file(&self.address_file) {
            tracing::warn!(%error, "the address of the admin listener could not be removed");
        }
    }

    /// The gateway goes on to another stage.
    pub(crate) fn set_stage(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }
}

impl Gateway {
    fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// What SIGTERM does.
    fn drain(&self) {
        // Without a main thread the process is about to end.
        let _ = self.setup.reports.send(Report::Signal);
    }

    fn whole(&self) -> Whole {
        Whole {
            stage: self.stage(),
            process: process::Process::now(&self.setup.data_dir),
            guest_count: self.setup.budget.guest_count() as u64,
            connection_count_max: self.setup.budget.count_max() as u64,
            hashes_waiting: self.setup.accounts.gauges().waiting(),
            hashes_running: self.setup.accounts.gauges().hashing(),
            certificate_expiry_s: self.setup.certificate_expiry_s.load(Ordering::Relaxed),
            dropped_lines: telemetry::dropped_lines(),
        }
    }
}

impl Stage {
    /// Every name of [`Stage::name`].
    const NAMES: &[&str] = &["recovering", "serving", "draining"];

    fn name(self) -> &'static str {
        match self {
            Stage::Recovering => "recovering",
            Stage::Serving => "serving",
            Stage::Draining => "draining",
        }
    }
}

/// The thread's body. Ends with the process.
fn run(listener: std::net::TcpListener, gateway: Gateway) {
    let result = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().and_then(|runtime| {
        runtime.block_on(async {
            let listener = listener::Bounded::new(tokio::net::TcpListener::from_std(listener)?);
            axum::serve(listener, routes::router(Arc::new(gateway))).await
        })
    });
    if let Err(error) = result {
        tracing::error!(%error, "the admin listener has ended; the gateway goes on without it");
    }
}

/// Writes the address where commands find it.
fn announce(data_dir: &Path, address: SocketAddr) {
    if let Err(error) = write_durably(data_dir, ADDRESS_FILE, format!("{address}\n").as_bytes()) {
        // A disk without room must not keep the gateway from serving.
        tracing::warn!(%address, %error, "commands will not find the admin listener");
    }
}

fn explain(address: SocketAddr, error: &io::Error) -> Error {
    Error::Setting(match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "admin.listen: {address} is in use, perhaps by another gateway: choose another port with --admin-listen, \
             0 for any, or none"
        ),
        _ => format!("admin.listen: cannot listen on {address}: {error}"),
    })
}

/// What shards that work answer within many times over; and less than a scraper waits.
const PATIENCE: Duration = Duration::from_secs(2);
