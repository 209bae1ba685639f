//! Who writes to whom, how often, and who is away: everything that all workers of a run must agree on.

use std::ops::Range;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::rng::Rng;
use crate::schedule;

/// Who writes to whom. User `i` is the user with index `i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Pattern {
    /// Users 0 and 1 write to each other, so do 2 and 3, and so on
    Pairs,
    /// Everybody writes to anybody else
    Random,
    /// One user in a hundred (at least one) is written to by all the others
    FanIn,
}

/// What decides when the next message leaves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Load {
    /// The clock: `rate` messages a second over all users, at random moments.
    Open { rate: f64 },
    /// The acknowledgements: each user keeps `window` messages unacknowledged.
    Closed { window: u32 },
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scenario {
    /// Tells the messages of this run from those of any other.
    pub(crate) run: u64,
    pub(crate) users: u32,
    pub(crate) users_prefix: String,
    pub(crate) pattern: Pattern,
    pub(crate) load: Load,
    pub(crate) duration_ns: u64,
    pub(crate) payload_len: usize,
    /// Logins a second over all users.
    pub(crate) connects_per_s: f64,
    /// 0 and up, below 1.
    pub(crate) offline_share: f64,
}

impl Scenario {
    /// # Errors
    /// Says which value does not go with which.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(self.users >= 2, "--users: at least 2 are needed to write to each other");
        ensure!(
            self.pattern != Pattern::Pairs || self.users.is_multiple_of(2),
            "--users: pairs need an even number, {} is odd",
            self.users
        );
        let share_ok = (0.0..1.0).contains(&self.offline_share);
        ensure!(share_ok, "--offline-share: 0 and up, below 1");
        ensure!((0..self.users).any(|user| self.is_sender(user)), "--offline-share: nobody is left to send");
        let longest = self.user_name(self.users - 1);
        wire::Name::parse_user(longest.as_bytes())
            .map_err(|error| anyhow::anyhow!("--users-prefix: {longest:?} is not a name: {error}"))?;
        Ok(())
    }

    pub(crate) fn user_name(&self, user: u32) -> String {
        format!("{}{user}", self.users_prefix)
    }

    /// The user of that name, if he takes part in this run.
    pub(crate) fn user_index(&self, name: &str) -> Option<u32> {
        let digits = name.strip_prefix(self.users_prefix.as_str())?;
        let user = digits.parse().ok()?;
        let canonical = !(digits.starts_with('+') || digits.len() > 1 && digits.starts_with('0'));
        (canonical && user < self.users).then_some(user)
    }

    /// Users that are away during the run.
    pub(crate) fn away_count(&self) -> u32 {
        schedule::whole(f64::from(self.users) * self.offline_share).try_into().unwrap_or(self.users)
    }

    /// Whether the user is away during the run. The odd users go first, so that a pair keeps one who writes; among them (then
    /// among the even ones) those who are away lie evenly.
    pub(crate) fn is_away(&self, user: u32) -> bool {
        let odd_count = self.users / 2;
        let away_odd = self.away_count().min(odd_count);
        let (wanted, all) =
            if user % 2 == 1 { (away_odd, odd_count) } else { (self.away_count() - away_odd, self.users - odd_count) };
        let upto = |rank: u32| u64::from(rank) * u64::from(wanted) / u64::from(all);
        upto(user / 2 + 1) > upto(user / 2)
    }

    pub(crate) fn is_sender(&self, user: u32) -> bool {
        !self.is_away(user) && (self.pattern != Pattern::FanIn || user >= self.sink_count())
    }

    /// Whom the next message of `sender` is for.
    pub(crate) fn recipient(&self, sender: u32, rng: &mut Rng) -> u32 {
        match self.pattern {
            Pattern::Pairs => sender ^ 1,
            Pattern::Random => {
                let other = rng.below(self.users - 1);
                other + u32::from(other >= sender)
            }
            Pattern::FanIn => rng.below(self.sink_count()),
        }
    }

    /// The users of worker `index` of `count`, as equal as whole pairs allow.
    pub(crate) fn part(&self, index: u32, count: u32) -> Range<u32> {
        let pairs = u64::from(self.users.div_ceil(2));
        let bound = |index: u32| {
            let pair = pairs * u64::from(index) / u64::from(count);
            u32::try_from(pair * 2).map_or(self.users, |user| user.min(self.users))
        };
        bound(index)..bound(index + 1)
    }

    fn sink_count(&self) -> u32 {
        (self.users / 100).max(1)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn scenario(users: u32, pattern: Pattern, offline_share: f64) -> Scenario {
        Scenario {
            run: 7,
            users,
            users_prefix: "t-".into(),
            pattern,
            load: Load::Open { rate: 100.0 },
            duration_ns: 1_000_000_000,
            payload_len: 100,
            connects_per_s: 1_000.0,
            offline_share,
        }
    }

    #[test]
    fn the_wished_share_is_away() {
        for users in [2, 10, 99, 1_000] {
            for percent in 0..95 {
                let scenario = scenario(users, Pattern::Random, f64::from(percent) / 100.0);
                let away = (0..users).filter(|user| scenario.is_away(*user)).count();
                assert_eq!(away, scenario.away_count() as usize, "{users} users, {percent} %");
            }
        }
    }

    #[test]
    fn a_pair_keeps_one_who_writes_while_that_is_possible() {
        let scenario = scenario(1_000, Pattern::Pairs, 0.3);
        assert!((0..1_000).step_by(2).all(|user| scenario.is_sender(user)));
        assert_eq!((0..1_000).filter(|user| scenario.is_away(*user)).count(), 300);
    }

    #[test]
    fn recipients_fit_the_pattern() {
        let mut rng = Rng::new(1);
        let random = scenario(3, Pattern::Random, 0.0);
        let mut met = [false; 3];
        for _ in 0..100 {
            met[random.recipient(1, &mut rng) as usize] = true;
        }
        assert_eq!(met, [true, false, true]);
        let pairs = scenario(4, Pattern::Pairs, 0.0);
        assert_eq!([0, 1, 2, 3].map(|user| pairs.recipient(user, &mut rng)), [1, 0, 3, 2]);
        let fan_in = scenario(500, Pattern::FanIn, 0.0);
        assert!((0..100).all(|_| fan_in.recipient(400, &mut rng) < 5));
        assert!(!fan_in.is_sender(4) && fan_in.is_sender(5));
    }

    #[test]
    fn parts_cover_all_users_once_in_whole_pairs() {
        for users in [2, 7, 100] {
            for count in 1..=5 {
                let scenario = scenario(users, Pattern::Random, 0.0);
                let parts: Vec<_> = (0..count).map(|index| scenario.part(index, count)).collect();
                assert!(parts.iter().all(|part| part.start % 2 == 0 || part.is_empty()));
                let all: Vec<u32> = parts.into_iter().flatten().collect();
                assert_eq!(all, (0..users).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_name_leads_back_to_its_user_only() {
        let scenario = scenario(100, Pattern::Random, 0.0);
        assert_eq!(scenario.user_index(&scenario.user_name(42)), Some(42));
        for foreign in ["t-100", "t-", "t-007", "t-+7", "x-7", "7"] {
            assert_eq!(scenario.user_index(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn what_cannot_run_is_refused() {
        assert!(scenario(10, Pattern::Pairs, 0.1).check().is_ok());
        assert!(scenario(1, Pattern::Random, 0.0).check().is_err());
        assert!(scenario(11, Pattern::Pairs, 0.0).check().is_err());
        assert!(scenario(10, Pattern::Pairs, 1.0).check().is_err());
        assert!(scenario(2, Pattern::FanIn, 0.5).check().is_err());
        let prefix = Scenario { users_prefix: "no spaces ".into(), ..scenario(10, Pattern::Random, 0.0) };
        assert!(prefix.check().is_err());
    }
}
