//! `shardwire serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::config::{Config, Flags};

/// Run the gateway until SIGTERM or SIGINT.
///
/// Once clients may come, prints one line on standard output: `ready tcp=ADDRESS shards=N`. Everything else goes to standard
/// error. SIGTERM and SIGINT drain: sessions are told to come back, what is unsafe is stored, the exit code is 0. A second
/// signal ends the process at once.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Read settings from this TOML file; flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// For trying things out: take tokens of a key made in the data directory. Loopback only
    #[arg(long)]
    dev: bool,
    /// The store's directory, made if it does not exist [default: shardwire-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How many shards, 1 to 64; fixed when the store is made [default: as the store has, at first one per allowed CPU]
    #[arg(long, value_name = "N")]
    shards: Option<u16>,
    /// Take clients here, over plain TCP; port 0 lets the system choose [default: 127.0.0.1:7400]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Take tokens signed with the private half of this Ed25519 public key (PEM)
    #[arg(long, value_name = "FILE")]
    token_key: Option<PathBuf>,
    /// Allow plain TCP on an address that other machines reach: tokens and messages cross the network readable
    #[arg(long)]
    allow_plain_tcp: bool,
}

/// Serves until told to stop.
pub(crate) fn run(args: ServeArgs) -> anyhow::Result<()> {
    let config = Config::load(Flags {
        config: args.config,
        dev: args.dev,
        data_dir: args.data_dir,
        shards: args.shards,
        listen: args.listen,
        token_key: args.token_key,
        allow_plain_tcp: args.allow_plain_tcp,
    })?;
    crate::boot::serve(&config)?;
    Ok(())
}
