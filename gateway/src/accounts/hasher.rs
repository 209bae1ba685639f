//! The threads that compute hashes, and nothing else. Each keeps its memory from one hash to the next.
//!
//! They run behind the shards (`nice`): on a machine that is busy with messages a login takes longer, and messages do not. They are not
//! bound to CPUs; the kernel puts them where there is time.

use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, unbounded};

use super::password::{Cost, Password, PasswordHash, Workbench};

/// What to compute.
pub(crate) struct Job {
    /// To find it again.
    pub(crate) id: u64,
    /// A password to check first, and against what: `None` when there is nobody of that name, which takes as long.
    pub(crate) check: Option<(Password, Option<PasswordHash>)>,
    /// A new password to hash, if the check was passed.
    pub(crate) make: Option<Password>,
}

/// What came out.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The job's.
    pub(crate) id: u64,
    /// The password was right, or there was none to check.
    pub(crate) is_right: bool,
    /// What the checked password was checked against.
    pub(crate) checked: Option<PasswordHash>,
    /// The hash of the new password. Without one: the right password's, if what is stored was made at another cost than
    /// new ones are.
    pub(crate) made: Option<PasswordHash>,
    /// How long it took.
    pub(crate) took: Duration,
}

/// The threads, seen from the one that gives them work.
pub(crate) struct Pool {
    jobs: Sender<Job>,
    idle_count: u16,
}

impl Pool {
    /// Starts so many threads; each calls a copy of `done` after each job.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(
        thread_count: u16,
        cost: Cost,
        done: impl Fn(Outcome) + Clone + Send + 'static,
    ) -> std::io::Result<Pool> {
        let (sender, jobs) = unbounded::<Job>();
        for number in 0..thread_count {
            let (jobs, done) = (jobs.clone(), done.clone());
            std::thread::Builder::new().name(format!("hash-{number:02}")).spawn(move || work(&jobs, cost, &done))?;
        }
        Ok(Pool { jobs: sender, idle_count: thread_count })
    }

    /// Whether a thread has nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.idle_count > 0
    }

    /// Gives work to an idle thread.
    pub(crate) fn give(&mut self, job: Job) {
        self.idle_count -= 1;
        // The threads live as long as this sender.
        let _ = self.jobs.send(job);
    }

    /// A thread has said that it is done.
    pub(crate) fn on_done(&mut self) {
        self.idle_count += 1;
    }
}

/// The body of a thread.
fn work(jobs: &Receiver<Job>, cost: Cost, done: &impl Fn(Outcome)) {
    // Lowers the calling thread only. It works without, too.
    let _ = rustix::process::nice(NICENESS);
    let mut bench = Workbench::default();
    for job in jobs {
        done(compute(&mut bench, job, cost));
    }
}

/// Does one job.
pub(crate) fn compute(bench: &mut Workbench, job: Job, cost: Cost) -> Outcome {
    let begin = Instant::now();
    let Job { id, check, make } = job;
    let (is_right, checked, old) = match check {
        None => (true, None, None),
        Some((password, stored)) => {
            let is_right = bench.verify(&password, stored.as_ref(), cost);
            (is_right, stored, stored.filter(|stored| stored.cost != cost).map(|_| password))
        }
    };
    let made = make.or(old).filter(|_| is_right).map(|password| bench.hash(&password, cost));
    Outcome { id, is_right, checked, made, took: begin.elapsed() }
}

/// A hash gets a third of what a busy shard on the same CPU gets: 60 ms instead of 20, and the shard stays fast. At 19, the weakest, it would
/// be a sixtieth, and logins would take seconds.
const NICENESS: i32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 64, pass_count: 1, lane_count: 1 };
    const CHEAPER: Cost = Cost { memory_kib: 32, pass_count: 1, lane_count: 1 };

    fn password(text: &str) -> Password {
        Password::from(Box::from(text))
    }

    fn job(check: Option<(&str, Option<PasswordHash>)>, make: Option<&str>) -> Job {
        let check = check.map(|(text, stored)| (password(text), stored));
        Job { id: 7, check, make: make.map(password) }
    }

    #[test]
    fn a_check_says_right_or_wrong_and_makes_nothing() {
        let mut bench = Workbench::default();
        let stored = bench.hash(&password("correct horse"), CHEAP);
        let outcome = compute(&mut bench, job(Some(("correct horse", Some(stored))), None), CHEAP);
        assert!(outcome.is_right && outcome.made.is_none() && outcome.checked == Some(stored) && outcome.id == 7);
        let outcome = compute(&mut bench, job(Some(("wrong horse", Some(stored))), None), CHEAP);
        assert!(!outcome.is_right && outcome.made.is_none());
    }

    #[test]
    fn a_right_password_is_hashed_anew_when_the_cost_has_changed() {
        let mut bench = Workbench::default();
        let stored = bench.hash(&password("correct horse"), CHEAPER);
        let made = compute(&mut bench, job(Some(("correct horse", Some(stored))), None), CHEAP).made.unwrap();
        assert_eq!(made.cost, CHEAP);
        assert!(bench.verify(&password("correct horse"), Some(&made), CHEAP));
        assert!(compute(&mut bench, job(Some(("wrong horse", Some(stored))), None), CHEAP).made.is_none());
    }

    #[test]
    fn a_new_password_is_hashed_only_behind_the_right_old_one() {
        let mut bench = Workbench::default();
        let stored = bench.hash(&password("correct horse"), CHEAP);
        let made = compute(&mut bench, job(Some(("correct horse", Some(stored))), Some("new horse")), CHEAP).made;
        assert!(bench.verify(&password("new horse"), made.as_ref(), CHEAP));
        assert!(compute(&mut bench, job(Some(("wrong", Some(stored))), Some("new horse")), CHEAP).made.is_none());
        let made = compute(&mut bench, job(None, Some("new horse")), CHEAP).made;
        assert!(bench.verify(&password("new horse"), made.as_ref(), CHEAP));
    }

    #[test]
    fn nobody_costs_the_same_work_as_a_wrong_password() {
        let mut bench = Workbench::default();
        let stored = bench.hash(&password("correct horse"), CHEAP);
        let mut work_of = |stored| {
            let before = bench.work_kib();
            assert!(!compute(&mut bench, job(Some(("wrong horse", stored)), Some("new horse")), CHEAP).is_right);
            bench.work_kib() - before
        };
        assert_eq!(work_of(Some(stored)), work_of(None));
    }

    #[test]
    fn threads_do_what_they_are_given_and_end_with_the_pool() {
        let (sender, outcomes) = unbounded();
        let mut pool = Pool::start(2, CHEAP, move |outcome| sender.send(outcome).unwrap()).unwrap();
        for id in 0..2 {
            assert!(pool.is_idle());
            pool.give(Job { id, check: None, make: Some(password("correct horse")) });
        }
        assert!(!pool.is_idle());
        let mut ids: Vec<_> = (0..2).map(|_| outcomes.recv().unwrap().id).collect();
        ids.sort_unstable();
        assert_eq!(ids, [0, 1]);
        pool.on_done();
        assert!(pool.is_idle());
        drop(pool);
        assert!(outcomes.recv().is_err(), "nobody is left to send");
    }
}
