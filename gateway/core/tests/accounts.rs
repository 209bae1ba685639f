//! Who may be in: accounts that are made, changed, shut and deleted, tickets, and devices that sign out.

mod house;

use std::collections::BTreeMap;

use gateway_core::{AccountKind, ConnId, Input, Refusal, UnknownRecipients};
use house::{House, bodies};
use wire::frame::{Account, AccountOp, Logout};
use wire::{Code, Frame, Name, NameBuf};

const SECOND_US: u64 = 1_000_000;
const PASSWORD: &str = "correct horse";

fn name(text: &str) -> Name<'_> {
    Name::parse_user(text.as_bytes()).expect("a name")
}

fn register(house: &mut House, conn: ConnId, request: u32) {
    let op = AccountOp::Register { user: name("alice"), password: PASSWORD };
    house.frame(conn, Frame::Account(Account { request, op }));
}

fn change_password(house: &mut House, conn: ConnId) {
    let op = AccountOp::ChangePassword { password: PASSWORD, new_password: "battery staple" };
    house.frame(conn, Frame::Account(Account { request: 7, op }));
}

fn answer(house: &mut House, conn: ConnId, request: u32, code: Option<Code>) {
    let result = code.map_or(Ok(b"ticket".as_slice().into()), |code| Err(Refusal::from(code)));
    house.input(Input::AccountDone { conn, request, result });
}

fn void(house: &mut House, before_us: u64, code: Code, except: Option<ConnId>) {
    house.input(Input::Void { user: NameBuf::from(name("bob")), before_us, code, purge: false, except });
}

fn purge(house: &mut House, user: &str) {
    house.pass(1);
    let before_us = house.wall_us();
    let user = NameBuf::from(name(user));
    house.input(Input::Void { user, before_us, code: Code::Revoked, purge: true, except: None });
}

/// Another run on the same disk, a minute later.
fn restarted(house: House) -> House {
    let wall_us = house.wall_us() + 60 * SECOND_US;
    House::on(house.disk, wall_us)
}

fn log_out(house: &mut House, conn: ConnId, forget: bool) {
    house.frame(conn, Frame::Logout(Logout { forget }));
}

/// HELLO with a ticket of that moment.
fn ticket(house: &mut House, index: u32, proven_us: u64) -> Vec<String> {
    house.ticket_of_us = Some(proven_us);
    let conn = house.hello(index, "bob", "phone", 100);
    house.ticket_of_us = None;
    house.seen(conn)
}

#[test]
fn an_account_is_made_before_hello_on_the_same_connection() {
    let mut house = House::new();
    let conn = house.open(0);
    register(&mut house, conn, 5);
    let asked = house.asked.pop().expect("asked");
    assert_eq!((asked.request, asked.device), (5, None));
    assert_eq!(asked.kind, AccountKind::Register { user: name("alice").into(), password: PASSWORD.into() });
    assert!(house.paused.contains(&conn), "one after the other");
    answer(&mut house, conn, 5, None);
    assert_eq!(house.seen(conn), ["ACCOUNT_DONE 5 0"]);
    assert!(!house.paused.contains(&conn), "HELLO may come");
}

#[test]
fn a_taken_name_may_be_followed_by_others_but_not_by_many() {
    let mut house = House::new();
    let conn = house.open(0);
    for request in 1..=4 {
        register(&mut house, conn, request);
        answer(&mut house, conn, request, Some(Code::NameTaken));
    }
    assert_eq!(house.seen(conn).len(), 4);
    register(&mut house, conn, 5);
    assert_eq!(house.seen(conn), ["GOAWAY 103", "closed"]);
}

#[test]
fn what_belongs_into_a_session_does_not_come_before_and_the_reverse() {
    let mut house = House::new();
    let early = house.open(0);
    change_password(&mut house, early);
    assert_eq!(house.seen(early), ["GOAWAY 103", "closed"]);
    let late = house.hello(1, "alice", "phone", 100);
    house.seen(late);
    register(&mut house, late, 1);
    assert_eq!(house.seen(late), ["GOAWAY 103", "closed"]);
}

#[test]
fn making_an_account_takes_from_the_time_for_hello() {
    let mut house = House::new();
    let (waits, idles) = (house.open(0), house.open(1));
    house.pass(9 * SECOND_US);
    register(&mut house, waits, 1);
    register(&mut house, idles, 1);
    answer(&mut house, idles, 1, None);
    house.seen(idles);
    house.pass(3 * SECOND_US);
    assert_eq!(house.seen(waits), ["GOAWAY 304", "closed"], "the accounts have no time");
    assert_eq!(house.seen(idles), ["GOAWAY 106", "closed"], "the client had it");
    answer(&mut house, waits, 1, None);
    assert!(house.seen(waits).is_empty(), "a late answer finds nobody");
}

#[test]
fn a_session_waits_for_its_account_and_goes_on() {
    let mut house = House::new();
    let alice = house.hello(0, "alice", "phone", 100);
    house.seen(alice);
    change_password(&mut house, alice);
    let asked = house.asked.pop().expect("asked");
    assert_eq!(asked.device.as_deref(), Some("phone"));
    assert!(house.paused.contains(&alice));
    answer(&mut house, alice, 7, None);
    answer(&mut house, alice, 7, None);
    assert_eq!(house.seen(alice), ["ACCOUNT_DONE 7 0"], "once");
    assert!(!house.paused.contains(&alice));
}

#[test]
fn a_changed_password_ends_every_session_but_the_one_that_changed_it() {
    let mut house = House::new();
    let (phone, laptop) = (house.hello(0, "bob", "phone", 100), house.hello(1, "bob", "laptop", 100));
    house.pass(SECOND_US);
    let tablet = house.hello(2, "bob", "tablet", 100);
    for conn in [phone, laptop, tablet] {
        house.seen(conn);
    }
    let before_us = house.wall_us();
    void(&mut house, before_us, Code::CredentialExpired, Some(laptop));
    assert_eq!(house.seen(phone), ["GOAWAY 201", "closed"]);
    assert!(house.seen(laptop).is_empty() && house.seen(tablet).is_empty(), "proven anew, or since then");
    // The one that stayed has its proof from the change: the same again does not end it.
    void(&mut house, before_us, Code::CredentialExpired, None);
    assert!(house.seen(laptop).is_empty());
    assert_eq!(ticket(&mut house, 3, before_us - 1), ["GOAWAY 201", "closed"]);
    assert!(ticket(&mut house, 4, before_us)[0].starts_with("WELCOME"));
}

#[test]
fn a_disabled_account_takes_nobody_until_it_is_enabled() {
    let mut house = House::new();
    let bob = house.hello(0, "bob", "phone", 100);
    house.seen(bob);
    void(&mut house, u64::MAX, Code::AccountDisabled, None);
    assert_eq!(house.seen(bob), ["GOAWAY 209", "closed"]);
    let again = house.hello(1, "bob", "phone", 100);
    assert_eq!(house.seen(again), ["GOAWAY 209", "closed"]);
    void(&mut house, 0, Code::CredentialExpired, None);
    let again = house.hello(2, "bob", "phone", 100);
    assert_eq!(house.seen(again), ["WELCOME 1"]);
}

#[test]
fn who_signs_out_is_told_when_it_is_durable_and_old_tickets_stay_void() {
    let mut house = House::new();
    let proven_us = house.wall_us();
    let bob = house.hello(0, "bob", "phone", 100);
    house.seen(bob);
    house.pass(SECOND_US);
    house.is_disk_stopped = true;
    log_out(&mut house, bob, false);
    assert!(house.seen(bob).is_empty(), "a crash would undo it");
    assert_eq!(ticket(&mut house, 1, proven_us), ["GOAWAY 201", "closed"], "and still it counts");
    house.resume_disk();
    assert_eq!(house.seen(bob), ["GOAWAY 301", "closed"]);
    let mut house = restarted(house);
    assert_eq!(ticket(&mut house, 0, proven_us), ["GOAWAY 201", "closed"]);
    let bob = house.hello(1, "bob", "phone", 100);
    assert_eq!(house.seen(bob), ["WELCOME 1"], "a password logs in, as the same device");
}

#[test]
fn a_sign_out_that_cannot_be_written_is_not_told_as_one() {
    let mut house = House::new();
    let (alice, bob) = (house.hello(0, "alice", "phone", 100), house.hello(1, "bob", "phone", 100));
    house.seen(bob);
    house.is_disk_broken = true;
    house.send(alice, 1, "stranger", "x");
    house.pass(1_000);
    for forget in [false, true] {
        let conn = if forget { alice } else { bob };
        house.seen(conn);
        log_out(&mut house, conn, forget);
        assert_eq!(house.seen(conn), ["GOAWAY 404", "closed"], "forget {forget}");
    }
}

#[test]
fn a_disk_that_stands_still_does_not_keep_who_signs_out() {
    let mut house = House::new();
    let bob = house.hello(0, "bob", "phone", 100);
    house.seen(bob);
    house.is_disk_stopped = true;
    log_out(&mut house, bob, false);
    house.pass(12 * SECOND_US);
    assert_eq!(house.seen(bob), ["GOAWAY 304", "closed"], "he may try again");
    house.resume_disk();
    assert!(house.seen(bob).is_empty());
}

#[test]
fn a_sign_out_whose_batch_fails_is_written_again() {
    let mut house = House::new();
    let bob = house.hello(0, "bob", "phone", 100);
    house.seen(bob);
    house.is_disk_broken = true;
    house.is_disk_stopped = true;
    log_out(&mut house, bob, false);
    // That write fails; the next segment's does not.
    house.is_disk_stopped = false;
    let op = house.waiting.remove(0);
    house.is_disk_stopped = true;
    house.disk(op);
    house.is_disk_broken = false;
    assert!(house.seen(bob).is_empty());
    while !house.waiting.is_empty() {
        house.resume_disk();
    }
    house.pass(SECOND_US);
    assert_eq!(house.seen(bob), ["GOAWAY 301", "closed"]);
}

#[test]
fn a_ticket_registers_no_device_and_a_removed_one_has_none() {
    let mut house = House::new();
    let proven_us = house.wall_us();
    assert_eq!(ticket(&mut house, 0, proven_us), ["GOAWAY 201", "closed"], "nobody of that name was ever here");
    let bob = house.hello(1, "bob", "phone", 100);
    house.seen(bob);
    house.pass(SECOND_US);
    log_out(&mut house, bob, true);
    assert_eq!(house.seen(bob), ["GOAWAY 301", "closed"]);
    assert_eq!(ticket(&mut house, 2, proven_us), ["GOAWAY 201", "closed"]);
    house.pass(SECOND_US);
    let bob = house.hello(3, "bob", "phone", 100);
    assert_eq!(house.seen(bob), ["WELCOME 2"], "a password makes it anew");
    assert_eq!(ticket(&mut house, 4, proven_us), ["GOAWAY 201", "closed"], "which is not the one that had the ticket");
    let mut house = restarted(house);
    assert_eq!(ticket(&mut house, 0, proven_us), ["GOAWAY 201", "closed"]);
}

#[test]
fn welcome_brings_the_ticket_and_the_name_of_the_store() {
    let mut house = House::new();
    house.hello(0, "bob", "phone", 100);
    let ticket_of = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
    let bytes = std::mem::take(&mut house.written);
    assert!(ticket_of(&bytes, b"fresh") && ticket_of(&bytes, &[7; 16]));
}

#[test]
fn a_deleted_account_leaves_nothing_to_whoever_has_the_name_next() {
    let mut house = House::new();
    let (alice, bob) = (house.hello(0, "alice", "phone", 100), house.hello(1, "bob", "phone", 100));
    house.seen(bob);
    house.frame(bob, Frame::Credit(wire::frame::Credit { entries: 1, bytes: 1 }));
    for counter in 1..=3 {
        house.send(alice, counter, "bob", &format!("m{counter}"));
    }
    house.seen(alice);
    house.is_disk_stopped = true;
    house.send(alice, 4, "bob", "m4");
    purge(&mut house, "bob");
    assert!(house.seen(bob).contains(&"GOAWAY 302".to_owned()));
    let busy = house.hello(2, "bob", "phone", 100);
    assert_eq!(house.seen(busy), ["GOAWAY 304", "closed"], "in a moment");
    assert!(house.purged.is_empty(), "a crash would bring it back");
    house.resume_disk();
    assert_eq!(house.purged, ["bob"]);
    let acks = house.seen(alice).join(" ");
    assert!(acks.contains("4 stored"), "what became of it is known for good: {acks}");

    let mut house = restarted(house);
    let bob = house.hello(0, "bob", "phone", 100);
    let seen = house.seen(bob);
    assert_eq!((seen[0].as_str(), bodies(&seen)), ("WELCOME 2", vec![]), "numbers go on, messages do not");
    let alice = house.hello_after(1, "alice", "phone", 100, 4);
    house.send(alice, 5, "bob", "for-the-new-one");
    assert_eq!(bodies(&house.seen(bob)), ["for-the-new-one"]);
}

#[test]
fn a_deletion_that_a_crash_cuts_off_is_said_again_and_done() {
    let mut house = House::new();
    let (alice, bob) = (house.hello(0, "alice", "phone", 100), house.hello(1, "bob", "phone", 100));
    log_out(&mut house, bob, false);
    house.send(alice, 1, "bob", "old");
    house.is_disk_stopped = true;
    purge(&mut house, "bob");
    let disk: BTreeMap<_, _> = house.disk.clone();
    let mut house = House::on(disk, house.wall_us() + SECOND_US);
    purge(&mut house, "bob");
    assert_eq!(house.purged, ["bob"]);
    purge(&mut house, "bob");
    assert_eq!(house.purged, ["bob", "bob"], "twice changes nothing, and is answered");
    let bob = house.hello(0, "bob", "phone", 100);
    assert_eq!(house.seen(bob), ["WELCOME 2"]);
}

#[test]
fn a_name_that_nobody_used_is_free_at_once() {
    let mut house = House::new();
    purge(&mut house, "nobody");
    assert_eq!(house.purged, ["nobody"]);
}

#[test]
fn a_deleted_user_is_a_stranger_again_also_after_a_restart() {
    let refuse = |config: &mut gateway_core::ShardConfig| config.unknown_recipients = UnknownRecipients::Refuse;
    let mut house = House::configured(BTreeMap::new(), 1_000_000_000, refuse);
    let (alice, bob) = (house.hello(0, "alice", "phone", 100), house.hello(1, "bob", "phone", 100));
    house.seen(alice);
    house.seen(bob);
    purge(&mut house, "bob");
    house.send(alice, 1, "bob", "hello");
    assert_eq!(house.seen(alice), ["SEND_NACK 1 400"]);
    let wall_us = house.wall_us() + 60 * SECOND_US;
    let mut house = House::configured(house.disk, wall_us, refuse);
    let alice = house.hello_after(0, "alice", "phone", 100, 1);
    house.seen(alice);
    house.send(alice, 2, "bob", "hello");
    assert_eq!(house.seen(alice), ["SEND_NACK 2 400"]);
}

#[test]
fn a_refusal_that_says_when_to_come_back_gives_a_slot() {
    let mut house = House::new();
    house.is_verifier_stopped = true;
    house.hello(0, "alice", "phone", 100);
    let conn = ConnId { index: 0, generation: 0 };
    house.input(Input::Authenticated { conn, verdict: Err(Refusal { code: Code::TooManyAttempts, retry_ms: 4_000 }) });
    assert_eq!(house.seen(conn), ["GOAWAY 211", "closed"]);
    assert_eq!(house.slots.pop(), Some((4_000, 2_000)));
}
