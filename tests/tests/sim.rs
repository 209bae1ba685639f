//! The whole gateway, simulated: `docs/delivery.md` holds in any order of events, or a seed says where it does not.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use gateway_tests::sim::fault;
use gateway_tests::sim::run::{Failure, run};
use gateway_tests::sim::tally::Tally;
use gateway_tests::sim::trace::Trace;

/// Runs seeds and panics with the first broken promise.
fn run_all(seeds: impl IntoIterator<Item = u64>) -> Tally {
    let mut tally = Tally::default();
    for seed in seeds {
        match run(seed, None, Trace::default()) {
            Ok(one) => tally.add(&one),
            Err(failure) => panic!("{failure}"),
        }
    }
    tally
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")))
}

#[test]
fn fixed_seeds() {
    let tally = run_all(0..400);
    println!("{tally}");
}

#[test]
fn fresh_seeds() {
    let base = RandomState::new().build_hasher().finish() >> 16;
    let count = number("SHARDWIRE_SEEDS").unwrap_or(50);
    let until = number("SHARDWIRE_SIM_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    println!("seeds from {base}");
    let seeds =
        (base..).enumerate().take_while(|(at, _)| until.map_or((*at as u64) < count, |until| Instant::now() < until));
    let tally = run_all(seeds.map(|(_, seed)| seed));
    println!("{tally}");
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

/// For a person: how the first `SHARDWIRE_SURVEY` seeds fail, alike failures together, panics too.
#[test]
fn survey() {
    let Some(count) = number("SHARDWIRE_SURVEY") else { return };
    let fault = std::env::var("SHARDWIRE_FAULT").ok();
    let mut kinds = BTreeMap::<String, (u64, Vec<u64>)>::new();
    for seed in 0..count {
        let outcome = catch_unwind(|| run(seed, fault.as_deref(), Trace::default()));
        let text = match outcome {
            Ok(Ok(_)) => continue,
            Ok(Err(failure)) => failure.to_string(),
            Err(panic) => format!("panic: {:?}", panic.downcast_ref::<String>()),
        };
        let first_line = text.lines().next().unwrap_or_default();
        let shape: String =
            first_line.split_once("): ").map_or(first_line, |(_, rest)| rest).replace(|c: char| c.is_ascii_digit(), "");
        let kind = kinds.entry(shape).or_default();
        kind.0 += 1;
        kind.1.push(seed);
    }
    for (shape, (count, seeds)) in kinds {
        println!("{count:>6} {shape}\n       {:?}", &seeds[..seeds.len().min(8)]);
    }
}

#[test]
fn each_planted_fault_is_caught() {
    let only = std::env::var("SHARDWIRE_FAULT").ok();
    for (name, _, _) in fault::ALL {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let caught: Option<Box<Failure>> = (0..1_000).find_map(|seed| run(seed, Some(name), Trace::default()).err());
        match caught {
            Some(failure) => println!("{name}: {failure}\n"),
            None => panic!("{name} went unnoticed for 1,000 seeds"),
        }
    }
}
