//! kill -9 under load, again and again: whatever was acknowledged arrives, once; what was not is sent again by its sender.
//!
//! `SHARDWIRE_ROUNDS=200` makes it a long run. A kill leaves the kernel's page cache in place, so this is about the process;
//! lost writes and torn sectors are the simulation's.

#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use gateway_tests::e2e::{Gateway, Person, drive, drive_until};

const PEOPLE: usize = 12;
/// How many messages may wait for their outcome at a time, all people together.
const IN_FLIGHT: usize = 120;

#[test]
fn what_was_acknowledged_survives_any_number_of_kills() {
    let rounds = match std::env::var("SHARDWIRE_ROUNDS") {
        Ok(text) => text.parse().expect("SHARDWIRE_ROUNDS is a number"),
        Err(_) => 6,
    };
    let mut story = Story::begin();
    println!("chance: {:#x}", story.chance);
    for round in 1..=rounds {
        story.run_until_killed(round);
    }
    story.end();
}

/// People who write to each other, come and go, while their gateway is killed and started again.
struct Story {
    gateway: Gateway,
    people: Vec<Person>,
    /// By message, in the order in which they were sent: from, to, and when it was sent.
    sent: Vec<(usize, usize, u64)>,
    /// When the sender was told that it is safe.
    acknowledged: BTreeMap<usize, u64>,
    /// One step is one call of `drive`: a clock for "before" and "after".
    step: u64,
    chance: u64,
}

impl Story {
    fn begin() -> Story {
        let gateway = Gateway::start();
        let keys = gateway.keys();
        let person = |number| {
            let user = name(number);
            Person::new(&user, &keys.token(&user), gateway.addr())
        };
        let people = (0..PEOPLE).map(person).collect();
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).expect("the system has random bytes");
        let chance = u64::from_le_bytes(seed) | 1;
        Story { gateway, people, sent: Vec::new(), acknowledged: BTreeMap::new(), step: 0, chance }
    }

    /// Load for as long as chance wants, then the kill in the middle of it, then a new start.
    fn run_until_killed(&mut self, round: usize) {
        let goal = self.acknowledged.len() + 50 + self.below(400);
        let mut patience = 20_000;
        while self.acknowledged.len() < goal {
            self.go_on();
            patience -= 1;
            assert!(patience > 0, "round {round}: {} of {goal} acknowledged, then nothing", self.acknowledged.len());
        }
        self.gateway.kill();
        self.gateway = self.gateway.start_again();
        let addr = self.gateway.addr();
        for person in &mut self.people {
            person.moves_to(addr);
        }
    }

    /// Somebody says something, comes or goes; then everybody does what can be done.
    fn go_on(&mut self) {
        let waiting: usize = self.people.iter().map(Person::waiting_count).sum();
        for _ in 0..self.below(8).min(IN_FLIGHT.saturating_sub(waiting)) {
            let (from, to) = (self.below(PEOPLE), self.below(PEOPLE));
            self.people[from].send(&name(to), &self.sent.len().to_string());
            self.sent.push((from, to, self.step));
        }
        let who = self.below(PEOPLE * 20);
        if who < PEOPLE {
            if self.people[who].is_away() {
                let addr = self.gateway.addr();
                self.people[who].comes_back(addr);
            } else if self.people.iter().filter(|person| person.is_away()).count() < PEOPLE / 3 {
                self.people[who].goes_away();
            }
        }
        self.step += 1;
        drive(&mut self.people, Duration::from_millis(20));
        self.note_acknowledgements();
    }

    fn note_acknowledgements(&mut self) {
        for person in &mut self.people {
            for (body, _) in person.take_safe() {
                let message = body.parse().expect("bodies are numbers");
                let before = self.acknowledged.insert(message, self.step);
                assert_eq!(before, None, "{message} was acknowledged twice");
            }
            assert_eq!(person.refused(), [], "nothing is refused here");
        }
    }

    /// Everybody comes back, and everything is where it belongs.
    fn end(mut self) {
        let addr = self.gateway.addr();
        for person in self.people.iter_mut().filter(|person| person.is_away()) {
            person.comes_back(addr);
        }
        let expected = self.sent.len();
        drive_until("everything is safe and came", &mut self.people, |people| {
            people.iter().all(|person| person.waiting_count() == 0)
                && people.iter().map(Person::inbox_count).sum::<usize>() >= expected - to_self(&self.sent)
        });
        self.note_acknowledgements();
        assert_eq!(self.acknowledged.len(), self.sent.len());
        for to in 0..PEOPLE {
            self.check_inbox(to);
        }
        println!("{} messages, each once", self.sent.len());
    }

    fn check_inbox(&self, to: usize) {
        let inbox: Vec<usize> = self.people[to].inbox().iter().map(|body| body.parse().expect("a number")).collect();
        let got: BTreeSet<usize> = inbox.iter().copied().collect();
        let wanted: BTreeSet<usize> =
            (0..self.sent.len()).filter(|message| self.sent[*message].1 == to && self.sent[*message].0 != to).collect();
        assert_eq!(inbox.len(), got.len(), "{} got something twice", name(to));
        assert_eq!(got, wanted, "{} got something else than was sent", name(to));
        // What was acknowledged before another was sent stands before it, kill or not.
        for from in 0..PEOPLE {
            let messages = inbox.iter().filter(|message| self.sent[**message].0 == from);
            let mut latest_sent = 0;
            for message in messages {
                let (sent, acknowledged) = (self.sent[*message].2, self.acknowledged[message]);
                assert!(
                    acknowledged >= latest_sent,
                    "{message} from {} was safe at {acknowledged} and stands behind one sent at {latest_sent}",
                    name(from)
                );
                latest_sent = latest_sent.max(sent);
            }
        }
    }

    /// Marsaglia's xorshift.
    fn below(&mut self, bound: usize) -> usize {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        usize::try_from(self.chance >> 33).expect("31 bits") % bound
    }
}

fn name(number: usize) -> String {
    format!("person{number}")
}

/// A device does not get back what it sent itself.
fn to_self(sent: &[(usize, usize, u64)]) -> usize {
    sent.iter().filter(|(from, to, _)| from == to).count()
}
