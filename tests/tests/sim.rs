//! The whole gateway, simulated: `docs/delivery.md` holds in any order of events, or a seed says where it does not.
//!
//! `docs/testing.md` says how to replay a seed.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gateway_tests::sim::fault;
use gateway_tests::sim::run::{Failure, run};
use gateway_tests::sim::tally::Tally;
use gateway_tests::sim::trace::Trace;

/// Runs seeds from `first` on, on all processors, while `goes_on` says so of how many were begun, and panics with the first
/// broken promise.
fn run_all(first: u64, goes_on: impl Fn(u64) -> bool + Sync) -> Tally {
    let (next, has_failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let run_some = || -> Result<Tally, Box<Failure>> {
        let mut tally = Tally::default();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if has_failed.load(Ordering::Relaxed) || !goes_on(at) {
                return Ok(tally);
            }
            let outcome = run(first + at, None, Trace::default());
            has_failed.fetch_or(outcome.is_err(), Ordering::Relaxed);
            tally.add(&outcome?);
        }
    };
    let thread_count = std::thread::available_parallelism().map_or(1, usize::from);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..thread_count).map(|_| scope.spawn(run_some)).collect();
        threads.into_iter().map(|thread| thread.join().expect("it has said what panicked")).collect()
    });
    let mut tally = Tally::default();
    for outcome in outcomes {
        tally.add(&outcome.unwrap_or_else(|failure| panic!("{failure}")));
    }
    tally
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")))
}

#[test]
fn fixed_seeds_keep_every_promise_and_reach_every_edge() {
    let tally = run_all(0, |at| at < 400);
    for edge in EDGES {
        assert!(tally.of(edge) > 0, "no seed reached: {edge}\n{tally}");
    }
    println!("{tally}");
}

/// What a simulation that proves something must have been through.
const EDGES: [&str; 42] = [
    "account disabled",
    "account done",
    "account purged",
    "account refused",
    "bad credential",
    "blocked",
    "clock set back",
    "clock set forward",
    "commit failed",
    "could not start",
    "crash",
    "delivered ephemeral",
    "disk full",
    "drained",
    "link cut",
    "logged out",
    "login void",
    "moved",
    "part of a slot",
    "name free again",
    "read failed",
    "reading paused",
    "registers",
    "refused: inbox full",
    "refused: storage full",
    "refused: unknown recipient",
    "replaced",
    "segment begun",
    "segment recycled",
    "shown",
    "shown ephemeral",
    "shown self-copy",
    "store failed",
    "successor",
    "told of drain",
    "told received",
    "told refused",
    "told refused, not known",
    "told stored",
    "torn tail",
    "void login",
    "wiped",
];

/// As many as `SHARDWIRE_SEEDS` says, or for as long as `SHARDWIRE_SIM_SECONDS` says.
#[test]
fn fresh_seeds_keep_every_promise() {
    let first = RandomState::new().build_hasher().finish() >> 16;
    println!("seeds from {first}");
    let until = number("SHARDWIRE_SIM_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let count = number("SHARDWIRE_SEEDS").unwrap_or(if until.is_some() { u64::MAX } else { 50 });
    let tally = run_all(first, |at| at < count && until.is_none_or(|until| Instant::now() < until));
    println!("{tally}");
}

#[test]
#[ignore = "takes a minute or two with optimisation, and longer without"]
fn ten_thousand_seeds_keep_every_promise() {
    println!("{}", run_all(0, |at| at < 10_000));
}

/// For a person: one seed again, with everything that happens in it.
#[test]
fn replay() {
    let Some(seed) = number("SHARDWIRE_SEED") else { return };
    let fault = std::env::var("SHARDWIRE_FAULT").ok();
    match run(seed, fault.as_deref(), Trace::printing()) {
        Ok(tally) => println!("seed {seed} keeps every promise\n{tally}"),
        Err(failure) => panic!("{failure}"),
    }
}

/// For a person: how the first `SHARDWIRE_SURVEY` seeds fail, alike failures together.
#[test]
fn survey() {
    let Some(count) = number("SHARDWIRE_SURVEY") else { return };
    let fault = std::env::var("SHARDWIRE_FAULT").ok();
    let mut kinds = BTreeMap::<String, Vec<u64>>::new();
    for seed in 0..count {
        if let Some(text) = failure(seed, fault.as_deref()) {
            kinds.entry(text.replace(|c: char| c.is_ascii_digit(), "")).or_default().push(seed);
        }
    }
    for (kind, seeds) in kinds {
        println!("{:>6} {kind}\n       {:?}", seeds.len(), &seeds[..seeds.len().min(8)]);
    }
}

#[test]
fn each_planted_fault_is_caught() {
    for (name, _, _) in fault::ALL {
        let caught = (0..1_000).find_map(|seed| failure(seed, Some(name)).map(|text| (seed, text)));
        let Some((seed, text)) = caught else { panic!("{name} went unnoticed for 1,000 seeds") };
        println!("{name}: seed {seed}: {text}");
    }
}

/// How a seed fails, if it does; a panic in the gateway is a failure too.
fn failure(seed: u64, fault: Option<&str>) -> Option<String> {
    match catch_unwind(|| run(seed, fault, Trace::default())) {
        Ok(outcome) => outcome.err().map(|failure| failure.text().to_owned()),
        Err(panic) => {
            Some(format!("panic: {}", panic.downcast_ref::<String>().map_or("of another kind", String::as_str)))
        }
    }
}
