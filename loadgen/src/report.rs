//! What a run found, for people and for programs.

mod history;
mod limits;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use self::limits::Effort;
use crate::latency::{Buckets, Latency, Summary};
use crate::link::{Part, Progress};
use crate::machine::Machine;
use crate::page;
use crate::scenario::{Load, Scenario};
use crate::verify::{Sent, Totals};

pub(crate) use self::history::{History, Moment};

/// Under what conditions a run took place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conditions {
    pub(crate) target: String,
    pub(crate) is_tls: bool,
    /// The gateway is on this machine: it shares its processors with the load generator.
    pub(crate) is_local: bool,
    /// When messages began to flow, in seconds since 1970.
    pub(crate) started_s: u64,
    /// How busy the machine's processors were while messages flowed, and how much time its hypervisor gave to others.
    pub(crate) machine_busy_pct: f64,
    pub(crate) steal_pct: f64,
}

/// The report of a run. Its JSON has exactly these keys; times are in microseconds, rates per second.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) command: Vec<String>,
    pub(crate) version: &'static str,
    /// Of the source that the load generator was built from, with a plus if that had changes; none if it is not known.
    pub(crate) commit: Option<&'static str>,
    /// When messages began to flow, in seconds since 1970.
    pub(crate) started_s: u64,
    pub(crate) machine: Machine,
    pub(crate) target: String,
    pub(crate) tls: bool,
    /// The gateway shares this machine's processors.
    pub(crate) gateway_is_local: bool,
    pub(crate) processes: usize,
    pub(crate) scenario: Scenario,
    /// Users over the time from the first login's beginning to the last one's WELCOME.
    pub(crate) connects_per_s: f64,
    pub(crate) connects_wished_per_s: f64,
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    /// Of `acked`: safe because every device of the recipient has it, or because it is in the log. The rest was safe already
    /// when its sender asked again.
    pub(crate) acked_received: u64,
    pub(crate) acked_stored: u64,
    /// Messages that came for the first time.
    pub(crate) delivered: u64,
    /// Acknowledged and not delivered, after everybody had come back to collect.
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupted: u64,
    pub(crate) refused: u64,
    /// Sent, and neither acknowledged nor refused when the run ended.
    pub(crate) unresolved: u64,
    /// Sessions after a user's first that the run had not planned.
    pub(crate) reconnects: u64,
    /// Handshakes of TLS that were completed, and how many of them resumed an earlier session; 0 without TLS.
    pub(crate) handshakes: u64,
    pub(crate) handshakes_resumed: u64,
    pub(crate) errors: u64,
    pub(crate) error_kinds: BTreeMap<String, u64>,
    /// None in a closed loop.
    pub(crate) rate_wished: Option<f64>,
    /// Messages acknowledged while messages flowed, over that time.
    pub(crate) rate_reached: f64,
    /// From the intended time to SEND_ACK.
    pub(crate) accepted_us: Summary,
    /// From the intended time to the delivery to a user who was not away.
    pub(crate) delivered_us: Summary,
    /// The same for users who were away: mostly the time until they came back.
    pub(crate) caught_up_us: Summary,
    /// From the intended time to the moment the client library was given the message: the load generator's own delay, which is
    /// part of the other latencies.
    pub(crate) send_lag_us: Summary,
    /// Of one core, summed over the processes, while messages flowed.
    pub(crate) client_cpu_pct: f64,
    /// Of one core, of the process that used most.
    pub(crate) client_cpu_max_pct: f64,
    /// Of that time, of the process that waited longest for a processor although it was ready to run.
    pub(crate) client_wait_pct: f64,
    /// Of the time of all processors of the machine: busy with anything, and given to others by its hypervisor.
    pub(crate) machine_busy_pct: f64,
    pub(crate) machine_steal_pct: f64,
    pub(crate) client_limited: bool,
    /// In what way the load generator itself was the limit.
    pub(crate) client_limits: Vec<String>,
    pub(crate) history: History,
    #[serde(skip)]
    pub(crate) curves: Curves,
}

/// How often each latency occurred, for drawing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Curves {
    pub(crate) accepted: Buckets,
    pub(crate) delivered: Buckets,
    pub(crate) caught_up: Buckets,
}

impl Report {
    /// Puts the workers' parts together.
    pub(crate) fn new(scenario: &Scenario, conditions: &Conditions, parts: &[Part]) -> Report {
        let mut sum = Progress::default();
        for part in parts {
            sum.add(&part.progress);
        }
        let sent: Vec<Sent> = parts.iter().flat_map(|part| part.sent.iter().cloned()).collect();
        let arrived: Vec<_> = parts.iter().map(|part| part.arrived.as_slice()).collect();
        let totals = Totals::of(&sent, &arrived);
        let duration_s = scenario.duration_ns as f64 / 1e9;
        let of = |count: fn(&Part) -> u64| parts.iter().map(count).sum::<u64>();
        let accepted = merged(parts.iter().map(|part| &part.accepted));
        let delivered = merged(parts.iter().map(|part| &part.delivered));
        let caught_up = merged(parts.iter().map(|part| &part.caught_up));
        let lag = merged(parts.iter().map(|part| &part.lag));
        let history = History::of(scenario, parts);
        let effort = Effort::of(scenario, parts, conditions.steal_pct);
        let client_limits = effort.limits(&history, lag.summary(), scenario.load);
        Report {
            command: std::env::args().collect(),
            version: env!("CARGO_PKG_VERSION"),
            commit: option_env!("LOADGEN_COMMIT"),
            started_s: conditions.started_s,
            machine: Machine::this(),
            target: conditions.target.clone(),
            tls: conditions.is_tls,
            gateway_is_local: conditions.is_local,
            processes: parts.len(),
            scenario: scenario.clone(),
            connects_per_s: connects_per_s(scenario.users, parts),
            connects_wished_per_s: scenario.connects_per_s,
            acked_received: of(|part| part.received),
            acked_stored: of(|part| part.stored),
            lost: totals.lost,
            duplicated: of(|part| part.duplicated),
            reordered: of(|part| part.reordered),
            corrupted: of(|part| part.corrupted) + totals.unsent,
            unresolved: sum.unresolved(),
            errors: sum.errors.values().sum(),
            rate_wished: match scenario.load {
                Load::Open { rate } => Some(rate),
                Load::Closed { .. } => None,
            },
            rate_reached: of(|part| part.acked_in_time) as f64 / duration_s,
            accepted_us: accepted.summary(),
            delivered_us: delivered.summary(),
            caught_up_us: caught_up.summary(),
            send_lag_us: lag.summary(),
            client_cpu_pct: of(|part| part.cpu_ns) as f64 / scenario.duration_ns as f64 * 100.0,
            client_cpu_max_pct: effort.cpu_pct,
            client_wait_pct: effort.wait_pct,
            machine_busy_pct: conditions.machine_busy_pct,
            machine_steal_pct: conditions.steal_pct,
            client_limited: !client_limits.is_empty(),
            client_limits,
            sent: sum.sent,
            acked: sum.acked,
            delivered: sum.delivered,
            refused: sum.refused,
            reconnects: sum.reconnects,
            handshakes: sum.handshakes,
            handshakes_resumed: sum.handshakes_resumed,
            error_kinds: sum.errors,
            history,
            curves: Curves {
                accepted: accepted.buckets(),
                delivered: delivered.buckets(),
                caught_up: caught_up.buckets(),
            },
        }
    }

    /// Whether every acknowledged message arrived once, in order and unchanged.
    pub(crate) fn is_clean(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.reordered == 0 && self.corrupted == 0
    }

    /// Prints the table, and writes the JSON and the page where they are wanted. With `-` the JSON goes to standard output and the
    /// table to standard error.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn publish(&self, json: Option<&Path>, html: Option<&Path>) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).context("cannot put the report into JSON")?;
        text.push('\n');
        match json {
            Some(path) if path == Path::new("-") => {
                print!("{text}");
                eprint!("{}", self.table());
            }
            Some(path) => {
                print!("{}", self.table());
                fs::write(path, text).with_context(|| format!("--json {}", path.display()))?;
            }
            None => print!("{}", self.table()),
        }
        if let Some(path) = html {
            fs::write(path, page::page(self)).with_context(|| format!("--html {}", path.display()))?;
        }
        Ok(())
    }
}

/// A time as people say it.
pub(crate) fn show_us(us: u64) -> String {
    match us {
        0..10_000 => format!("{us} µs"),
        10_000..10_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

fn merged<'a>(parts: impl Iterator<Item = &'a Buckets>) -> Latency {
    let mut latency = Latency::new();
    for buckets in parts {
        latency.merge(buckets);
    }
    latency
}

fn connects_per_s(users: u32, parts: &[Part]) -> f64 {
    let first_ns = parts.iter().map(|part| part.connect_ns.0).min().unwrap_or(0);
    let last_ns = parts.iter().map(|part| part.connect_ns.1).max().unwrap_or(0);
    match last_ns.saturating_sub(first_ns) {
        0 => 0.0,
        took_ns => f64::from(users) / (took_ns as f64 / 1e9),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::scenario::{Pattern, tests::scenario};
    use crate::timeline::SlotPart;
    use crate::verify::Numbers;

    /// One worker; user 0 sent 10 messages to user 1.
    fn part() -> Part {
        let mut numbers = Numbers::default();
        assert!((0..10).all(|number| numbers.insert(number)));
        let mut part = Part {
            sent: vec![Sent { sender: 0, count: 10, acked: numbers.clone() }],
            arrived: vec![numbers, Numbers::default()],
            accepted: vec![(1_000, 9), (3_000, 1)],
            delivered: vec![(500, 10)],
            lag: vec![(50, 10)],
            connect_ns: (1_000_000_000, 1_500_000_000),
            cpu_ns: 250_000_000,
            acked_in_time: 8,
            ..Part::default()
        };
        part.progress.sent = 10;
        part.progress.acked = 10;
        part.progress.delivered = 10;
        part
    }

    /// A clean report, with something in every picture.
    pub(crate) fn sample() -> Report {
        let mut part = part();
        let slot = SlotPart {
            due: 10,
            sent: 10,
            acked: 8,
            delivered: 10,
            used_ns: 300_000_000,
            waited_ns: 20_000_000,
            accepted_us: part.accepted.clone(),
            delivered_us: part.delivered.clone(),
        };
        part.slots = vec![slot.clone(), SlotPart { acked: 2, ..SlotPart::default() }];
        Report { rate_wished: Some(8.0), ..report(part) }
    }

    fn report(part: Part) -> Report {
        Report::new(&scenario(2, Pattern::Pairs, 0.0), &Conditions::default(), &[part])
    }

    #[test]
    fn the_json_has_the_promised_keys() {
        let json = serde_json::to_value(report(part())).unwrap();
        for key in "connects_per_s sent acked delivered lost duplicated reordered corrupted refused unresolved reconnects errors \
                    rate_wished rate_reached client_cpu_pct client_cpu_max_pct client_wait_pct machine_busy_pct machine_steal_pct \
                    handshakes handshakes_resumed started_s"
            .split_whitespace()
        {
            assert!(json[key].is_number(), "{key}");
        }
        for latency in ["accepted_us", "delivered_us", "caught_up_us"] {
            for key in ["p50", "p90", "p99", "p999", "p9999", "max"] {
                assert!(json[latency][key].is_u64(), "{latency}.{key}");
            }
        }
        assert!(json["machine"]["kernel"].is_string() && json["command"].is_array());
        assert_eq!(json["client_limited"], false);
        assert_eq!(json["tls"], false);
        assert!(json["history"]["slots"].is_array() && json["history"]["slot_s"].is_number());
    }

    #[test]
    fn figures_are_those_of_the_parts() {
        let report = report(part());
        assert!((report.connects_per_s - 4.0).abs() < 1e-9);
        assert!((report.rate_reached - 8.0).abs() < 1e-9);
        assert!((report.client_cpu_pct - 25.0).abs() < 1e-9);
        assert_eq!((report.accepted_us.count, report.accepted_us.p50), (10, 1_000));
        assert!(report.accepted_us.max.abs_diff(3_000) <= 3);
        assert!(report.is_clean());
    }

    #[test]
    fn any_of_the_four_counts_fails_the_run() {
        let mut lost = part();
        lost.arrived.clear();
        assert_eq!(report(lost).lost, 10);
        let broken: [fn(&mut Part); 4] = [
            |part| part.arrived.clear(),
            |part| part.duplicated = 1,
            |part| part.reordered = 1,
            |part| part.corrupted = 1,
        ];
        for damage in broken {
            let mut part = part();
            damage(&mut part);
            let report = report(part);
            assert!(!report.is_clean());
            assert!(report.table().contains("FAILED"));
        }
    }

    #[test]
    fn what_has_no_outcome_is_reported_and_does_not_fail_the_run() {
        let mut part = part();
        part.progress.sent = 13;
        part.progress.refused = 1;
        let report = report(part);
        assert_eq!((report.unresolved, report.refused), (2, 1));
        assert!(report.is_clean());
    }

    #[test]
    fn a_load_generator_at_its_limit_says_so() {
        let mut busy = part();
        busy.cpu_ns = 950_000_000;
        let mut late = part();
        late.lag = vec![(20_000, 10)];
        for part in [busy, late] {
            let report = report(part);
            assert!(report.client_limited && report.is_clean());
            assert!(report.table().contains("itself the limit"), "{}", report.table());
        }
    }
}
