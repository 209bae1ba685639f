//! The command line: what `shardwire` is asked to do.

pub(crate) mod admin_client;
mod chat;
mod config;
mod drain;
mod log;
mod password;
mod serve;
mod settings;
mod token;
mod users;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::tell::tell;

/// Runs the command that the process was started with. What goes wrong is told on standard error.
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Log(args) => return exit(log::run(args)),
        Command::Chat(args) => chat::run(args),
        Command::CheckConfig(args) => config::check(args),
        Command::Config(args) => config::run(args),
        Command::Drain(args) => drain::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Token(args) => token::run(args),
        Command::Users(args) => users::run(args),
    };
    exit(result.map(|()| ExitCode::SUCCESS))
}

fn exit(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            tell(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// A messaging gateway that loses nothing it acknowledged.
#[derive(Debug, Parser)]
#[command(name = "shardwire", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Chat(chat::ChatArgs),
    CheckConfig(config::CheckArgs),
    Config(config::ConfigArgs),
    Drain(drain::DrainArgs),
    Log(log::LogArgs),
    Serve(serve::ServeArgs),
    Token(token::TokenArgs),
    Users(users::UsersArgs),
}

/// What every command ends with; `docs/operations.md` says the same.
const EXIT_CODES: &str = "Exit codes: 0 done, 1 not done (the reason is on standard error), 2 a command line that is not one, \
                          5 damage found by `log verify`.";
