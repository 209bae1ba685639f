//! `shardwire users`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, IsTerminal, Write as _};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use wire::Name;
use zeroize::Zeroizing;

use super::admin_client::AdminClient;
use super::password;
use crate::accounts;
use crate::accounts::command::{AccountLine, Command, CommandAnswer, CommandError, UserText};
use crate::accounts::offline::Offline;
use crate::certificate::date;
use crate::config;
use crate::error::Error;
use crate::store::{self, StoreError};

/// Make, list and end the accounts of people who log in with a password.
///
/// While a gateway runs on the data directory it is asked to do it, and does it at once, also to those who are logged in. While none
/// runs, the store itself is opened.
#[derive(Debug, Args)]
pub(crate) struct UsersArgs {
    #[command(subcommand)]
    command: UsersCommand,
}

#[derive(Debug, Subcommand)]
enum UsersCommand {
    /// Make an account; asks for its password
    Add(PasswordArgs),
    /// Give an account another password, and end its sessions; asks for the password
    Passwd(PasswordArgs),
    /// List all accounts
    List(ListArgs),
    /// Let nobody log in to an account, and end its sessions
    Disable(UserArgs),
    /// Let the owner of a disabled account log in again
    Enable(UserArgs),
    /// Delete an account, its devices and its messages; the name stays taken until it is added again
    Delete(UserArgs),
}

#[derive(Debug, Args)]
struct StoreArgs {
    /// The data directory of the gateway [default: SHARDWIRE__DATA_DIR, or shardwire-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the token for its admin listener is, if the configuration puts it elsewhere [default: in the data directory]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct UserArgs {
    /// Whose account: 1 to 64 of A-Z a-z 0-9 . _ @ + : = -
    #[arg(value_name = "NAME")]
    user: String,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Args)]
struct PasswordArgs {
    #[command(flatten)]
    user: UserArgs,
    /// Take the first line of this file [default: asked for on the terminal, or the first line of standard input]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// As a JSON array, times in microseconds since 1970
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Does what the command line asks.
pub(crate) fn run(args: UsersArgs) -> anyhow::Result<()> {
    match args.command {
        UsersCommand::List(args) => list(&args),
        UsersCommand::Add(args) => {
            with_password(&args, "a password for the new account", |user, password| Command::Add { user, password })
        }
        UsersCommand::Passwd(args) => {
            with_password(&args, "a new password for", |user, password| Command::Passwd { user, password })
        }
        UsersCommand::Disable(args) => with_user(&args, |user| Command::Disable { user }),
        UsersCommand::Enable(args) => with_user(&args, |user| Command::Enable { user }),
        UsersCommand::Delete(args) => with_user(&args, |user| Command::Delete { user }),
    }
}

fn with_user(args: &UserArgs, command: impl FnOnce(UserText) -> Command) -> anyhow::Result<()> {
    let user = user_text(&args.user)?;
    Way::find(&args.store)?.run(command(user))?;
    Ok(())
}

fn with_password(
    args: &PasswordArgs,
    what: &str,
    command: impl FnOnce(UserText, accounts::Password) -> Command,
) -> anyhow::Result<()> {
    let user = user_text(&args.user.user)?;
    // First: who types a password should not learn afterwards that there is no store.
    let mut way = Way::find(&args.user.store)?;
    let text = match &args.password_file {
        Some(path) => password::read(path)?,
        None if io::stdin().is_terminal() => password::choose(&format!("{what} {user}", user = user.0))?,
        None => password::read_stdin()?,
    };
    let password = accounts::Password::from(Box::from(text.as_str()));
    if !password.is_fit() {
        bail!(CommandError::BadPassword);
    }
    way.run(command(user, password))?;
    Ok(())
}

fn list(args: &ListArgs) -> anyhow::Result<()> {
    let mut way = Way::find(&args.store)?;
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let CommandAnswer::List { accounts, is_last } = way.run(Command::List { after })? else {
            bail!("the gateway did not answer with a list");
        };
        all.extend(accounts);
        after = match all.last() {
            Some(line) if !is_last => line.user.clone(),
            _ => break,
        };
    }
    let text = if args.json { serde_json::to_string_pretty(&all)? + "\n" } else { table(&all) };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // As `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("standard output"),
    }
}

fn table(accounts: &[AccountLine]) -> String {
    let width = accounts.iter().map(|line| line.user.len()).max().unwrap_or(0);
    accounts.iter().fold(String::new(), |mut text, line| {
        let state = if line.disabled { "disabled" } else { "active" };
        let made = date(line.created_us / 1_000_000);
        writeln!(text, "{:width$}  {state:8}  made {made}", line.user).expect("a string takes everything");
        text
    })
}

fn user_text(user: &str) -> anyhow::Result<UserText> {
    Ok(UserText(Name::parse_user(user.as_bytes()).context("the account's name")?.into()))
}

/// How the accounts are reached.
enum Way {
    /// No gateway runs: nobody else may take the store meanwhile.
    Store { offline: Box<Offline>, _lock: File },
    /// One does.
    Gateway(AdminClient),
}

impl Way {
    fn find(args: &StoreArgs) -> anyhow::Result<Way> {
        let dir = config::data_dir(args.data_dir.clone());
        match store::occupy(&dir) {
            Ok(lock) => {
                let offline = Box::new(Offline::new(accounts::open(&dir)?));
                Ok(Way::Store { offline, _lock: lock })
            }
            Err(Error::Store { cause: StoreError::InUse(_), .. }) => {
                let client = AdminClient::find(&dir, args.token_file.as_deref());
                Ok(Way::Gateway(client.context(
                    "a gateway uses this store and cannot be asked (admin.listen is \"none\", or it is just starting or ending)",
                )?))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn run(&mut self, command: Command) -> anyhow::Result<CommandAnswer> {
        match self {
            Way::Store { offline, .. } => Ok(offline.run(command)?),
            Way::Gateway(client) => {
                let body = Zeroizing::new(serde_json::to_vec(&command)?);
                let answer = client.post("/accounts", &body)?;
                if answer.status == 200 {
                    return serde_json::from_slice(&answer.body).context("the gateway's answer");
                }
                if let Ok(error) = serde_json::from_slice::<CommandError>(&answer.body) {
                    return Err(error.into());
                }
                bail!("the gateway did not take it: {} {}", answer.status, String::from_utf8_lossy(&answer.body).trim())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_says_who_may_not_log_in() {
        let line = |user: &str, disabled| AccountLine {
            user: user.to_owned(),
            created_us: 1_700_000_000_000_000,
            valid_from_us: 0,
            disabled,
        };
        let text = table(&[line("alice", false), line("bo", true)]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            ["alice  active    made 2023-11-14 22:13 UTC", "bo     disabled  made 2023-11-14 22:13 UTC",]
        );
    }

    #[test]
    fn without_a_store_nothing_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let args = StoreArgs { data_dir: Some(dir.path().to_owned()), token_file: None };
        assert!(Way::find(&args).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
