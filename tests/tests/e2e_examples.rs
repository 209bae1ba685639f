//! The examples of the SDK, word for word, against the real gateway.

#![forbid(unsafe_code)]

use std::{sync::mpsc, thread};

use gateway_tests::e2e::{Gateway, LIMIT, Person, drive_until};

#[path = "../../sdk/rust/examples/echo.rs"]
#[expect(dead_code, unreachable_pub, reason = "an example is a program of its own")]
mod echo;
#[path = "../../sdk/rust/examples/two_people.rs"]
#[expect(dead_code, unreachable_pub, reason = "an example is a program of its own")]
mod two_people;

/// Runs an example beside the test, which waits no longer than it should take.
fn beside<T: Send + 'static>(example: impl FnOnce() -> T + Send + 'static) -> mpsc::Receiver<T> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(example()));
    receiver
}

#[test]
fn two_people_talk() {
    let gateway = Gateway::start();
    let (address, keys) = (gateway.addr().to_string(), gateway.keys());
    let (alice, bob) = (keys.token("alice"), keys.token("bob"));
    let lines = beside(move || two_people::run(&address, alice, bob).map_err(|error| error.to_string()));
    let [bob, alice] = lines.recv_timeout(LIMIT).expect("it ends").expect("it ends well");
    assert_eq!(bob, "bob read: Hello Bob");
    assert!(alice.starts_with("alice read: "), "{alice}");
}

#[test]
fn the_echo_answers_everybody() {
    const COUNT: usize = 50;
    let gateway = Gateway::start();
    let (address, keys) = (gateway.addr().to_string(), gateway.keys());
    let token = keys.token("echo");
    let end =
        beside(move || echo::run(&address, "echo", token, Some(2 * COUNT as u64)).map_err(|error| error.to_string()));
    let mut people = ["alice", "bob"].map(|user| Person::new(user, &keys.token(user), gateway.addr()));
    for number in 1..=COUNT {
        people[0].send("echo", &format!("alice {number}"));
        people[1].send("echo", &format!("bob {number}"));
    }
    drive_until("every answer is there", &mut people, |people| {
        people.iter().all(|person| person.inbox_count() >= COUNT)
    });
    for person in &people {
        let expected: Vec<_> = (1..=COUNT).map(|number| format!("{} {number}", person.user())).collect();
        assert_eq!(person.inbox(), expected);
    }
    end.recv_timeout(LIMIT).expect("it ends").expect("it ends well");
}
