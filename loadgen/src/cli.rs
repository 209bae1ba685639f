//! The command line, and the scenario it asks for.

use std::fs;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};
use shardwire_sdk::Endpoint;
use shardwire_sdk::tls::TlsConfig;

use crate::body::BODY_LEN_MIN;
use crate::rng::Rng;
use crate::scenario::{Load, Pattern, Scenario};

/// Writes messages through a Shardwire gateway as many users at once, checks each of them, and measures.
///
/// The loop is open unless --window is given: messages leave when a Poisson process of the wished rate says so, whatever became
/// of the earlier ones, and each latency counts from the moment the message was meant to leave. A gateway that stalls for two
/// seconds therefore shows in every message that was due in these two seconds.
///
/// A run has three phases. Everybody logs in; those who will be away leave again. Then messages flow for --duration, also to those
/// who are away. At the end those who were away come back to collect, and the run is over when every message has its outcome and
/// has arrived, or when nothing has moved for --collect-timeout. A gateway that is killed and started again in the middle is met
/// again by the rules of the client library.
///
/// All processes of a run share the monotonic clock of this machine: that is how the time from one user's sending to another's
/// receiving is measured, and why a run cannot be spread over machines. When the load generator was itself short of processor time,
/// the report warns and says in what way. loadgen/README.md describes all of the report.
///
/// Exit status: 0 if nothing was lost, duplicated, reordered or corrupted; 1 if something was; 2 if there was no run.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// One process of a run; speaks with the one that started it through its standard input and output
    #[command(hide = true)]
    Worker,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Where the gateway listens: ADDRESS:PORT, for plain TCP or, with --tls, for TLS
    #[arg(long, value_name = "ADDR", required = true)]
    target: Option<String>,
    /// Speak TLS 1.3. Each user resumes an own session when reconnecting, as a device would
    #[arg(long)]
    tls: bool,
    /// Certificates (PEM) of those who may vouch for the gateway's name [default: the authority that `shardwire serve --dev` made in
    /// its default data directory]. Nobody else is trusted, the system's authorities neither
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca: Option<PathBuf>,
    /// Ed25519 private key (PEM, PKCS #8) to sign the users' tokens with [default: the key that `shardwire serve --dev` made in
    /// its default data directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_key: Option<PathBuf>,
    /// Users, all of them logged in at once
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    users: u32,
    /// Open loop: messages a second over all users, at random moments [default: 1000]
    #[arg(long, value_name = "R")]
    rate: Option<f64>,
    /// How long messages flow: 500ms, 30s, 5m, 1h
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    duration: Duration,
    /// Bytes of a message's body, 32 and up: the load generator needs 32 to name and check it
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    payload: usize,
    /// Who writes to whom
    #[arg(long, value_enum, default_value_t = Pattern::Pairs)]
    pattern: Pattern,
    /// Closed loop instead: each user keeps W messages unacknowledged, 1 to 64. Latencies then count from the sending, and hide
    /// what a stall does to those who would have written meanwhile
    #[arg(long, value_name = "W", conflicts_with = "rate", value_parser = clap::value_parser!(u32).range(1..=64))]
    window: Option<u32>,
    /// This share of the users is away while messages flow, and comes back afterwards to collect: 0 and up, below 1
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    offline_share: f64,
    /// Processes to spread the users over; each uses at most one processor core [default: as few as their descriptors allow]
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub(crate) processes: Option<u32>,
    /// Also write the report to FILE, as JSON; - is the standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Also write the report to FILE, as a page for a browser: the percentile curve, latencies and rates over time, all counts, and
    /// on what machine. It needs nothing from elsewhere
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Logins a second at the start and at the return of those who were away, over all users
    #[arg(long, value_name = "R", default_value_t = 2_000.0)]
    connect_rate: f64,
    /// Milliseconds, up to 50, that a user may gather messages before confirming them. Senders wait for that confirmation: what is
    /// given here is part of every latency of acceptance. The client library itself takes 20
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=50))]
    pub(crate) ack_delay: u64,
    /// Users are named PREFIX0, PREFIX1 and so on [default: a random one, so that no run meets the inboxes of an earlier one]
    #[arg(long, value_name = "PREFIX")]
    users_prefix: Option<String>,
    /// Give up waiting for outcomes and deliveries when nothing has moved for so long
    #[arg(long, value_name = "TIME", default_value = "40s", value_parser = parse_duration)]
    pub(crate) collect_timeout: Duration,
}

impl Options {
    /// # Errors
    /// Says which value is out of range, or does not go with which.
    pub(crate) fn scenario(&self, seed: u64) -> Result<Scenario> {
        let mut rng = Rng::new(seed);
        let prefix = || format!("load-{:08x}-", seed >> 32);
        let rate = self.rate.unwrap_or(1_000.0);
        ensure!(rate.is_finite() && rate > 0.0, "--rate: more than 0");
        ensure!(self.connect_rate.is_finite() && self.connect_rate > 0.0, "--connect-rate: more than 0");
        ensure!(
            (BODY_LEN_MIN..=PAYLOAD_LEN_MAX).contains(&self.payload),
            "--payload: {BODY_LEN_MIN} to {PAYLOAD_LEN_MAX}"
        );
        let scenario = Scenario {
            run: rng.next_u64(),
            users: self.users,
            users_prefix: self.users_prefix.clone().unwrap_or_else(prefix),
            pattern: self.pattern,
            load: match self.window {
                Some(window) => Load::Closed { window },
                None => Load::Open { rate },
            },
            duration_ns: u64::try_from(self.duration.as_nanos()).context("--duration: too long")?,
            payload_len: self.payload,
            connects_per_s: self.connect_rate,
            offline_share: self.offline_share,
        };
        scenario.check()?;
        Ok(scenario)
    }

    /// # Errors
    /// When the target is not an address, or a name that nobody knows.
    pub(crate) fn target(&self) -> Result<SocketAddr> {
        let target = self.target.as_deref().context("--target: where is the gateway?")?;
        let mut found = target.to_socket_addrs().with_context(|| format!("--target {target}"))?;
        found.next().with_context(|| format!("--target {target}: no address has that name"))
    }

    /// As given.
    pub(crate) fn target_text(&self) -> &str {
        self.target.as_deref().unwrap_or_default()
    }

    /// With --tls: the host that a certificate must be for, and PEM of whom to trust.
    ///
    /// # Errors
    /// When there is no such file, or nobody in it.
    pub(crate) fn tls(&self) -> Result<Option<(String, String)>> {
        if !self.tls {
            return Ok(None);
        }
        let path = self.ca.as_deref().unwrap_or(Path::new(DEV_CA));
        let hint = || match self.ca {
            Some(_) => "--ca".to_owned(),
            None => "whom to trust? Give it with --ca, or run from where `serve --dev` runs".to_owned(),
        };
        TlsConfig::from_ca_file(path).with_context(hint)?;
        let pem = fs::read_to_string(path).with_context(|| format!("--ca {}", path.display()))?;
        let endpoint = Endpoint::plain(self.target_text());
        Ok(Some((endpoint.host().to_owned(), pem)))
    }
}

/// A whole number and a unit.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let ms_each = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("a whole number and ms, s, m or h, as in 30s".into()),
    };
    let number: u64 = number.parse().map_err(|_| "a whole number comes first, as in 30s")?;
    number.checked_mul(ms_each).map(Duration::from_millis).ok_or_else(|| "too long".into())
}

/// What `shardwire serve --dev` leaves in its default data directory.
const DEV_CA: &str = "shardwire-data/dev-ca.pem";
/// What surely fits into a frame of 64 KiB behind the longest names.
const PAYLOAD_LEN_MAX: usize = 65_000;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent_and_every_flag_is_documented() {
        let command = Cli::command();
        command.clone().debug_assert();
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{}", argument.get_id());
        }
    }

    #[test]
    fn a_full_command_line_becomes_a_scenario() {
        let line = "loadgen --target 127.0.0.1:7400 --users 10000 --rate 20000 --duration 30s --payload 100 --pattern fan-in \
                    --offline-share 0.1 --processes 2 --users-prefix u";
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let scenario = cli.options.scenario(1).unwrap();
        assert_eq!(scenario.load, Load::Open { rate: 20_000.0 });
        assert_eq!(scenario.duration_ns, 30_000_000_000);
        assert_eq!((scenario.users, scenario.pattern), (10_000, Pattern::FanIn));
        assert_eq!(scenario.user_name(3), "u3");
        assert_eq!(cli.options.target().unwrap().port(), 7400);
    }

    #[test]
    fn a_window_closes_the_loop() {
        let cli = Cli::try_parse_from(["loadgen", "--target", "127.0.0.1:1", "--window", "16"]).unwrap();
        assert_eq!(cli.options.scenario(1).unwrap().load, Load::Closed { window: 16 });
        let both = ["loadgen", "--target", "127.0.0.1:1", "--window", "16", "--rate", "5"];
        assert!(Cli::try_parse_from(both).is_err());
    }

    #[test]
    fn two_runs_have_different_users() {
        let cli = Cli::try_parse_from(["loadgen", "--target", "127.0.0.1:1"]).unwrap();
        let names = [1u64, 2].map(|seed| cli.options.scenario(seed << 32).unwrap().user_name(0));
        assert_ne!(names[0], names[1]);
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "30", "s", "-1s", "1.5s", "30 s", "99999999999999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
    }
}
