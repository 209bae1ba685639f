//! `loadgen` writes messages through a gateway as many users at once, checks every one of them, and measures.
//!
//! One process runs the run ([`run`]): it starts workers, which are this same program ([`worker`]), tells them when to begin,
//! and puts together what they measured ([`report`], [`page`]). A worker drives its users ([`user`]) from one thread with the client
//! library of `sdk/rust`. When a message leaves is [`schedule`]'s to say, who writes to whom [`scenario`]'s, and whether
//! everything arrived as it was sent [`verify`]'s.

#![forbid(unsafe_code)]

mod body;
mod cli;
mod clock;
mod latency;
mod link;
mod machine;
mod net;
mod page;
mod report;
mod rng;
mod run;
mod scenario;
mod schedule;
mod stream;
mod tally;
mod timeline;
mod timers;
mod token;
mod user;
mod verify;
mod worker;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;

use cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match try_main() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("loadgen: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn try_main() -> Result<ExitCode> {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Worker) => worker::main().map(|()| ExitCode::SUCCESS),
        None => {
            let report = run::run(&cli.options)?;
            report.publish(cli.options.json.as_deref(), cli.options.html.as_deref())?;
            Ok(ExitCode::from(u8::from(!report.is_clean())))
        }
    }
}
