//! The flags that set things, the same for each command that reads a configuration.

use std::path::PathBuf;

use clap::Args;

use crate::config::{self, Flags, Key, Value};

/// What is set on the command line.
#[derive(Debug, Args)]
pub(crate) struct SettingArgs {
    /// Read settings from this TOML file; the environment (SHARDWIRE__SECTION__KEY) wins over it, and flags over both
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// For trying things out: take tokens of a key made in the data directory, make a certificate for --tls-listen, let people
    /// register. Loopback only
    #[arg(long)]
    dev: bool,
    /// The store's directory, made if it does not exist [default: shardwire-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How many shards, 1 to 64; fixed when the store is made [default: as the store has, at first one per allowed CPU]
    #[arg(long, value_name = "N", value_parser = |text: &str| config::SHARDS.parse(text))]
    shards: Option<Value>,
    /// Take clients here, over plain TCP; port 0 lets the system choose, `none` takes nobody [default: 127.0.0.1:7400]
    #[arg(long, value_name = "ADDRESS", value_parser = |text: &str| config::LISTEN_TCP.parse(text))]
    listen: Option<Value>,
    /// Take clients here, over TLS 1.3 [default: none]
    #[arg(long, value_name = "ADDRESS", value_parser = |text: &str| config::LISTEN_TLS.parse(text))]
    tls_listen: Option<Value>,
    /// The certificate for --tls-listen, with those above it (PEM)
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Take operators and their tools here; loopback only [default: 127.0.0.1:7401]
    #[arg(long, value_name = "ADDRESS", value_parser = |text: &str| config::ADMIN_LISTEN.parse(text))]
    admin_listen: Option<Value>,
    /// Take tokens signed with the private half of this Ed25519 public key (PEM)
    #[arg(long, value_name = "FILE")]
    token_key: Option<PathBuf>,
    /// Allow plain TCP on an address that other machines reach: tokens and messages cross the network readable
    #[arg(long)]
    allow_plain_tcp: bool,
    /// Log what is at least this important: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL", value_parser = |text: &str| config::LOG_LEVEL.parse(text))]
    log_level: Option<Value>,
    /// How a line of the log looks: text, or json [default: text]
    #[arg(long, value_name = "FORMAT", value_parser = |text: &str| config::LOG_FORMAT.parse(text))]
    log_format: Option<Value>,
}

impl SettingArgs {
    /// As the configuration takes them.
    pub(crate) fn flags(self) -> Flags {
        let mut given = Vec::new();
        let mut set =
            |key: &'static Key, flag, value: Option<Value>| given.extend(value.map(|value| (key, flag, value)));
        set(&config::DATA_DIR, "--data-dir", self.data_dir.map(Value::Path));
        set(&config::SHARDS, "--shards", self.shards);
        set(&config::LISTEN_TCP, "--listen", self.listen);
        set(&config::LISTEN_TLS, "--tls-listen", self.tls_listen);
        set(&config::CERTIFICATE_FILE, "--tls-cert", self.tls_cert.map(Value::Path));
        set(&config::KEY_FILE, "--tls-key", self.tls_key.map(Value::Path));
        set(&config::ADMIN_LISTEN, "--admin-listen", self.admin_listen);
        set(&config::TOKEN_KEY_FILE, "--token-key", self.token_key.map(Value::Path));
        set(&config::ALLOW_PLAIN_TCP, "--allow-plain-tcp", self.allow_plain_tcp.then_some(Value::Switch(true)));
        set(&config::LOG_LEVEL, "--log-level", self.log_level);
        set(&config::LOG_FORMAT, "--log-format", self.log_format);
        Flags { config: self.config, dev: self.dev, given }
    }
}
