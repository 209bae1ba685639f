//! Tickets and stores against the real gateway, through the client of the SDK: what a program that starts again needs, and what it makes of
//! a gateway that was set up anew.

#![forbid(unsafe_code)]

use gateway_tests::e2e::{Gateway, Person, Setup, drive_until};
use wire::Code;

fn person(gateway: &Gateway, user: &str) -> Person {
    Person::new(user, &gateway.keys().token(user), gateway.addr())
}

fn until_online(people: &mut [Person]) {
    drive_until("everybody is in", people, |people| people.iter().all(Person::is_online));
}

#[test]
fn a_program_that_starts_again_needs_no_token() {
    let gateway = Setup::new().start();
    let mut people = [person(&gateway, "alice")];
    until_online(&mut people);
    let device_no = people[0].device_no();
    let gateway = gateway.kill_and_restart();
    people[0].moves_to(gateway.addr());
    people[0].starts_again();
    until_online(&mut people);
    assert_eq!(people[0].device_no(), device_no);
}

#[test]
fn who_signed_out_is_out_after_a_kill_too() {
    let gateway = Setup::new().start();
    let mut people = [person(&gateway, "alice")];
    until_online(&mut people);
    // The same ticket in other hands.
    let mut thief = person(&gateway, "alice");
    thief.steals_from(&people[0]);
    people[0].logout();
    drive_until("the device is signed out", &mut people, |people| people[0].ended() == Some(Code::LoggedOut.number()));
    let gateway = gateway.kill_and_restart();
    thief.moves_to(gateway.addr());
    let mut people = [thief];
    drive_until("the ticket is refused", &mut people, |people| {
        people[0].ended() == Some(Code::CredentialExpired.number())
    });
    assert_eq!(people[0].welcome_count(), 0);
}

#[test]
fn a_ticket_of_another_store_is_refused_and_the_token_is_taken() {
    let (first, second) = (Setup::new().start(), Setup::new().start());
    let mut people = [person(&first, "alice")];
    until_online(&mut people);
    people[0].starts_again();
    people[0].comes_back(second.addr());
    drive_until("the ticket is refused", &mut people, |people| people[0].ended().is_some());
    assert_eq!(people[0].ended(), Some(Code::CredentialExpired.number()), "a key that is not known here");
    people[0].types(&second.keys().token("alice"));
    until_online(&mut people);
}

#[test]
fn a_gateway_that_was_set_up_anew_is_not_taken_for_the_one_before() {
    let first = Setup::new().start();
    let mut people = [person(&first, "alice"), person(&first, "bob")];
    until_online(&mut people);
    people[0].send("bob", "under the first store");
    drive_until("it came", &mut people, |people| people[1].inbox_count() == 1 && people[0].safe().len() == 1);
    people[1].goes_away();
    drop(first);
    // Device 1 of alice, message 1: bob has seen that one, of the first store.
    let second = Setup::new().start();
    people[0] = person(&second, "alice");
    drive_until("alice is in", &mut people, |people| people[0].is_online());
    people[0].send("bob", "under the second store");
    drive_until("it is stored", &mut people, |people| people[0].safe().len() == 1);
    people[1].types(&second.keys().token("bob"));
    people[1].comes_back(second.addr());
    drive_until("it came", &mut people, |people| people[1].inbox_count() == 2);
    assert_eq!(people[1].inbox(), ["under the first store", "under the second store"]);
}
