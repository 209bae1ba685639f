//! The command line: what `shardwire` is asked to do.

#[cfg_attr(not(test), expect(dead_code, reason = "for the commands that ask a running gateway"))]
pub(crate) mod admin_client;
mod chat;
mod config;
mod serve;
mod settings;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::tell::tell;

/// Runs the command that the process was started with. What goes wrong is told on standard error.
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Chat(args) => chat::run(args),
        Command::CheckConfig(args) => config::check(args),
        Command::Config(args) => config::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Token(args) => token::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// A messaging gateway that loses nothing it acknowledged.
#[derive(Debug, Parser)]
#[command(name = "shardwire", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Chat(chat::ChatArgs),
    CheckConfig(config::CheckArgs),
    Config(config::ConfigArgs),
    Serve(serve::ServeArgs),
    Token(token::TokenArgs),
}
