//! `shardwire serve`.

use clap::Args;

use super::settings::SettingArgs;
use crate::config::Config;

/// Run the gateway until SIGTERM or SIGINT.
///
/// Once clients may come, prints one line on standard output: `ready tcp=ADDRESS tls=ADDRESS shards=N`, with `-` for a listener
/// that is off. Everything else goes to standard error. SIGTERM and SIGINT drain: sessions are told to come back, what is
/// unsafe is stored, the exit code is 0. A second signal ends the process at once. SIGHUP reads certificate, key, token key and
/// log level again, and drops nobody.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    settings: SettingArgs,
}

/// Serves until told to stop.
pub(crate) fn run(args: ServeArgs) -> anyhow::Result<()> {
    let flags = args.settings.flags();
    let load = || Config::load(flags.clone());
    crate::boot::serve(load()?, &load)?;
    Ok(())
}
