//! People with accounts, by hand: ACCOUNT, HELLO with a password, and the command line of the operator.

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Output, Stdio},
};

use wire::{
    Code, Frame, Name,
    frame::{Account, AccountDone, AccountOp, Credential, GoAway, Welcome},
};

use super::{Conn, HelloSpec, shardwire_bin};

/// How an attempt to log in ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginEnd {
    /// With WELCOME, and this ticket.
    Welcome(Vec<u8>),
    /// With GOAWAY: its code, and when its slot begins.
    GoAway(Code, u32),
}

/// What ACCOUNT_DONE said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// `None`: done.
    pub code: Option<Code>,
    /// For the next HELLO.
    pub ticket: Vec<u8>,
}

impl Conn {
    /// Says HELLO, and waits for what it is answered.
    ///
    /// # Panics
    /// When something else than WELCOME or GOAWAY comes.
    pub fn say_hello(&mut self, hello: &HelloSpec, credential: Credential<'_>) -> LoginEnd {
        self.write(&hello.bytes_with(credential));
        self.login_end()
    }

    /// Waits for what HELLO is answered.
    ///
    /// # Panics
    /// As [`Conn::say_hello`].
    pub fn login_end(&mut self) -> LoginEnd {
        let got = self.next_frame().expect("an answer to HELLO");
        match got.frame() {
            Frame::Welcome(Welcome { ticket, .. }) => LoginEnd::Welcome(ticket.to_vec()),
            Frame::GoAway(GoAway { code, slot_start_ms, .. }) => {
                LoginEnd::GoAway(Code::from_number(code).expect("a code of the table"), slot_start_ms)
            }
            other => panic!("expected WELCOME or GOAWAY, got {other:?}"),
        }
    }

    /// Asks for something with ACCOUNT, and waits for the answer.
    ///
    /// # Panics
    /// When it does not come.
    pub fn account(&mut self, op: AccountOp<'_>) -> Done {
        const REQUEST: u32 = 0x6163_6374;
        self.send(&Frame::Account(Account { request: REQUEST, op }));
        self.wait_for("ACCOUNT_DONE", |frame| match frame {
            Frame::AccountDone(AccountDone { request: REQUEST, code, ticket, .. }) => {
                Some(Done { code: (*code != 0).then(|| code_of(*code)), ticket: ticket.to_vec() })
            }
            _ => None,
        })
    }

    /// Makes an account. `None`: it is made.
    ///
    /// # Panics
    /// When `user` is not a name, or no answer comes.
    pub fn register(&mut self, user: &str, password: &str) -> Option<Code> {
        let user = Name::parse_user(user.as_bytes()).expect("a user's name");
        self.account(AccountOp::Register { user, password }).code
    }

    /// Connects from `source`, an address of this machine, and tries to log in with a password.
    ///
    /// # Panics
    /// As [`Conn::say_hello`].
    pub fn try_password(source: Ipv4Addr, addr: SocketAddr, user: &str, password: &str) -> LoginEnd {
        let mut conn = Conn::open_from(source, addr);
        conn.say_hello(&HelloSpec::new(user, ""), Credential::Password(password))
    }
}

fn code_of(number: u16) -> Code {
    Code::from_number(number).expect("a code of the table")
}

/// Runs `shardwire users` with these arguments on a data directory, and types `input`.
///
/// # Panics
/// When it cannot be run.
pub fn users(data_dir: &Path, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(shardwire_bin())
        .arg("users")
        .args(args)
        .arg("--data-dir")
        .arg(data_dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    // It may end without having read it.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

/// Runs `shardwire users`, which must succeed; gives what it printed.
///
/// # Panics
/// When it fails.
pub fn users_done(data_dir: &Path, args: &[&str], input: &str) -> String {
    let Output { status, stdout, stderr } = users(data_dir, args, input);
    assert!(status.success(), "users {args:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("names and words")
}

/// Runs `shardwire users`, which must fail; gives what it said.
///
/// # Panics
/// When it succeeds.
pub fn users_refused(data_dir: &Path, args: &[&str], input: &str) -> String {
    let Output { status, stderr, .. } = users(data_dir, args, input);
    assert!(!status.success(), "users {args:?} should have failed");
    String::from_utf8(stderr).expect("names and words")
}
