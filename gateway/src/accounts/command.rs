//! What an operator asks of the accounts, and what is answered: between `shardwire users`, the admin listener and the accounts thread.
//! As JSON in `POST /accounts`:
//!
//! ```text
//! {"command":"list","after":""}                             names behind `after`, in order; "" from the beginning
//! {"command":"add","user":"alice","password":"…"}
//! {"command":"passwd","user":"alice","password":"…"}
//! {"command":"disable","user":"alice"}                       and enable, delete
//!
//! {"answer":"done"}
//! {"answer":"list","accounts":[{"user":"alice","created_us":…,"valid_from_us":…,"disabled":false}],"is_last":true}
//! {"error":"no_such_account"}
//! ```

use serde::{Deserialize, Serialize};
use wire::name::NameError;
use wire::{Code, Name, NameBuf};

use super::password::Password;
use super::record::{Account, State};

/// A command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Command {
    /// The accounts behind a name, at most [`LIST_COUNT_MAX`] at a time.
    List {
        /// The last name of the list before.
        after: String,
    },
    /// Make an account.
    Add {
        /// Its name.
        user: UserText,
        /// Its password.
        password: Password,
    },
    /// Give an account another password. Its sessions end.
    Passwd {
        /// Whose.
        user: UserText,
        /// The new one.
        password: Password,
    },
    /// Let nobody log in to an account. Its sessions end.
    Disable {
        /// Whose.
        user: UserText,
    },
    /// Take that back.
    Enable {
        /// Whose.
        user: UserText,
    },
    /// Delete an account, its devices and its messages. Its name stays taken, until an operator adds it again.
    Delete {
        /// Whose.
        user: UserText,
    },
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(crate) enum CommandAnswer {
    /// It is done, and durable.
    Done,
    /// Accounts.
    List {
        /// In the order of their names.
        accounts: Vec<AccountLine>,
        /// There are no more.
        is_last: bool,
    },
}

/// An account in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccountLine {
    /// Its name.
    pub(crate) user: String,
    /// µs since 1970.
    pub(crate) created_us: u64,
    /// Earlier logins are void, µs since 1970; 0: none.
    pub(crate) valid_from_us: u64,
    /// Nobody may log in.
    pub(crate) disabled: bool,
}

/// Why it was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", content = "detail", rename_all = "snake_case")]
pub(crate) enum CommandError {
    /// Nobody of that name.
    #[error("there is no account of that name")]
    NoSuchAccount,
    /// Somebody has it, or had it.
    #[error("the name is taken")]
    NameTaken,
    /// Too short or too long.
    #[error("a password has 8 to 128 bytes")]
    BadPassword,
    /// Deleted lately.
    #[error(
        "the messages of the one who had that name are still being removed: try again in a moment, with the gateway running"
    )]
    StillPurging,
    /// Too much is being asked.
    #[error("the accounts are busy: try again")]
    Busy,
    /// The store.
    #[error("the accounts could not be read or written: {0}")]
    Store(String),
}

impl CommandError {
    /// What a client is told.
    pub(crate) fn code(&self) -> Code {
        match self {
            CommandError::NoSuchAccount => Code::BadCredential,
            CommandError::NameTaken | CommandError::StillPurging => Code::NameTaken,
            CommandError::BadPassword => Code::BadPassword,
            CommandError::Busy => Code::Busy,
            CommandError::Store(_) => Code::Internal,
        }
    }
}

impl AccountLine {
    /// Of this account.
    pub(crate) fn new(user: &NameBuf, account: &Account) -> AccountLine {
        AccountLine {
            user: user.to_string(),
            created_us: account.created_us,
            valid_from_us: account.valid_from_us,
            disabled: matches!(account.state, State::Disabled(_)),
        }
    }
}

/// A user's name as text; JSON holds no other than fit ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct UserText(pub(crate) NameBuf);

impl TryFrom<String> for UserText {
    type Error = NameError;

    fn try_from(text: String) -> Result<UserText, NameError> {
        Name::parse_user(text.as_bytes()).map(|name| UserText(name.into()))
    }
}

impl From<UserText> for String {
    fn from(user: UserText) -> String {
        user.0.to_string()
    }
}

/// What one answer lists: some milliseconds of the accounts thread.
pub(crate) const LIST_COUNT_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_come_as_the_documented_json() {
        let command: Command =
            serde_json::from_str(r#"{"command":"add","user":"alice","password":"correct horse"}"#).unwrap();
        let Command::Add { user, password } = command else { panic!("{command:?}") };
        assert_eq!((&*user.0, password.as_str()), ("alice", "correct horse"));
        assert!(serde_json::from_str::<Command>(r#"{"command":"disable","user":"a b"}"#).is_err());
        assert!(serde_json::from_str::<Command>(r#"{"command":"disable"}"#).is_err());
    }

    #[test]
    fn answers_and_errors_are_the_documented_json() {
        let line = AccountLine { user: "alice".to_owned(), created_us: 1, valid_from_us: 0, disabled: false };
        let list = CommandAnswer::List { accounts: vec![line], is_last: true };
        let json = r#"{"answer":"list","accounts":[{"user":"alice","created_us":1,"valid_from_us":0,"disabled":false}],"is_last":true}"#;
        assert_eq!(serde_json::to_string(&list).unwrap(), json);
        assert_eq!(serde_json::from_str::<CommandAnswer>(json).unwrap(), list);
        let json = r#"{"error":"no_such_account"}"#;
        assert_eq!(serde_json::to_string(&CommandError::NoSuchAccount).unwrap(), json);
        let error = CommandError::Store("no room".to_owned());
        let json = serde_json::to_string(&error).unwrap();
        assert_eq!(serde_json::from_str::<CommandError>(&json).unwrap(), error);
    }
}
