//! Whether clients can log in and send.

use storage::LogState;

use super::Stage;
use crate::snapshot::Snapshot;

/// One thing that readiness needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Check {
    /// What.
    pub(super) name: String,
    /// How it stands.
    pub(super) state: &'static str,
    /// Whether that is as it should be.
    pub(super) is_good: bool,
}

/// Every check: where the gateway is in its life, then each shard's log.
pub(super) fn checks(stage: Stage, shards: &[Option<Box<Snapshot>>]) -> Vec<Check> {
    let gateway = Check { name: "gateway".to_owned(), state: stage.name(), is_good: stage == Stage::Serving };
    let logs = shards.iter().enumerate().map(|(shard, answer)| {
        let (state, is_good) = match answer.as_ref().map(|snapshot| snapshot.log_status.state) {
            Some(LogState::Ok) => ("takes messages", true),
            Some(LogState::Recovering) => ("recovering", false),
            Some(LogState::Full) => ("no space left: what must be stored is refused", false),
            Some(LogState::ReadOnly) => ("cannot be written: what must be stored is refused", false),
            None => ("no answer", false),
        };
        Check { name: format!("shard {shard}"), state, is_good }
    });
    std::iter::once(gateway).chain(logs).collect()
}

/// The name of a log's state, as metrics have it; `LOG_STATES` has all.
pub(super) fn log_state_name(state: LogState) -> &'static str {
    match state {
        LogState::Recovering => "recovering",
        LogState::Ok => "ok",
        LogState::Full => "full",
        LogState::ReadOnly => "read_only",
    }
}

/// Every name of [`log_state_name`].
pub(super) const LOG_STATES: &[&str] = &["recovering", "ok", "full", "read_only"];

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(state: LogState) -> Option<Box<Snapshot>> {
        let mut snapshot = crate::snapshot::tests::sample();
        snapshot.log_status.state = state;
        Some(Box::new(snapshot))
    }

    fn bad(stage: Stage, shards: &[Option<Box<Snapshot>>]) -> Vec<String> {
        let checks = checks(stage, shards);
        assert_eq!(checks.len(), 1 + shards.len());
        checks
            .into_iter()
            .filter(|check| !check.is_good)
            .map(|check| format!("{} {}", check.name, check.state))
            .collect()
    }

    #[test]
    fn ready_is_serving_with_every_log_taking_messages() {
        let good = || shard(LogState::Ok);
        assert!(bad(Stage::Serving, &[good(), good()]).is_empty());
        assert_eq!(bad(Stage::Draining, &[good()]), ["gateway draining"]);
        let recovering = [good(), shard(LogState::Recovering)];
        assert_eq!(bad(Stage::Recovering, &recovering), ["gateway recovering", "shard 1 recovering"]);
        let ill = [shard(LogState::Full), shard(LogState::ReadOnly), None];
        let bad = bad(Stage::Serving, &ill);
        assert!(bad[0].starts_with("shard 0 no space") && bad[1].starts_with("shard 1 cannot be written"), "{bad:?}");
        assert_eq!(bad[2], "shard 2 no answer");
    }

    #[test]
    fn every_state_of_a_log_has_a_name_in_the_set() {
        for state in [LogState::Recovering, LogState::Ok, LogState::Full, LogState::ReadOnly] {
            assert!(LOG_STATES.contains(&log_state_name(state)));
        }
    }
}
