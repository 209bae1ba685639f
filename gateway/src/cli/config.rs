//! `shardwire config` and `shardwire check-config`: a configuration, looked at before anybody depends on it.

use std::io::{self, Write};

use anyhow::Context;
use clap::{Args, Subcommand};

use super::settings::SettingArgs;
use crate::config::Effective;
use crate::tell::tell;

/// Say whether `serve` could use these settings.
///
/// Takes the flags of `serve`. Looks at the file, the environment and the flags, at how they go together, and whether the files that
/// they name are there and can be used: at certificate and keys as closely as `serve` does. Changes nothing, and does not look into the
/// store. Exit code 0 and a line on standard output when all is well, 1 and all that is wrong on standard error when not.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    settings: SettingArgs,
}

/// Look at the configuration.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    Print(PrintArgs),
}

/// Print the settings that `serve` would use, as a configuration file, with the source of each behind it.
///
/// Takes the flags of `serve`. Secrets are never among the settings, only the paths of files that hold them.
#[derive(Debug, Args)]
struct PrintArgs {
    #[command(flatten)]
    settings: SettingArgs,
}

/// Checks the configuration.
pub(crate) fn check(args: CheckArgs) -> anyhow::Result<()> {
    for warning in Effective::read(args.settings.flags())?.check_thoroughly()? {
        tell(format_args!("{warning}"));
    }
    writeln!(io::stdout(), "the configuration can be used").context("standard output")
}

/// Does what the command line asks.
pub(crate) fn run(args: ConfigArgs) -> anyhow::Result<()> {
    let ConfigCommand::Print(args) = args.command;
    let effective = Effective::read(args.settings.flags())?;
    write!(io::stdout(), "{effective}").context("standard output")?;
    // It can be looked at even if it cannot be used.
    effective.check()?;
    Ok(())
}
