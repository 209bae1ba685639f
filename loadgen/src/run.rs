//! A run, from its start to its report: starts the workers, gives the orders, decides when it is over.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::Options;
use crate::clock;
use crate::link::{Order, Part, Plan, Progress, Word, hear, say};
use crate::machine::{self, Ticks};
use crate::report::{Conditions, Report};
use crate::rng::Rng;
use crate::scenario::Scenario;

/// Does the run that the command line asks for.
///
/// # Errors
/// When it could not be done; what it found is in the report.
pub(crate) fn run(options: &Options) -> Result<Report> {
    let seed = getrandom::u64().context("no randomness from the system")?;
    let scenario = options.scenario(seed)?;
    let processes = machine::processes(scenario.users, options.processes, machine::raise_descriptor_count_max()?)?;
    let mut run = Run::start(options, scenario, processes, seed)?;
    let parts = run.conduct();
    run.bar.finish_and_clear();
    Ok(Report::new(&run.scenario, &run.conditions, &parts?))
}

struct Run {
    scenario: Scenario,
    workers: Vec<Worker>,
    words: Receiver<(usize, Option<Word>)>,
    conditions: Conditions,
    collect_timeout_ns: u64,
    bar: ProgressBar,
}

/// A child process; killed when it is dropped.
struct Worker {
    child: Child,
    orders: ChildStdin,
    progress: Progress,
    part: Option<Part>,
}

impl Run {
    fn start(options: &Options, scenario: Scenario, count: u32, seed: u64) -> Result<Run> {
        let token_key = token_key(options.token_key.as_deref())?;
        let target = options.target()?;
        let tls = options.tls()?;
        let (sender, words) = mpsc::channel();
        let mut rng = Rng::new(seed.rotate_left(32));
        let mut workers = Vec::new();
        for index in 0..count {
            let part = scenario.part(index, count);
            let plan = Plan {
                scenario: scenario.clone(),
                target,
                tls: tls.clone(),
                token_key: token_key.clone(),
                index,
                count,
                connect_rate: scenario.connects_per_s * part.len() as f64 / f64::from(scenario.users),
                ack_delay_ms: options.ack_delay,
                seed: rng.next_u64(),
            };
            workers.push(Worker::start(workers.len(), plan, sender.clone())?);
        }
        let conditions = Conditions {
            target: options.target_text().to_owned(),
            is_tls: tls.is_some(),
            is_local: target.ip().is_loopback(),
            ..Conditions::default()
        };
        Ok(Run {
            scenario,
            workers,
            words,
            conditions,
            collect_timeout_ns: u64::try_from(options.collect_timeout.as_nanos()).unwrap_or(u64::MAX),
            bar: bar(),
        })
    }

    /// All phases.
    fn conduct(&mut self) -> Result<Vec<Part>> {
        let users = self.scenario.users;
        let registered = self.log_in()?;
        ensure!(registered, "only {} of {users} users could log in{}", self.sum().registered, show_errors(&self.sum()));
        let start_ns = clock::now_ns() + START_DELAY_NS;
        self.order(&Order::Start { at_ns: start_ns })?;
        self.flow(start_ns)?;
        let away = self.scenario.away_count();
        let left = |sum: &Progress| {
            let missing = sum.acked.saturating_sub(sum.delivered);
            sum.unresolved() + missing + u64::from(away - sum.returned)
        };
        let mut settled_since = None;
        let all = left(&self.sum());
        self.wait_until("returns, outcomes and deliveries", all, |sum| {
            let left = left(sum);
            let now_ns = clock::now_ns();
            let since = if left == 0 { *settled_since.get_or_insert(now_ns) } else { now_ns };
            if left > 0 {
                settled_since = None;
            }
            // What comes twice comes a little later.
            (all.saturating_sub(left), now_ns.saturating_sub(since) >= SETTLE_NS)
        })?;
        self.order(&Order::Finish)?;
        self.collect_parts()
    }

    /// Everybody; false if nobody more could for the timeout. The bar tells how fast it goes.
    fn log_in(&mut self) -> Result<bool> {
        let users = self.scenario.users;
        let begun_ns = clock::now_ns();
        let bar = self.bar.clone();
        self.wait_until("users logged in", u64::from(users), |sum| {
            let took_s = clock::now_ns().saturating_sub(begun_ns) as f64 / 1e9;
            bar.set_message(format!("users logged in, {:.0} /s", f64::from(sum.registered) / took_s.max(0.001)));
            (u64::from(sum.registered), sum.registered == users)
        })
    }

    /// Until `done` says so; false if nothing moved for the timeout. `done` gives the position of the bar, too.
    fn wait_until(
        &mut self,
        what: &'static str,
        of: u64,
        mut done: impl FnMut(&Progress) -> (u64, bool),
    ) -> Result<bool> {
        self.bar.set_length(of);
        self.bar.set_message(what);
        let mut pulse = None;
        let mut moved_ns = clock::now_ns();
        loop {
            self.listen()?;
            let sum = self.sum();
            let (position, is_done) = done(&sum);
            self.bar.set_position(position);
            if is_done {
                return Ok(true);
            }
            if pulse != Some(sum.pulse()) {
                pulse = Some(sum.pulse());
                moved_ns = clock::now_ns();
            }
            if clock::now_ns() - moved_ns > self.collect_timeout_ns {
                return Ok(false);
            }
        }
    }

    /// The time in which messages leave.
    fn flow(&mut self, start_ns: u64) -> Result<()> {
        let duration_ns = self.scenario.duration_ns;
        let before = Ticks::now();
        self.conditions.started_s = clock::wall_s();
        self.bar.set_length(duration_ns / MS_NS);
        while clock::now_ns() < start_ns + duration_ns {
            self.listen()?;
            let sum = self.sum();
            self.bar.set_position(clock::now_ns().saturating_sub(start_ns) / MS_NS);
            self.bar.set_message(format!(
                "ms, {} online, {} sent, {} without an outcome",
                sum.online,
                sum.sent,
                sum.unresolved()
            ));
        }
        (self.conditions.machine_busy_pct, self.conditions.steal_pct) = Ticks::now().since(before);
        Ok(())
    }

    /// Hears what the workers say, or waits a moment if they are silent.
    fn listen(&mut self) -> Result<()> {
        let (index, word) = match self.words.recv_timeout(LISTEN_MAX) {
            Ok(word) => word,
            Err(RecvTimeoutError::Timeout) => return Ok(()),
            Err(RecvTimeoutError::Disconnected) => bail!("all workers are gone"),
        };
        let worker = self.workers.get_mut(index).expect("workers are numbered as they are kept");
        match word {
            Some(Word::Progress(progress)) => worker.progress = progress,
            Some(Word::Result(part)) => worker.part = Some(*part),
            Some(Word::Failed(why)) => bail!(why),
            None if worker.part.is_some() => {}
            None => bail!("worker {index} ended before its time"),
        }
        Ok(())
    }

    fn order(&mut self, order: &Order) -> Result<()> {
        for worker in &mut self.workers {
            say(&mut worker.orders, order)?;
        }
        Ok(())
    }

    fn collect_parts(&mut self) -> Result<Vec<Part>> {
        while self.workers.iter().any(|worker| worker.part.is_none()) {
            self.listen()?;
        }
        Ok(self.workers.iter_mut().filter_map(|worker| worker.part.take()).collect())
    }

    fn sum(&self) -> Progress {
        let mut sum = Progress::default();
        for worker in &self.workers {
            sum.add(&worker.progress);
        }
        sum
    }
}

impl Worker {
    fn start(index: usize, plan: Plan, words: Sender<(usize, Option<Word>)>) -> Result<Worker> {
        let program = std::env::current_exe().context("where is this program?")?;
        let mut child = Command::new(program)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a worker")?;
        let mut orders = child.stdin.take().expect("it is piped");
        let lines = BufReader::new(child.stdout.take().expect("it is piped"));
        say(&mut orders, &Order::Plan(Box::new(plan)))?;
        thread::spawn(move || {
            for line in lines.split(b'\n') {
                let word = line.map_err(anyhow::Error::from).and_then(|line| hear(&line));
                let word = word.unwrap_or_else(|error| Word::Failed(format!("{error:#}")));
                if words.send((index, Some(word))).is_err() {
                    return;
                }
            }
            // Nobody listens any more when the run is over.
            let _ = words.send((index, None));
        });
        Ok(Worker { child, orders, progress: Progress::default(), part: None })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else to do about either failure.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn token_key(path: Option<&Path>) -> Result<String> {
    match path {
        Some(path) => fs::read_to_string(path).with_context(|| format!("--token-key {}", path.display())),
        None => fs::read_to_string(DEV_KEY).with_context(|| {
            format!("{DEV_KEY}: where is the key that signs tokens? Give it with --token-key, or run from where `serve --dev` runs")
        }),
    }
}

/// Shown on a terminal only.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed_precise} {bar:24} {pos}/{len} {msg}");
    ProgressBar::new(0).with_style(style.expect("the template is right"))
}

fn show_errors(sum: &Progress) -> String {
    let list = sum.errors.iter().map(|(error, count)| format!("\n  {count} x {error}"));
    list.collect()
}

/// What `shardwire serve --dev` leaves in its default data directory.
const DEV_KEY: &str = "shardwire-data/dev-key.pem";
/// So that every worker hears of the start before it comes.
const START_DELAY_NS: u64 = 200 * MS_NS;
/// How long everything must be in place before the run is over.
const SETTLE_NS: u64 = 500 * MS_NS;
const LISTEN_MAX: Duration = Duration::from_millis(100);
const MS_NS: u64 = 1_000_000;
