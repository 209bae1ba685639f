//! Passwords, tickets, another store, and the account itself.

use shardwire_sdk::{AccountError, Client, Config, Credential, Event, MemoryStore, Store};
use wire::frame::{AccountDone, AccountOp, GoAway, Welcome};
use wire::{Code, DeviceNo, Frame, Id, limits};

use crate::pair::{Pair, config, name};

const PASSWORD: &str = "correct horse";
const STORE: [u8; 16] = [1; 16];

fn with(credential: Credential) -> Config {
    Config { credential, ..config() }
}

fn pair(credential: Credential) -> Pair {
    pair_on(credential, MemoryStore::default())
}

fn pair_on<S: Store>(credential: Credential, store: S) -> Pair<S> {
    Pair { client: Client::new(with(credential), store, 42).unwrap(), now_us: 1_000_000 }
}

/// What the client said before WELCOME, in words.
fn said<S: Store>(pair: &mut Pair<S>) -> Vec<String> {
    let bytes = std::mem::take(pair.client.transmit());
    let mut rest = &bytes[..];
    let mut said = Vec::new();
    while let Ok(wire::Cut::Frame { frame_type, payload, len }) = wire::cut(rest, limits::PAYLOAD_LEN_MAX) {
        said.push(match wire::decode(frame_type, payload).unwrap().unwrap() {
            Frame::Hello(hello) => match hello.credential {
                wire::frame::Credential::Token(token) => format!("HELLO token {token}"),
                wire::frame::Credential::Password(password) => format!("HELLO password {password}"),
                wire::frame::Credential::Ticket(ticket) => format!("HELLO ticket {}", String::from_utf8_lossy(ticket)),
            },
            Frame::Account(account) => match account.op {
                AccountOp::Register { user, password } => format!("REGISTER {} {user} {password}", account.request),
                AccountOp::ChangePassword { password, new_password } => {
                    format!("CHANGE {} {password} {new_password}", account.request)
                }
                AccountOp::Delete { password } => format!("DELETE {} {password}", account.request),
            },
            frame => format!("{:#04x}", frame.frame_type()),
        });
        rest = &rest[len..];
    }
    said
}

fn greets<S: Store>(pair: &mut Pair<S>) -> Vec<String> {
    pair.connect();
    said(pair)
}

fn welcome<S: Store>(pair: &mut Pair<S>, ticket: &str, store: &[u8]) {
    pair.tell(&Frame::Welcome(Welcome {
        version: limits::VERSION,
        features: 0,
        device_no: DeviceNo(1),
        boot: 1,
        head: Id(u64::MAX),
        oldest: Id::NONE,
        heartbeat_s: 60,
        payload_len_max: 64 * 1024,
        in_flight_max: 64,
        stored_is_synced: true,
        ticket: ticket.as_bytes(),
        server_time_us: 0,
        store,
    }));
}

fn answer<S: Store>(pair: &mut Pair<S>, request: u32, code: Option<Code>, ticket: &str, retry_ms: u32) {
    let (code, text) = code.map_or((0, ""), |code| (code.number(), code.text()));
    let ticket = ticket.as_bytes();
    pair.tell(&Frame::AccountDone(AccountDone { request, code, text, ticket, retry_ms }));
}

fn ended(code: Code) -> Event {
    Event::Ended { code: code.number() }
}

fn failed(request: u32, code: Option<Code>) -> Event {
    Event::AccountFailed { request, code: code.map(Code::number), retry_ms: 0 }
}

#[test]
fn a_restarted_program_logs_in_with_the_ticket_of_its_store() {
    let mut first = pair(Credential::Password(PASSWORD.into()));
    assert_eq!(greets(&mut first), ["HELLO password correct horse"]);
    welcome(&mut first, "t1", &STORE);
    let mut second = pair_on(Credential::None, first.client.into_store());
    assert_eq!(greets(&mut second), ["HELLO ticket t1"]);
    welcome(&mut second, "t2", &STORE);
    second.lose_connection();
    assert_eq!(greets(&mut second), ["HELLO ticket t2"], "each WELCOME brings a newer one");
}

#[test]
fn a_refused_ticket_gives_way_to_the_credential_and_a_refused_credential_is_the_end() {
    let mut pair = pair(Credential::Password(PASSWORD.into()));
    greets(&mut pair);
    welcome(&mut pair, "t1", &STORE);
    pair.lose_connection();
    assert_eq!(greets(&mut pair), ["HELLO ticket t1"]);
    pair.go_away(Code::CredentialExpired);
    assert_eq!(greets(&mut pair), ["HELLO password correct horse"]);
    pair.go_away(Code::BadCredential);
    assert!(pair.events().contains(&ended(Code::BadCredential)));
    assert_eq!(pair.client.connect_at(), None);
}

#[test]
fn a_refused_ticket_without_a_credential_is_the_end_and_is_forgotten() {
    let mut pair = pair(Credential::Password(PASSWORD.into()));
    greets(&mut pair);
    welcome(&mut pair, "t1", &STORE);
    let mut pair = pair_on(Credential::None, pair.client.into_store());
    greets(&mut pair);
    pair.go_away(Code::CredentialExpired);
    assert!(pair.events().contains(&ended(Code::CredentialExpired)));
    pair.client.restart(pair.now_us);
    pair.connect();
    assert!(pair.events().contains(&ended(Code::OneCredential)), "nothing is left to try");
    pair.client.set_credential(Credential::Password("another one".into()));
    pair.client.restart(pair.now_us);
    assert_eq!(greets(&mut pair), ["HELLO password another one"]);
}

#[test]
fn a_gateway_that_has_no_time_leaves_the_ticket_and_its_slot_is_obeyed() {
    for code in [Code::Busy, Code::TooManyAttempts, Code::Draining] {
        let mut pair = pair(Credential::Password(PASSWORD.into()));
        greets(&mut pair);
        welcome(&mut pair, "t1", &STORE);
        pair.lose_connection();
        greets(&mut pair);
        pair.tell(&Frame::GoAway(GoAway { slot_start_ms: 4_000, slot_len_ms: 2_000, ..GoAway::of(code) }));
        let wait_us = pair.client.connect_at().unwrap() - pair.now_us;
        assert!((4_000_000..=6_000_000).contains(&wait_us), "{code:?}: {wait_us}");
        assert_eq!(greets(&mut pair), ["HELLO ticket t1"], "{code:?}");
    }
}

#[test]
fn who_signs_out_keeps_no_ticket() {
    let mut pair = pair(Credential::Password(PASSWORD.into()));
    greets(&mut pair);
    welcome(&mut pair, "t1", &STORE);
    pair.client.logout(false);
    pair.go_away(Code::LoggedOut);
    assert!(pair.events().contains(&ended(Code::LoggedOut)));
    let mut pair = pair_on(Credential::None, pair.client.into_store());
    assert_eq!(greets(&mut pair), Vec::<String>::new());
    assert!(pair.events().contains(&ended(Code::OneCredential)));
}

#[test]
fn an_account_is_made_before_login_on_the_same_connection() {
    let mut pair = pair(Credential::None);
    let request = pair.client.register(PASSWORD).unwrap();
    assert_eq!(pair.client.register(PASSWORD), Err(AccountError::Pending));
    assert_eq!(greets(&mut pair), ["REGISTER 1 alice correct horse"]);
    answer(&mut pair, request, None, "", 0);
    assert_eq!(said(&mut pair), ["HELLO password correct horse"]);
    welcome(&mut pair, "t1", &STORE);
    assert!(pair.events().contains(&Event::AccountDone { request }));
    assert_eq!(pair.client.register(PASSWORD), Err(AccountError::LoggedIn));
}

#[test]
fn a_refused_registration_ends_the_client_and_may_be_tried_again() {
    let mut pair = pair(Credential::None);
    pair.client.register(PASSWORD).unwrap();
    greets(&mut pair);
    answer(&mut pair, 1, Some(Code::NameTaken), "", 0);
    let events = pair.events();
    assert!(
        events.contains(&failed(1, Some(Code::NameTaken))) && events.contains(&ended(Code::NameTaken)),
        "{events:?}"
    );
    let request = pair.client.register("another password").unwrap();
    pair.client.restart(pair.now_us);
    assert_eq!(greets(&mut pair), [format!("REGISTER {request} alice another password")]);
    answer(&mut pair, request, Some(Code::TooManyAttempts), "", 2_500);
    let code = Some(Code::TooManyAttempts.number());
    assert!(pair.events().contains(&Event::AccountFailed { request, code, retry_ms: 2_500 }));
}

#[test]
fn a_name_that_was_taken_by_an_answer_that_got_lost_is_ours() {
    let mut pair = pair(Credential::None);
    pair.client.register(PASSWORD).unwrap();
    greets(&mut pair);
    pair.lose_connection();
    assert_eq!(greets(&mut pair), ["REGISTER 1 alice correct horse"]);
    answer(&mut pair, 1, Some(Code::NameTaken), "", 0);
    assert_eq!(said(&mut pair), ["HELLO password correct horse"]);
    welcome(&mut pair, "", &STORE);
    assert!(pair.events().contains(&Event::AccountDone { request: 1 }));
}

#[test]
fn a_name_that_another_took_meanwhile_is_taken() {
    let mut pair = pair(Credential::None);
    pair.client.register(PASSWORD).unwrap();
    greets(&mut pair);
    pair.lose_connection();
    greets(&mut pair);
    answer(&mut pair, 1, Some(Code::NameTaken), "", 0);
    pair.go_away(Code::BadCredential);
    let events = pair.events();
    assert!(
        events.contains(&failed(1, Some(Code::NameTaken))) && events.contains(&ended(Code::NameTaken)),
        "{events:?}"
    );
}

#[test]
fn an_account_that_the_gateway_does_not_make_in_time_is_asked_for_again() {
    let mut pair = pair(Credential::None);
    pair.client.register(PASSWORD).unwrap();
    pair.connect();
    pair.tick();
    assert_eq!(pair.events(), [Event::Disconnect { code: None }]);
    assert_eq!(greets(&mut pair), ["REGISTER 1 alice correct horse"]);
}

#[test]
fn a_changed_password_takes_the_place_of_the_old_one_and_so_does_its_ticket() {
    let mut pair = pair(Credential::Password(PASSWORD.into()));
    assert_eq!(pair.client.change_password(pair.now_us, PASSWORD, "battery staple"), Err(AccountError::NotWelcomed));
    greets(&mut pair);
    welcome(&mut pair, "t1", &STORE);
    let request = pair.client.change_password(pair.now_us, PASSWORD, "battery staple").unwrap();
    assert_eq!(said(&mut pair), ["CHANGE 1 correct horse battery staple"]);
    answer(&mut pair, request, None, "t2", 0);
    assert!(pair.events().contains(&Event::AccountDone { request }));
    pair.lose_connection();
    assert_eq!(greets(&mut pair), ["HELLO ticket t2"]);
    pair.go_away(Code::CredentialExpired);
    assert_eq!(greets(&mut pair), ["HELLO password battery staple"]);
}

#[test]
fn a_change_that_is_refused_or_not_heard_of_changes_nothing_here() {
    let mut pair = pair(Credential::Password(PASSWORD.into()));
    greets(&mut pair);
    welcome(&mut pair, "t1", &STORE);
    pair.client.change_password(pair.now_us, "not this one", "battery staple").unwrap();
    assert_eq!(pair.client.delete_account(pair.now_us, PASSWORD), Err(AccountError::Pending));
    answer(&mut pair, 1, Some(Code::BadCredential), "", 0);
    assert!(pair.events().contains(&failed(1, Some(Code::BadCredential))));
    pair.client.change_password(pair.now_us, PASSWORD, "battery staple").unwrap();
    pair.lose_connection();
    assert!(pair.events().contains(&failed(2, None)));
    assert_eq!(greets(&mut pair), ["HELLO ticket t1"]);
}

#[test]
fn a_session_that_another_one_made_void_tries_what_it_has() {
    let mut pair = pair(Credential::Password(PASSWORD.into()));
    greets(&mut pair);
    welcome(&mut pair, "t1", &STORE);
    pair.go_away(Code::CredentialExpired);
    assert_eq!(greets(&mut pair), ["HELLO password correct horse"], "the ticket is as void as the session was");
    pair.go_away(Code::BadCredential);
    assert!(pair.events().contains(&ended(Code::BadCredential)));
}

#[test]
fn a_deleted_account_leaves_no_ticket_and_no_incarnation() {
    let mut pair = pair(Credential::Password(PASSWORD.into()));
    greets(&mut pair);
    welcome(&mut pair, "t1", &STORE);
    let before = pair.client.ledger().incarnation;
    let request = pair.client.delete_account(pair.now_us, PASSWORD).unwrap();
    assert_eq!(said(&mut pair), ["DELETE 1 correct horse"]);
    answer(&mut pair, request, None, "", 0);
    pair.go_away(Code::AccountDisabled);
    let events = pair.events();
    let end = ended(Code::AccountDisabled);
    assert!(events.contains(&Event::AccountDone { request }) && events.contains(&end), "{events:?}");
    assert_ne!(pair.client.ledger().incarnation, before);
    assert_eq!(pair.client.ledger().ticket, None);
}

#[test]
fn passwords_that_no_gateway_takes_are_not_sent() {
    let mut pair = pair(Credential::None);
    for password in ["", "1234567", &"p".repeat(129)] {
        let bad = AccountError::BadPassword { len: password.len(), min: 8, max: 128 };
        assert_eq!(pair.client.register(password), Err(bad));
    }
    assert!(pair.client.register(&"p".repeat(128)).is_ok());
}

#[test]
fn another_store_of_the_gateway_resets_what_was_received() {
    let mut pair = pair(Credential::Password(PASSWORD.into()));
    greets(&mut pair);
    welcome(&mut pair, "", &STORE);
    pair.deliver(10, 1, 1, "before");
    pair.send("unresolved");
    assert_eq!(pair.messages(), ["before"]);
    pair.lose_connection();
    pair.events();
    greets(&mut pair);
    welcome(&mut pair, "", &STORE);
    pair.deliver(11, 1, 1, "before");
    assert_eq!(pair.messages(), Vec::<String>::new(), "the same store: a duplicate");
    pair.lose_connection();
    pair.connect();
    pair.client.transmit().clear();
    welcome(&mut pair, "", &[2; 16]);
    pair.deliver(5, 1, 1, "after");
    assert_eq!(pair.messages(), ["after"], "a wiped gateway counts from the beginning");
    pair.refuse(1, Code::UnknownRecipient);
    let refused = Event::Refused { counter: wire::Counter(1), code: 400, known: false };
    assert!(pair.events().contains(&refused), "it may have arrived under the other store");
}

#[test]
fn hello_says_which_store_its_last_id_is_of() {
    let mut pair = pair(Credential::Password(PASSWORD.into()));
    let store_of = |pair: &mut Pair| {
        pair.connect();
        let bytes = std::mem::take(pair.client.transmit());
        let Ok(wire::Cut::Frame { frame_type, payload, .. }) = wire::cut(&bytes, limits::PAYLOAD_LEN_MAX) else {
            panic!("no whole frame");
        };
        match wire::decode(frame_type, payload).unwrap().unwrap() {
            Frame::Hello(hello) => (hello.user == name("alice"), hello.store.to_vec()),
            frame => panic!("{frame:?}"),
        }
    };
    assert_eq!(store_of(&mut pair), (true, vec![]));
    welcome(&mut pair, "", &STORE);
    pair.lose_connection();
    assert_eq!(store_of(&mut pair), (true, STORE.to_vec()));
}
