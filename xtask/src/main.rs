//! The project's chores: `cargo xtask test` is the whole gate, the other commands are its parts.

#![forbid(unsafe_code)]

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

mod gate;
mod r#gen;
mod run;
mod sim;
mod tally;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's chores", long_about = None)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// The whole gate: what must pass before a change is done
    Test(gate::Args),
    /// Generate the checked-in code from its schemas (needs node and npm)
    Gen {
        /// Compare instead of writing; fail when they differ
        #[arg(long)]
        check: bool,
    },
    /// Only the rules about the source: direction of dependencies, lengths, documents
    Tidy,
    /// Search fresh seeds of the simulation for a violation
    Sim(sim::Args),
}

fn main() -> ExitCode {
    match chore(Cli::parse().chore) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn chore(chore: Chore) -> Result<ExitCode> {
    match chore {
        Chore::Test(args) => gate::test(&args),
        Chore::Gen { check } => r#gen::r#gen(check).map(|()| ExitCode::SUCCESS),
        Chore::Tidy => {
            run::cargo().args(["test", "--package", "gateway-tests", "--test", "tidy"]).run()?;
            Ok(ExitCode::SUCCESS)
        }
        Chore::Sim(args) => sim::sim(&args).map(|()| ExitCode::SUCCESS),
    }
}

/// The top of the project.
fn root() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask is in the project's folder")
}

/// Where cargo puts what it builds: this program is in `TARGET/debug` itself.
fn target_dir() -> Result<PathBuf> {
    let exe = std::env::current_exe().context("finding this program")?;
    let dir = exe.parent().and_then(Path::parent);
    Ok(dir.context("this program is in cargo's target directory")?.to_owned())
}
