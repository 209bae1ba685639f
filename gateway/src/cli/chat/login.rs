//! How a chat proves who chats.

use std::env;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{bail, ensure};
use shardwire_sdk::{Client, Credential, Endpoint, Store};
use wire::{Code, Name};

use crate::auth;
use crate::cli::password;
use crate::config;

/// What the command line says about it.
pub(super) struct Wanted {
    pub(super) token: Option<String>,
    pub(super) asks_password: bool,
    pub(super) password_file: Option<PathBuf>,
    pub(super) data_dir: Option<PathBuf>,
}

/// Where the proof comes from, when there is no ticket or it is not taken.
pub(super) enum Login {
    /// A token from the command line, or the environment: there is one.
    Token(String),
    /// A token of the development key: there is always another.
    Minted(PathBuf),
    /// A password that is asked for.
    Asked,
    /// A password from a file.
    File(PathBuf),
    /// Nothing but the ticket in the store.
    Ticket,
}

impl Login {
    /// `was_here`: there is a store for this gateway, user and device, in which a ticket may lie.
    pub(super) fn choose(wanted: Wanted, was_here: bool) -> anyhow::Result<Login> {
        if let Some(path) = wanted.password_file {
            return Ok(Login::File(path));
        }
        if wanted.asks_password {
            return Ok(Login::Asked);
        }
        let from_environment = || env::var("SHARDWIRE_TOKEN").ok().filter(|_| wanted.data_dir.is_none());
        if let Some(token) = wanted.token.or_else(from_environment) {
            return Ok(Login::Token(token));
        }
        if was_here && wanted.data_dir.is_none() {
            return Ok(Login::Ticket);
        }
        let key = config::data_dir(wanted.data_dir).join(auth::DEV_KEY);
        if !key.exists() {
            bail!(
                "how do you log in? With --password, or --register if you have no account there yet; with --token TOKEN; or \
                 beside `shardwire serve --dev`, in the same directory or with its --data-dir ({} does not exist)",
                key.display()
            );
        }
        Ok(Login::Minted(key))
    }

    /// The key that makes the tokens, if that is so.
    pub(super) fn dev_key(&self) -> Option<&Path> {
        match self {
            Login::Minted(key) => Some(key),
            _ => None,
        }
    }

    /// What stands behind the ticket, as far as it is known without asking.
    pub(super) fn credential(&self, user: Name<'_>) -> anyhow::Result<Credential> {
        Ok(match self {
            Login::Token(token) => Credential::Token(token.as_str().into()),
            Login::Minted(key) => Credential::Token(auth::mint(key, user.as_str(), TOKEN_TTL)?.into()),
            Login::File(path) => Credential::Password(password::read(path)?.as_str().into()),
            Login::Asked | Login::Ticket => Credential::None,
        })
    }

    /// Where there is no ticket: asks for the password, has the account made.
    pub(super) fn begin<S: Store>(
        &self,
        client: &mut Client<S>,
        registers: bool,
        endpoint: &Endpoint,
    ) -> anyhow::Result<()> {
        if matches!(self, Login::Asked | Login::File(_)) {
            ensure_private(endpoint)?;
        }
        let user = client.user().to_string();
        if client.ledger().ticket.is_some() {
            // Who expects to be asked for a password must not type it into a conversation.
            ensure!(!registers, "{user} has an account and is logged in here: leave out --register");
            return Ok(());
        }
        let password = match self {
            Login::Asked if registers => password::choose(&format!("a password for the new account {user}"))?,
            Login::Asked => password::ask(&format!("password of {user}: "))?,
            Login::File(path) if registers => password::read(path)?,
            Login::Ticket => bail!("{user} has signed out here, or never logged in: log in with --password"),
            Login::Token(_) | Login::Minted(_) | Login::File(_) => return Ok(()),
        };
        if registers {
            client.register(&password)?;
        } else {
            client.set_credential(Credential::Password(password.as_str().into()));
        }
        Ok(())
    }

    /// Why the gateway refuses, where its code says it of all credentials and more can be said of this one.
    pub(super) fn reason(&self, code: Option<Code>, user: Name<'_>) -> Option<String> {
        let is_password = matches!(self, Login::Asked | Login::File(_));
        let is_wrong = code == Some(Code::BadCredential) && is_password;
        is_wrong.then(|| format!("the password is wrong, or there is no account {user}"))
    }

    /// What helps against a refusal, as the end of a sentence.
    pub(super) fn advice(&self, code: Option<Code>) -> &'static str {
        match (code, self) {
            (Some(Code::Replaced), _) => "; give one of the two another --device NAME",
            (Some(Code::BadCredential), Login::Minted(_)) => {
                "; is --data-dir the directory of this gateway, and does it run with --dev?"
            }
            (Some(Code::BadCredential), Login::Asked | Login::File(_)) => "; --register makes one",
            (Some(Code::BadCredential | Code::CredentialExpired), Login::Ticket) => "; log in again with --password",
            (Some(Code::CredentialExpired), Login::Asked) => "; start again, and give the password",
            (Some(Code::CredentialExpired), Login::Token(_)) => "; get another token",
            (Some(Code::NameTaken), _) => "; if it is yours, leave out --register",
            (Some(Code::PasswordInClear), _) => "; use --tls",
            (Some(Code::RegistrationClosed), _) => "; ask whoever runs it for an account",
            (Some(Code::CredentialUnsupported), Login::Asked | Login::File(_)) => "; it takes tokens only: --token",
            _ => "",
        }
    }
}

/// A password goes over TLS, or stays on this machine.
fn ensure_private(endpoint: &Endpoint) -> anyhow::Result<()> {
    let host = endpoint.host();
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    ensure!(
        endpoint.tls_config().is_some() || is_here,
        "a password is not sent over plain TCP to another machine: use --tls"
    );
    Ok(())
}

/// How long a minted token is good. The chat makes another when it is over.
const TOKEN_TTL: Duration = Duration::from_secs(12 * 3600);
