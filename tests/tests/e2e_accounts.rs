//! Accounts against the real gateway: registration, passwords, the operator's command line, and guessing.

#![forbid(unsafe_code)]

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
};

use gateway_tests::e2e::{Conn, Gateway, HelloSpec, LIMIT, LoginEnd, Setup, until, users, users_done, users_refused};
use wire::{
    Code,
    frame::{AccountOp, Credential},
};

const HOME: Ipv4Addr = Ipv4Addr::LOCALHOST;
const OLD: &str = "correct horse";
const NEW: &str = "battery staple";

/// Cheap hashes, so that a machine under test is not busy with them.
fn setup() -> Setup {
    Setup::new().config("login.hash_memory_kib = 8192")
}

fn login(gateway: &Gateway, user: &str, password: &str) -> LoginEnd {
    Conn::try_password(HOME, gateway.addr(), user, password)
}

fn welcome(end: LoginEnd) -> Vec<u8> {
    match end {
        LoginEnd::Welcome(ticket) => ticket,
        other => panic!("{other:?} instead of WELCOME"),
    }
}

fn refused(end: LoginEnd) -> Code {
    match end {
        LoginEnd::GoAway(code, _) => code,
        other => panic!("{other:?} instead of GOAWAY"),
    }
}

/// A session of `user` on a device of that name.
fn session(gateway: &Gateway, user: &str, device: &str, password: &str) -> (Conn, Vec<u8>) {
    let mut conn = Conn::open(gateway.addr());
    let hello = HelloSpec { device: device.to_owned(), ..HelloSpec::new(user, "") };
    let ticket = welcome(conn.say_hello(&hello, Credential::Password(password)));
    (conn, ticket)
}

fn with_ticket(gateway: &Gateway, user: &str, device: &str, ticket: &[u8]) -> LoginEnd {
    let hello = HelloSpec { device: device.to_owned(), ..HelloSpec::new(user, "") };
    Conn::open(gateway.addr()).say_hello(&hello, Credential::Ticket(ticket))
}

fn register(gateway: &Gateway, user: &str, password: &str) -> Option<Code> {
    Conn::open(gateway.addr()).register(user, password)
}

#[test]
fn who_registers_logs_in_on_the_same_connection_and_later_with_a_ticket() {
    let gateway = setup().start();
    let mut conn = Conn::open(gateway.addr());
    assert_eq!(conn.register("alice", OLD), None);
    let ticket = welcome(conn.say_hello(&HelloSpec::new("alice", ""), Credential::Password(OLD)));
    conn.ping();
    assert!(!welcome(with_ticket(&gateway, "alice", "phone", &ticket)).is_empty());
    welcome(login(&gateway, "alice", OLD));
}

#[test]
fn a_wrong_password_and_an_unknown_user_are_told_the_same() {
    let gateway = setup().start();
    assert_eq!(register(&gateway, "alice", OLD), None);
    assert_eq!(refused(login(&gateway, "alice", NEW)), Code::BadCredential);
    assert_eq!(refused(login(&gateway, "nobody", NEW)), Code::BadCredential);
    assert_eq!(refused(login(&gateway, "Alice", OLD)), Code::BadCredential);
}

#[test]
fn a_name_is_given_once_and_a_password_has_a_length() {
    let gateway = setup().start();
    let mut conn = Conn::open(gateway.addr());
    assert_eq!(conn.register("alice", "short"), Some(Code::BadPassword));
    assert_eq!(conn.register("alice", &"x".repeat(129)), Some(Code::BadPassword));
    assert_eq!(conn.register("alice", OLD), None);
    assert_eq!(register(&gateway, "alice", NEW), Some(Code::NameTaken));
    welcome(login(&gateway, "alice", OLD));
}

#[test]
fn a_changed_password_ends_the_other_sessions_and_everything_old() {
    let gateway = setup().start();
    assert_eq!(register(&gateway, "alice", OLD), None);
    let (mut phone, old_ticket) = session(&gateway, "alice", "phone", OLD);
    let (mut tablet, tablet_ticket) = session(&gateway, "alice", "tablet", OLD);
    let wrong = phone.account(AccountOp::ChangePassword { password: "not this one", new_password: NEW });
    assert_eq!(wrong.code, Some(Code::BadCredential));
    let done = phone.account(AccountOp::ChangePassword { password: OLD, new_password: NEW });
    assert_eq!(done.code, None);
    assert_eq!(tablet.expect_goaway(), Code::CredentialExpired);
    phone.ping();
    drop(phone);
    assert_eq!(refused(login(&gateway, "alice", OLD)), Code::BadCredential);
    assert_eq!(refused(with_ticket(&gateway, "alice", "phone", &old_ticket)), Code::CredentialExpired);
    assert_eq!(refused(with_ticket(&gateway, "alice", "tablet", &tablet_ticket)), Code::CredentialExpired);
    welcome(with_ticket(&gateway, "alice", "phone", &done.ticket));
    welcome(login(&gateway, "alice", NEW));
}

#[test]
fn what_is_void_stays_void_over_a_restart() {
    let setup = setup();
    let gateway = setup.start();
    assert_eq!(register(&gateway, "alice", OLD), None);
    assert_eq!(register(&gateway, "bob", OLD), None);
    let (mut phone, old_ticket) = session(&gateway, "alice", "phone", OLD);
    let (_bob, bobs_ticket) = session(&gateway, "bob", "phone", OLD);
    let done = phone.account(AccountOp::ChangePassword { password: OLD, new_password: NEW });
    users_done(&gateway.data_dir(), &["disable", "bob"], "");
    let gateway = gateway.kill_and_restart();
    assert_eq!(refused(with_ticket(&gateway, "alice", "phone", &old_ticket)), Code::CredentialExpired);
    welcome(with_ticket(&gateway, "alice", "phone", &done.ticket));
    assert_eq!(refused(with_ticket(&gateway, "bob", "phone", &bobs_ticket)), Code::AccountDisabled);
    let token = gateway.keys().token("bob");
    let end = Conn::open(gateway.addr()).say_hello(&HelloSpec::new("bob", &token), Credential::Token(&token));
    assert_eq!(refused(end), Code::AccountDisabled);
}

#[test]
fn who_deletes_the_account_is_gone_with_what_waited() {
    let gateway = setup().start();
    assert_eq!(register(&gateway, "alice", OLD), None);
    let (mut phone, ticket) = session(&gateway, "alice", "phone", OLD);
    assert_eq!(phone.account(AccountOp::Delete { password: "not this one" }).code, Some(Code::BadCredential));
    assert_eq!(phone.account(AccountOp::Delete { password: OLD }).code, None);
    assert_eq!(phone.expect_goaway(), Code::AccountDisabled);
    assert_eq!(refused(login(&gateway, "alice", OLD)), Code::BadCredential);
    refused(with_ticket(&gateway, "alice", "phone", &ticket));
    assert_eq!(register(&gateway, "alice", NEW), Some(Code::NameTaken), "a name is not passed on by itself");
}

#[test]
fn who_is_given_a_deleted_name_gets_nothing_of_the_one_before() {
    let gateway = setup().start();
    let dir = gateway.data_dir();
    for user in ["alice", "bob"] {
        assert_eq!(register(&gateway, user, OLD), None);
    }
    let (phone, old_ticket) = session(&gateway, "alice", "phone", OLD);
    drop(phone);
    let mut bob = Conn::open(gateway.addr());
    bob.write(&HelloSpec::new("bob", "").bytes_with(Credential::Password(OLD)));
    bob.welcome();
    bob.write(&bob.send_bytes(1, 0, "alice", b"for the old alice"));
    bob.expect_acks(1..=1);
    users_done(&dir, &["delete", "alice"], "");
    // The name is free for the operator once the messages are gone for certain.
    until("it is given away", || users(&dir, &["add", "alice"], "battery staple\n").status.success());
    assert_eq!(refused(login(&gateway, "alice", OLD)), Code::BadCredential);
    assert_eq!(refused(with_ticket(&gateway, "alice", "phone", &old_ticket)), Code::CredentialExpired);
    let (mut phone, _) = session(&gateway, "alice", "phone", NEW);
    assert_eq!(phone.ping(), [], "nothing is delivered");
    let gateway = gateway.kill_and_restart();
    let (mut phone, _) = session(&gateway, "alice", "phone", NEW);
    assert_eq!(phone.ping(), [], "nor after a restart");
}

#[test]
fn an_operator_manages_accounts_while_the_gateway_runs() {
    let gateway = setup().start();
    let dir = gateway.data_dir();
    users_done(&dir, &["add", "alice"], "correct horse\n");
    users_done(&dir, &["add", "bob"], "correct horse\n");
    assert!(users_refused(&dir, &["add", "alice"], "correct horse\n").contains("taken"));
    assert!(users_refused(&dir, &["add", "carol"], "short\n").contains("8 to 128"));
    assert!(users_refused(&dir, &["passwd", "carol"], "correct horse\n").contains("no account"));
    let (mut phone, _) = session(&gateway, "alice", "phone", OLD);
    users_done(&dir, &["disable", "alice"], "");
    assert_eq!(phone.expect_goaway(), Code::AccountDisabled);
    assert_eq!(refused(login(&gateway, "alice", OLD)), Code::AccountDisabled);
    assert_eq!(refused(login(&gateway, "alice", NEW)), Code::BadCredential, "only its owner learns of it");
    let list = users_done(&dir, &["list"], "");
    assert!(list.contains("alice  disabled") && list.contains("bob    active"), "{list}");
    users_done(&dir, &["enable", "alice"], "");
    let (mut phone, _) = session(&gateway, "alice", "phone", OLD);
    users_done(&dir, &["passwd", "alice"], "battery staple\n");
    assert_eq!(phone.expect_goaway(), Code::CredentialExpired);
    let (mut phone, _) = session(&gateway, "alice", "phone", NEW);
    users_done(&dir, &["delete", "alice"], "");
    assert_eq!(phone.expect_goaway(), Code::AccountDisabled);
    assert_eq!(refused(login(&gateway, "alice", NEW)), Code::BadCredential);
    let list = users_done(&dir, &["list", "--json"], "");
    let list: Vec<serde_json::Value> = serde_json::from_str(&list).expect("it is JSON");
    assert_eq!(list.len(), 1);
    assert_eq!((&list[0]["user"], &list[0]["disabled"]), (&"bob".into(), &false.into()));
}

#[test]
fn an_operator_manages_accounts_while_no_gateway_runs() {
    let setup = setup();
    let mut gateway = setup.start();
    assert_eq!(register(&gateway, "alice", OLD), None);
    let (_alice, ticket) = session(&gateway, "alice", "phone", OLD);
    gateway.ask_to_end();
    assert!(gateway.wait(LIMIT).success());
    let dir = setup.data_dir();
    users_done(&dir, &["add", "bob"], "correct horse\n");
    users_done(&dir, &["disable", "alice"], "");
    users_done(&dir, &["add", "carol"], "correct horse\n");
    users_done(&dir, &["delete", "carol"], "");
    let gateway = setup.start();
    welcome(login(&gateway, "bob", OLD));
    assert_eq!(refused(with_ticket(&gateway, "alice", "phone", &ticket)), Code::AccountDisabled);
    assert_eq!(refused(login(&gateway, "alice", OLD)), Code::AccountDisabled);
    assert_eq!(refused(login(&gateway, "carol", OLD)), Code::BadCredential);
}

#[test]
fn what_was_answered_is_there_after_a_kill() {
    let mut gateway = setup().start();
    for number in 0..3 {
        let user = format!("user-{number}");
        assert_eq!(register(&gateway, &user, OLD), None);
        gateway = gateway.kill_and_restart();
        let (mut conn, _) = session(&gateway, &user, "phone", OLD);
        let done = conn.account(AccountOp::ChangePassword { password: OLD, new_password: NEW });
        assert_eq!(done.code, None);
        gateway = gateway.kill_and_restart();
        assert_eq!(refused(login(&gateway, &user, OLD)), Code::BadCredential);
        welcome(login(&gateway, &user, NEW));
    }
}

#[test]
fn registration_that_is_closed_says_so() {
    let gateway = setup().config("login.register = false").start();
    assert_eq!(register(&gateway, "alice", OLD), Some(Code::RegistrationClosed));
    users_done(&gateway.data_dir(), &["add", "alice"], "correct horse\n");
    welcome(login(&gateway, "alice", OLD));
}

#[test]
fn more_than_can_be_hashed_in_time_is_busy() {
    let gateway = Setup::new().config("login.hash_threads = 1").config("login.hash_memory_kib = 262144").start();
    // None of these addresses and names is suspect: only the length of the queue speaks against them.
    let mut waiting: Vec<_> = (0..400u16)
        .map(|number| {
            let mut conn = Conn::open_from(Ipv4Addr::new(127, 1, 0, (number % 20) as u8 + 1), gateway.addr());
            let hello = HelloSpec::new(&format!("user-{number}"), "");
            conn.write(&hello.bytes_with(Credential::Password(OLD)));
            conn
        })
        .collect();
    match waiting.last_mut().expect("there are 400").login_end() {
        LoginEnd::GoAway(Code::Busy, slot_start_ms) => assert!(slot_start_ms > 0),
        other => panic!("{other:?} instead of Busy"),
    }
}

#[test]
fn who_guesses_is_held_back_and_the_owner_is_not() {
    let gateway = setup().start();
    let owner = Ipv4Addr::new(127, 0, 0, 9);
    assert_eq!(Conn::open_from(owner, gateway.addr()).register("alice", OLD), None);
    let guess = |number: u8| Conn::try_password(Ipv4Addr::new(127, 0, 1, number), gateway.addr(), "alice", NEW);
    let mut ends = Vec::new();
    for _ in 0..10 {
        ends.push(guess(1));
    }
    let wrong = LoginEnd::GoAway(Code::BadCredential, 0);
    assert_eq!(ends.iter().filter(|end| **end == wrong).count(), 6, "{ends:?}");
    assert!(ends.iter().all(|end| *end == wrong || matches!(end, LoginEnd::GoAway(Code::TooManyAttempts, 1..))));
    // From everywhere, until the account takes no guesses of strangers at all.
    let held_back = (2..=250).map(guess).find(|end| *end != wrong);
    assert!(matches!(held_back, Some(LoginEnd::GoAway(Code::TooManyAttempts, 1..))), "{held_back:?}");
    welcome(Conn::try_password(owner, gateway.addr(), "alice", OLD));
}

#[test]
fn honest_logins_succeed_beside_a_thousand_wrong_passwords_a_second() {
    let gateway = setup().start();
    for number in 0..10 {
        assert_eq!(register(&gateway, &format!("honest-{number}"), OLD), None);
    }
    let addr = gateway.addr();
    let (is_over, guess_count) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        // At one account and at many, from few addresses and from many, one of them the address of the honest.
        for thread in 0..4u32 {
            let (is_over, guess_count) = (&is_over, &guess_count);
            scope.spawn(move || {
                for number in (0..u32::MAX).take_while(|_| !is_over.load(Ordering::Relaxed)) {
                    let (user, source) = match thread {
                        0 => ("honest-0".to_owned(), 1),
                        1 => (format!("user-{number}"), 1),
                        2 => ("honest-1".to_owned(), 2 + number % 200),
                        _ => (format!("honest-{}", number % 10), 2 + number % 200),
                    };
                    let source = if source == 1 {
                        HOME
                    } else {
                        Ipv4Addr::new(127, 0, 2, u8::try_from(source).expect("few sources"))
                    };
                    let end = Conn::try_password(source, addr, &user, NEW);
                    assert!(matches!(end, LoginEnd::GoAway(..)), "{end:?}");
                    guess_count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for number in 0.. {
            let user = format!("honest-{}", 2 + number % 8);
            welcome(login(&gateway, &user, OLD));
            // Some seconds' worth, however fast the machine is.
            if number >= 50 && guess_count.load(Ordering::Relaxed) >= 5_000 {
                break;
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
}
