//! `shardwire token`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use wire::Name;

use crate::auth;
use crate::config;

/// Make tokens for logging in.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    Mint(MintArgs),
}

/// Print a token for a user: a JSON Web Token signed with Ed25519.
#[derive(Debug, Args)]
struct MintArgs {
    /// Whom it is for: 1 to 64 of A-Z a-z 0-9 . _ @ + : = -
    #[arg(long, value_name = "NAME")]
    user: String,
    /// How long it is good: a number and s, m, h or d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_ttl)]
    ttl: Duration,
    /// Sign with the key that `serve --dev` made in this data directory
    /// [default: SHARDWIRE__DATA_DIR, or shardwire-data]
    #[arg(long, value_name = "DIR", conflicts_with = "key")]
    data_dir: Option<PathBuf>,
    /// Sign with this Ed25519 private key (PEM)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Does what the command line asks.
pub(crate) fn run(args: TokenArgs) -> anyhow::Result<()> {
    let TokenCommand::Mint(args) = args.command;
    Name::parse_user(args.user.as_bytes()).context("--user")?;
    let key = match args.key {
        Some(key) => key,
        None => {
            let dir = config::data_dir(args.data_dir);
            let key = dir.join(auth::DEV_KEY);
            if !key.exists() {
                bail!(
                    "{} does not exist: run `shardwire serve --dev` first, which makes it, or give --key FILE",
                    key.display()
                );
            }
            key
        }
    };
    writeln!(io::stdout(), "{}", auth::mint(&key, &args.user, args.ttl)?).context("standard output")
}

fn parse_ttl(text: &str) -> Result<Duration, String> {
    let wrong = || "a number and s, m, h or d, such as 90s or 12h".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    text.strip_suffix(unit)
        .and_then(|number| number.parse::<u64>().ok())
        .and_then(|number| number.checked_mul(seconds))
        .map(Duration::from_secs)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_is_a_number_and_a_unit() {
        assert_eq!(parse_ttl("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_ttl("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(parse_ttl("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for wrong in ["", "h", "1", "-1h", "1.5h", "1w", "99999999999999999999s", "1000000000000000d", "1ü"] {
            assert!(parse_ttl(wrong).is_err(), "{wrong}");
        }
    }
}
