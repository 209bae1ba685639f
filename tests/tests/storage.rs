//! The log on a disk that loses what was not synced, against a naive model, from one seed.
//!
//! `SHARDWIRE_SEEDS=n` runs that many seeds, `SHARDWIRE_SEED=n` one of them.

#![forbid(unsafe_code)]

#[path = "storage/driver.rs"]
mod driver;
#[path = "storage/model.rs"]
mod model;
#[path = "storage/surveyor.rs"]
mod surveyor;

use std::env;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use driver::{Driver, Tally};
use storage::Fault;

const SEED_COUNT: u64 = 300;
const STEP_COUNT: u64 = 600;

fn run(seed: u64, fault: Option<Fault>, tally: &mut Tally) -> Result<(), String> {
    let mut driver = Driver::new(seed, fault, tally);
    driver.open()?;
    for _ in 0..STEP_COUNT {
        driver.step()?;
    }
    driver.rot()?;
    driver.settle()
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn seeds() -> Range<u64> {
    match number("SHARDWIRE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SHARDWIRE_SEEDS").unwrap_or(SEED_COUNT),
    }
}

#[test]
fn what_was_durable_is_found_again_in_order() {
    let mut tally = Tally::default();
    for seed in seeds() {
        let result = catch_unwind(AssertUnwindSafe(|| run(seed, None, &mut tally)));
        if !matches!(result, Ok(Ok(()))) {
            panic!("{result:?}\nSHARDWIRE_SEED={seed} cargo test -p gateway-tests --test storage");
        }
    }
    println!("{tally:?}");
    if number("SHARDWIRE_SEED").is_none() {
        let unseen: Vec<_> = COVERED.iter().filter(|what| !tally.0.contains_key(*what)).collect();
        assert!(unseen.is_empty(), "never happened: {unseen:?}");
    }
}

/// What the default seeds must have brought about.
const COVERED: &[&str] = &[
    "crash",
    "crash in recovery",
    "restart",
    "torn tail",
    "damage",
    "unusable",
    "refused",
    "queue full",
    "no space",
    "full",
    "read-only",
    "read failed",
    "reclaimable",
];

/// A planted fault must be noticed within so many seeds.
const FAULT_SEED_COUNT: u64 = 1_000;

fn assert_noticed(fault: Fault) {
    let noticed = (0..FAULT_SEED_COUNT).find(|seed| {
        let result = catch_unwind(AssertUnwindSafe(|| run(*seed, Some(fault), &mut Tally::default())));
        !matches!(result, Ok(Ok(())))
    });
    assert!(noticed.is_some(), "{fault:?} was not noticed in {FAULT_SEED_COUNT} seeds");
}

#[test]
fn no_sync_in_recovery_is_noticed() {
    assert_noticed(Fault::NoSyncInRecovery);
}

#[test]
fn acknowledging_before_the_sync_is_noticed() {
    assert_noticed(Fault::AcknowledgeBeforeSync);
}

#[test]
fn no_check_of_the_generation_is_noticed() {
    assert_noticed(Fault::NoGenerationCheck);
}

#[test]
fn truncating_at_the_first_bad_batch_is_noticed() {
    assert_noticed(Fault::TruncateAtFirstBadBatch);
}

#[test]
fn no_attest_is_noticed() {
    assert_noticed(Fault::NoAttest);
}

#[test]
fn a_tail_that_is_not_zeroed_is_noticed() {
    assert_noticed(Fault::NoZeroedTail);
}
