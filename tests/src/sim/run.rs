//! Runs one seed, and says how to see it again if it fails.

use std::fmt;

use super::fault;
use super::rng::Rng;
use super::tally::Tally;
use super::trace::Trace;
use super::workload::Profile;
use super::world::World;

/// A broken promise.
#[derive(Debug, Clone)]
pub struct Failure {
    seed: u64,
    fault: Option<String>,
    profile: &'static str,
    text: String,
}

impl Failure {
    /// Which promise was broken, and how.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {} ({}): {}\nsee it happen: {}",
            self.seed,
            self.profile,
            self.text,
            command(self.seed, self.fault.as_deref())
        )
    }
}

/// The command that replays a seed with a trace.
pub fn command(seed: u64, fault: Option<&str>) -> String {
    let fault = fault.map(|fault| format!("SHARDWIRE_FAULT={fault} ")).unwrap_or_default();
    format!("SHARDWIRE_SEED={seed} {fault}cargo test -p gateway-tests --release --test sim -- replay --nocapture")
}

/// Says which seed it was when something in the gateway panics.
struct Announcement<'a>(u64, Option<&'a str>);

impl Drop for Announcement<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("a panic in seed {}\nsee it happen: {}", self.0, command(self.0, self.1));
        }
    }
}

/// Runs one seed, perhaps with a planted fault, which then has its own profile.
///
/// # Errors
/// The first broken promise.
///
/// # Panics
/// When the code under test does; the seed is printed first. When there is no such fault.
pub fn run(seed: u64, fault: Option<&str>, trace: Trace) -> Result<Tally, Box<Failure>> {
    let _announcement = Announcement(seed, fault);
    let mut rng = Rng::new(seed);
    let planted = fault.map(|name| fault::by_name(name).unwrap_or_else(|| panic!("no fault is called {name}")));
    let any = Profile::any(&mut rng);
    let profile = planted.map_or(any, |(_, name)| Profile::by_name(name).expect("the list of faults names profiles"));
    let mut world = World::new(rng, profile, planted.map(|(planted, _)| planted), trace);
    let acts: [fn(&mut World); 4] = [
        World::live,
        |world| world.rest(true),
        |world| {
            world.crash(true);
            world.rest(false);
        },
        World::judge,
    ];
    for act in acts {
        act(&mut world);
        if let Some(text) = world.model.violation.take() {
            return Err(Box::new(Failure { seed, fault: fault.map(str::to_owned), profile: profile.name, text }));
        }
    }
    Ok(world.model.tally)
}
