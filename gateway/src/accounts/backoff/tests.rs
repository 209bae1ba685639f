use super::super::queue::{Queue, Waiting};
use super::*;

const SECOND: u64 = SECOND_US;
const HASH_US: u64 = 25_000;

fn ip(number: u32) -> IpAddr {
    IpAddr::V4((0x0a00_0000 + number).into())
}

/// One thread that hashes, a queue before it, and time that is advanced by hand: what the accounts thread does, without it.
struct World {
    backoff: Backoff,
    queue: Queue<Try>,
    now_us: u64,
    /// What is hashed, and when it is done.
    hashing: Option<(u64, Waiting<Try>, Stake)>,
    done: Vec<Done>,
    /// From the queue, by others.
    displaced: Vec<Try>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Try {
    /// To find it again.
    tag: u32,
    is_right: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Done {
    tag: u32,
    waited_us: u64,
    is_hashed: bool,
}

/// What an attempt heard at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Queued,
    Busy,
    Wait(u32),
}

impl World {
    fn new() -> World {
        World {
            backoff: Backoff::new(RandomState::new(), 1),
            queue: Queue::new(1),
            now_us: 1_000 * SECOND,
            hashing: None,
            done: Vec::new(),
            displaced: Vec::new(),
        }
    }

    fn tries(&mut self, user: &str, address: IpAddr, tag: u32, is_right: bool) -> Told {
        let who = self.backoff.who(user, address);
        match self.backoff.admit(self.now_us, &who, Attempt::Login) {
            Err(wait) => Told::Wait(wait.retry_ms),
            Ok(class) => {
                let waiting = Waiting { since_us: self.now_us, class, who, item: Try { tag, is_right } };
                match self.queue.push(waiting) {
                    Ok(displaced) => {
                        self.displaced.extend(displaced);
                        Told::Queued
                    }
                    Err(_) => Told::Busy,
                }
            }
        }
    }

    fn guesses(&mut self, user: &str, address: IpAddr) -> Told {
        self.tries(user, address, 0, false)
    }

    /// A millisecond passes.
    fn step(&mut self) {
        self.now_us += 1_000;
        if self.hashing.as_ref().is_some_and(|(at_us, ..)| *at_us <= self.now_us) {
            let (_, waiting, stake) = self.hashing.take().unwrap();
            self.backoff.settle(self.now_us, &waiting.who, stake, waiting.item.is_right);
            self.queue.on_done(HASH_US);
            self.done(&waiting, true);
        }
        while self.hashing.is_none() {
            let Some(waiting) = self.queue.pop(self.now_us) else { break };
            let class = self.backoff.admit(self.now_us, &waiting.who, Attempt::Login);
            if waiting.class == Class::Fresh && class == Ok(Class::Suspect) {
                if let Ok(Some(other)) | Err(other) = self.queue.push(Waiting { class: Class::Suspect, ..waiting }) {
                    self.displaced.push(other);
                }
                continue;
            }
            match self.backoff.begin(self.now_us, &waiting.who, Attempt::Login) {
                Ok(stake) => {
                    self.queue.on_begun(waiting.class, self.now_us);
                    self.hashing = Some((self.now_us + HASH_US, waiting, stake));
                }
                Err(_) => self.done(&waiting, false),
            }
        }
    }

    fn done(&mut self, waiting: &Waiting<Try>, is_hashed: bool) {
        let waited_us = self.now_us - waiting.since_us;
        self.done.push(Done { tag: waiting.item.tag, waited_us, is_hashed });
    }

    fn run(&mut self, time_us: u64) {
        let end_us = self.now_us + time_us;
        while self.now_us < end_us {
            self.step();
        }
    }

    fn hash_count(&self, tag: u32) -> usize {
        self.done.iter().filter(|done| done.tag == tag && done.is_hashed).count()
    }

    /// Logs in until it is done, as a client does that comes back when it was told to. How long that took.
    fn logs_in(&mut self, user: &str, address: IpAddr, mut meanwhile: impl FnMut(&mut World)) -> u64 {
        let begin_us = self.now_us;
        let mut again_us = self.now_us;
        while self.hash_count(OWNER) == 0 {
            if self.now_us >= again_us {
                again_us = match self.tries(user, address, OWNER, true) {
                    Told::Queued => u64::MAX,
                    Told::Busy => self.now_us + SECOND,
                    Told::Wait(ms) => self.now_us + u64::from(ms) * 1_000,
                };
            }
            meanwhile(self);
            if std::mem::take(&mut self.displaced).iter().any(|other| other.tag == OWNER) {
                again_us = self.now_us + SECOND;
            }
            self.step();
            assert!(self.now_us < begin_us + 7_200 * SECOND, "kept out");
        }
        self.done.retain(|done| done.tag != OWNER);
        self.now_us - begin_us
    }
}

const OWNER: u32 = 1;

#[test]
fn an_address_guesses_six_times_at_an_account_and_then_once_in_ten_minutes() {
    let mut world = World::new();
    for _ in 0..3_660 {
        world.guesses("alice", ip(1));
        world.run(SECOND);
    }
    assert_eq!(world.hash_count(0), 6 + 6, "six at once, six in an hour");
}

#[test]
fn an_address_guesses_thirty_times_at_many_accounts_and_then_once_in_twenty_seconds() {
    let mut world = World::new();
    for number in 0..600 {
        for name in 0..10 {
            world.guesses(&format!("user-{number}-{name}"), ip(1));
        }
        world.run(SECOND);
    }
    let count = world.hash_count(0);
    assert!(count <= 30 + 600 / 20, "{count}");
}

#[test]
fn a_thousand_addresses_together_guess_once_in_two_seconds_at_an_account() {
    let mut world = World::new();
    for second in 0..300 {
        for number in 0..100 {
            world.guesses("alice", ip((second * 100 + number) % 1_000));
        }
        world.run(SECOND);
    }
    let count = world.hash_count(0);
    assert!((12..=12 + 300 / 2).contains(&count), "{count}");
}

#[test]
fn an_owner_at_a_known_address_does_not_notice_an_attack_on_his_account() {
    let mut world = World::new();
    world.logs_in("alice", ip(9_999), |_| {});
    let mut number = 0;
    let mut attack = |world: &mut World| {
        number += 1;
        world.guesses("alice", ip(number % 500));
    };
    for _ in 0..60_000 {
        attack(&mut world);
        world.step();
    }
    for _ in 0..50 {
        let took_us = world.logs_in("alice", ip(9_999), &mut attack);
        assert!(took_us <= 3 * HASH_US, "{took_us} µs");
    }
}

#[test]
fn an_owner_at_a_new_address_waits_two_seconds_for_each_address_that_guesses_at_his_account() {
    for address_count in [1, 20, 200] {
        let mut world = World::new();
        let mut number = 0;
        // A thousand guesses a second.
        let mut attack = |world: &mut World| {
            number += 1;
            world.guesses("alice", ip(number % address_count));
        };
        for _ in 0..30_000 {
            attack(&mut world);
            world.step();
        }
        let took_us = world.logs_in("alice", ip(9_999), &mut attack);
        let limit_us = (u64::from(address_count) * 2 + 2) * SECOND;
        assert!(took_us <= limit_us, "{address_count} addresses: {} s", took_us / SECOND);
        // From then on he is known there.
        let took_us = world.logs_in("alice", ip(9_999), &mut attack);
        assert!(took_us <= 3 * HASH_US, "{took_us} µs");
    }
}

#[test]
fn honest_logins_beside_a_thousand_wrong_passwords_a_second() {
    // At one account, at many from few addresses, and at many from the address that the honest share.
    for (address_count, account_count) in [(1, 1), (10, 1_000), (50, 1)] {
        let mut world = World::new();
        for user in 0..20 {
            world.logs_in(&format!("honest-{user}"), ip(user % 10), |_| {});
        }
        world.done.clear();
        for ms in 0..60_000u32 {
            world.guesses(&format!("user-{}", ms % account_count), ip(ms % address_count));
            if ms % 100 == 0 {
                let user = ms / 100 % 20;
                let told = world.tries(&format!("honest-{user}"), ip(user % 10), OWNER, true);
                assert_eq!(told, Told::Queued);
            }
            world.step();
        }
        world.run(SECOND);
        assert_eq!(world.hash_count(OWNER), 600, "none is refused");
        let mut waits: Vec<_> = world.done.iter().filter(|done| done.tag == OWNER).map(|done| done.waited_us).collect();
        waits.sort_unstable();
        let p99_us = waits[waits.len() * 99 / 100];
        assert!(p99_us <= 8 * HASH_US, "{address_count} addresses, {account_count} accounts: p99 {p99_us} µs");
        // Of sixty thousand guesses so many were hashed.
        let guess_count = world.hash_count(0);
        assert!(guess_count <= 600, "{address_count} addresses, {account_count} accounts: {guess_count} guesses");
    }
}

#[test]
fn honest_strangers_wait_behind_few_when_guesses_come_from_many_addresses() {
    let mut world = World::new();
    let mut number = 0;
    // Each address and account is new: nothing tells them from honest ones but that they are many.
    let mut attack = |world: &mut World| {
        number += 1;
        if number % 50 == 0 {
            world.guesses(&format!("user-{number}"), ip(number));
        }
    };
    for user in 0..20 {
        let took_us = world.logs_in(&format!("honest-{user}"), ip(900_000 + user), &mut attack);
        assert!(took_us <= SECOND, "{took_us} µs");
    }
}

#[test]
fn an_honest_stranger_gets_in_while_a_thousand_guesses_a_second_fill_the_queue() {
    let mut world = World::new();
    let mut number = 0;
    // Each from one of two hundred addresses and at an account of its own.
    let mut attack = |world: &mut World| {
        number += 1;
        world.guesses(&format!("user-{number}"), ip(number % 200));
    };
    for _ in 0..1_000 {
        attack(&mut world);
        world.step();
    }
    // At first their addresses are as good as his: he waits for each of them once. Then they are suspects.
    let took_us = world.logs_in("honest-0", ip(900_000), &mut attack);
    assert!(took_us <= 6 * SECOND, "{took_us} µs");
    for _ in 0..20_000 {
        attack(&mut world);
        world.step();
    }
    for user in 1..20 {
        let took_us = world.logs_in(&format!("honest-{user}"), ip(900_000 + user), &mut attack);
        assert!(took_us <= 8 * HASH_US, "{took_us} µs");
    }
}

#[test]
fn a_right_password_costs_nothing() {
    let mut world = World::new();
    for _ in 0..1_000 {
        world.logs_in("alice", ip(1), |_| {});
    }
    for number in 0..1_000 {
        world.logs_in(&format!("user-{number}"), ip(2), |_| {});
    }
}

#[test]
fn a_right_password_does_not_take_back_wrong_ones() {
    let mut world = World::new();
    // With an account of his own an attacker cannot clean his address.
    for number in 0..30 {
        world.guesses(&format!("user-{number}"), ip(1));
        world.run(SECOND / 4);
        world.logs_in("mallory", ip(1), |_| {});
    }
    assert!(matches!(world.guesses("alice", ip(1)), Told::Wait(_)));
}

#[test]
fn a_turn_belongs_to_who_was_given_it_and_is_good_for_a_minute() {
    let mut world = World::new();
    for number in 0..12 {
        world.guesses("alice", ip(number));
        world.run(SECOND / 10);
    }
    let Told::Wait(first_ms) = world.guesses("alice", ip(100)) else { panic!("it is full") };
    let Told::Wait(second_ms) = world.guesses("alice", ip(101)) else { panic!("it is full") };
    assert_eq!(second_ms, first_ms + 2_000);
    // Whoever asks again has the same turn.
    assert_eq!(world.guesses("alice", ip(100)), Told::Wait(first_ms));
    world.run(u64::from(first_ms) * 1_000);
    assert!(matches!(world.guesses("alice", ip(101)), Told::Wait(_)));
    assert_eq!(world.guesses("alice", ip(100)), Told::Queued);
    world.run(SECOND);
    // Who comes late is a stranger as before; by then the bucket has room again.
    world.run(70 * SECOND);
    let who = world.backoff.who("alice", ip(101));
    assert_eq!(world.backoff.admit(world.now_us, &who, Attempt::Login), Ok(Class::Fresh));
}

#[test]
fn an_ipv6_subscriber_is_one_address() {
    let backoff = Backoff::new(RandomState::new(), 1);
    let who = |address: &str| backoff.who("alice", address.parse().unwrap());
    assert_eq!(who("2001:db8:1:2::1"), who("2001:db8:1:2:ffff::9"));
    assert_ne!(who("2001:db8:1:2::1").address, who("2001:db8:1:3::1").address);
    assert_eq!(who("::ffff:10.0.0.1"), who("10.0.0.1"));
    assert_ne!(who("10.0.0.1").address, who("10.0.0.2").address);
    assert_eq!(who("10.0.0.1").account, who("10.0.0.2").account);
}

#[test]
fn inside_a_session_guesses_are_counted_too() {
    let mut backoff = Backoff::new(RandomState::new(), 1);
    let who = backoff.who("alice", ip(1));
    for _ in 0..10 {
        let stake = backoff.begin(SECOND, &who, Attempt::Inside).unwrap();
        backoff.settle(SECOND, &who, stake, false);
    }
    assert!(backoff.begin(SECOND, &who, Attempt::Inside).is_err());
    assert!(backoff.admit(61 * SECOND, &who, Attempt::Inside).is_ok());
}

#[test]
fn an_address_makes_sixty_accounts_and_then_one_a_minute() {
    let mut backoff = Backoff::new(RandomState::new(), 1);
    let register = |backoff: &mut Backoff, number: u32, address, now_us| {
        let who = backoff.who(&format!("user-{number}"), address);
        let stake = backoff.begin(now_us, &who, Attempt::Register)?;
        backoff.settle(now_us, &who, stake, true);
        Ok(())
    };
    for number in 0..60 {
        assert_eq!(register(&mut backoff, number, ip(1), SECOND), Ok(()));
    }
    assert_eq!(register(&mut backoff, 60, ip(1), SECOND), Err(Wait { retry_ms: 60_000 }));
    assert_eq!(register(&mut backoff, 60, ip(2), SECOND), Ok(()));
    assert_eq!(register(&mut backoff, 60, ip(1), 61 * SECOND), Ok(()));
    // They are no wrong passwords: who logs in from there is no suspect.
    let who = backoff.who("alice", ip(1));
    assert_eq!(backoff.admit(61 * SECOND, &who, Attempt::Login), Ok(Class::Fresh));
}

#[test]
fn who_wrong_passwords_are_held_against_makes_no_accounts() {
    let mut world = World::new();
    for number in 0..30 {
        world.guesses(&format!("user-{number}"), ip(1));
        world.run(SECOND / 4);
    }
    let who = world.backoff.who("mallory", ip(1));
    assert!(world.backoff.admit(world.now_us, &who, Attempt::Register).is_err());
}

#[test]
fn who_made_an_account_is_known_to_it_and_who_came_too_late_is_not() {
    let mut backoff = Backoff::new(RandomState::new(), 1);
    for (address, is_made, class) in [(ip(1), true, Class::Known), (ip(2), false, Class::Fresh)] {
        let who = backoff.who("alice", address);
        let stake = backoff.begin(SECOND, &who, Attempt::Register).unwrap();
        backoff.settle(SECOND, &who, stake, is_made);
        assert_eq!(backoff.admit(SECOND, &who, Attempt::Login), Ok(class));
    }
}
