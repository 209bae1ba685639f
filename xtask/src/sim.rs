//! `cargo xtask sim`: fresh seeds, for as long as somebody likes.

use anyhow::Result;

use crate::run;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many fresh seeds
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// Build with optimisation: worth its time from some thousand seeds on
    #[arg(long)]
    release: bool,
}

pub(crate) fn sim(args: &Args) -> Result<()> {
    let profile = args.release.then_some("--release");
    run::cargo()
        .args(["test", "--package", "gateway-tests", "--test", "sim"])
        .args(profile)
        .args(["--", "--nocapture", "fresh_seeds"])
        .env("SHARDWIRE_SEEDS", args.seeds.to_string())
        .run()
}
