//! `cargo xtask test`: everything that must pass before a change is done, as a list of steps.
//!
//! All steps run, whatever failed before: one run tells all. Tests, clippy and documents share one set of features (all there are:
//! planted faults, every adapter) and one profile, and only the two programs are built with optimisation and without the faults,
//! since on a small machine each further set costs minutes.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::{
    r#gen, run,
    run::{cargo, is_installed},
    tally::Tally,
    target_dir,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A missing tool is a failure, not a skipped step
    #[arg(long)]
    strict: bool,
    /// Leave out a step; may be repeated
    #[arg(long, value_name = "STEP", conflicts_with = "strict")]
    skip: Vec<Step>,
    /// Do this step alone; may be repeated
    #[arg(long, value_name = "STEP", conflicts_with = "skip")]
    only: Vec<Step>,
}

/// What is checked, in this order: what answers soonest comes first.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// rustfmt has nothing to change
    Format,
    /// The checked-in generated code is what its schemas give
    Gen,
    /// Licences, sources and bans of all dependencies
    Deny,
    /// clippy has nothing to say, about benches and examples neither
    Clippy,
    /// The documents build without a warning
    Docs,
    /// The two programs that the end-to-end tests run
    Build,
    /// Unit, golden, tidy, simulation, crash and end-to-end tests, and one pass of each bench
    Tests,
    /// The examples in the documents
    DocTests,
}

/// How a step ended.
enum End {
    Passed,
    Failed(anyhow::Error),
    /// And what to install.
    Skipped(&'static str),
}

pub(crate) fn test(args: &Args) -> Result<ExitCode> {
    let mut report = Vec::new();
    let mut tally = Tally::default();
    let is_wanted = |step: &&Step| !args.skip.contains(step) && (args.only.is_empty() || args.only.contains(step));
    for step in Step::value_variants().iter().filter(is_wanted) {
        let begin = Instant::now();
        println!("\n==> {}: {}", step.name(), step.help());
        let end = match step.missing_tool() {
            Some(advice) if args.strict => End::Failed(anyhow::anyhow!("{advice}")),
            Some(advice) => End::Skipped(advice),
            None => step.run(args.strict, &mut tally).map_or_else(End::Failed, |()| End::Passed),
        };
        if let End::Failed(error) = &end {
            eprintln!("error: {}: {error:#}", step.name());
        }
        report.push((step, end, begin.elapsed()));
    }
    Ok(summarise(&report, tally))
}

impl Step {
    fn run(self, strict: bool, tally: &mut Tally) -> Result<()> {
        match self {
            Step::Format => cargo().args(["fmt", "--all", "--check"]).run(),
            Step::Gen => r#gen::r#gen(true),
            Step::Deny => cargo().args(["deny", "check", "bans", "licenses", "sources"]).run(),
            Step::Clippy => {
                let targets = ["clippy", "--locked", "--workspace", "--all-features", "--all-targets"];
                cargo().args(targets).args(["--", "-D", "warnings"]).run()
            }
            Step::Docs => {
                let doc = cargo().args(["doc", "--locked", "--workspace", "--all-features", "--no-deps"]);
                doc.env("RUSTDOCFLAGS", "-D warnings").run()
            }
            Step::Build => build(),
            Step::Tests => cargo_test(&["--all-targets"], strict, tally),
            Step::DocTests => cargo_test(&["--doc"], strict, tally),
        }
    }

    /// What to install, if this step cannot be run here.
    fn missing_tool(self) -> Option<&'static str> {
        match self {
            Step::Gen if !is_installed("node", &["--version"]) || !is_installed("npm", &["--version"]) => {
                Some("node and npm are missing: apt-get install nodejs npm")
            }
            Step::Deny if !is_installed("cargo", &["deny", "--version"]) => {
                Some("cargo-deny is missing: cargo install --locked cargo-deny")
            }
            _ => None,
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    fn help(self) -> String {
        self.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }
}

/// Without the packages that plant faults, which share a build with the tests.
fn build() -> Result<()> {
    cargo().args(["build", "--locked", "--release", "--package", "gateway", "--package", "loadgen"]).run()
}

fn cargo_test(targets: &[&str], strict: bool, tally: &mut Tally) -> Result<()> {
    let mut command = run::cargo()
        .args(["test", "--locked", "--workspace", "--all-features", "--no-fail-fast"])
        .args(targets.iter().copied())
        .env("SHARDWIRE_SIM_SECONDS", "60");
    // Up to date, or not handed over at all: a test of yesterday's program would pass for nothing.
    if build().is_ok() {
        let release = target_dir()?.join("release");
        command = command.env("SHARDWIRE_BIN", release.join("shardwire")).env("LOADGEN_BIN", release.join("loadgen"));
    }
    if strict {
        command = command.env("SHARDWIRE_STRICT", "1");
    }
    let (run_tally, end) = command.run_tests()?;
    tally.add(run_tally);
    if end.is_ok() && targets.contains(&"--all-targets") && run_tally.passed == 0 {
        bail!("no test ran");
    }
    end
}

/// Prints one line a step, and the total as the last line of all.
fn summarise(report: &[(&Step, End, Duration)], tally: Tally) -> ExitCode {
    println!();
    for (step, end, took) in report {
        let verdict = match end {
            End::Passed => "ok".to_owned(),
            End::Failed(error) => format!("FAILED: {error:#}"),
            End::Skipped(why) => format!("SKIPPED: {why}"),
        };
        println!("{:10} {:4} s  {verdict}", step.name(), took.as_secs());
    }
    let is_failed = report.iter().any(|(_, end, _)| matches!(end, End::Failed(_)));
    if is_failed {
        println!("\nThe gate is closed: a step failed.");
    }
    println!();
    let ignored = match tally.ignored {
        0 => String::new(),
        count => format!(", {count} skipped"),
    };
    println!("{} passed, {} failed{ignored}", tally.passed, tally.failed);
    if is_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
