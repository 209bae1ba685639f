//! What a run found, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::latency::{Latency, Summary};
use crate::link::{Part, Progress};
use crate::machine::Machine;
use crate::scenario::{Load, Scenario};
use crate::verify::{Sent, Totals};

/// The report of a run. Its JSON has exactly these keys; times are in microseconds, rates per second.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    command: Vec<String>,
    version: &'static str,
    machine: Machine,
    processes: usize,
    scenario: Scenario,
    /// Users over the time from the first login's beginning to the last one's WELCOME.
    connects_per_s: f64,
    connects_wished_per_s: f64,
    sent: u64,
    acked: u64,
    /// Of `acked`: safe because every device of the recipient has it, or because it is in the log. The rest was safe already
    /// when its sender asked again.
    acked_received: u64,
    acked_stored: u64,
    /// Messages that came for the first time.
    delivered: u64,
    /// Acknowledged and not delivered, after everybody had come back to collect.
    lost: u64,
    duplicated: u64,
    reordered: u64,
    corrupted: u64,
    refused: u64,
    /// Sent, and neither acknowledged nor refused when the run ended.
    unresolved: u64,
    /// Sessions after a user's first that the run had not planned.
    reconnects: u64,
    /// Handshakes of TLS that were completed, and how many of them resumed an earlier session; 0 without TLS.
    handshakes: u64,
    handshakes_resumed: u64,
    errors: u64,
    error_kinds: BTreeMap<String, u64>,
    /// None in a closed loop.
    rate_wished: Option<f64>,
    /// Messages acknowledged while messages flowed, over that time.
    rate_reached: f64,
    /// From the intended time to SEND_ACK.
    accepted_us: Summary,
    /// From the intended time to the delivery to a user who was not away.
    delivered_us: Summary,
    /// The same for users who were away: mostly the time until they came back.
    caught_up_us: Summary,
    /// From the intended time to the moment the client library was given the message: the load generator's own delay, which is
    /// part of the other latencies.
    send_lag_us: Summary,
    /// Of one core, summed over the processes.
    client_cpu_pct: f64,
    client_limited: bool,
    /// In what way the load generator itself was the limit.
    client_limits: Vec<String>,
}

impl Report {
    /// Puts the workers' parts together.
    pub(crate) fn new(scenario: &Scenario, parts: &[Part]) -> Report {
        let mut sum = Progress::default();
        for part in parts {
            sum.add(&part.progress);
        }
        let sent: Vec<Sent> = parts.iter().flat_map(|part| part.sent.iter().cloned()).collect();
        let arrived: Vec<_> = parts.iter().map(|part| part.arrived.as_slice()).collect();
        let totals = Totals::of(&sent, &arrived);
        let duration_s = scenario.duration_ns as f64 / 1e9;
        let of = |count: fn(&Part) -> u64| parts.iter().map(count).sum::<u64>();
        let send_lag_us = summary(parts.iter().map(|part| &part.lag));
        let cpu_pcts: Vec<f64> =
            parts.iter().map(|part| part.cpu_ns as f64 / scenario.duration_ns as f64 * 100.0).collect();
        let client_limits = client_limits(&cpu_pcts, send_lag_us, scenario.load);
        Report {
            command: std::env::args().collect(),
            version: env!("CARGO_PKG_VERSION"),
            machine: Machine::this(),
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
            accepted_us: summary(parts.iter().map(|part| &part.accepted)),
            delivered_us: summary(parts.iter().map(|part| &part.delivered)),
            caught_up_us: summary(parts.iter().map(|part| &part.caught_up)),
            send_lag_us,
            client_cpu_pct: cpu_pcts.iter().sum(),
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
        }
    }

    /// Whether every acknowledged message arrived once, in order and unchanged.
    pub(crate) fn is_clean(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.reordered == 0 && self.corrupted == 0
    }

    /// Prints the table, and writes the JSON where it is wanted. With `-` that goes to standard output and the table to
    /// standard error.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn publish(&self, json: Option<&Path>) -> Result<()> {
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
        Ok(())
    }

    fn table(&self) -> String {
        let mut table = self.counts();
        table.push_str("                        p50         p99       p99.9         max\n");
        let latencies = [
            ("accepted", self.accepted_us),
            ("delivered", self.delivered_us),
            ("caught up", self.caught_up_us),
            ("sent late", self.send_lag_us),
        ];
        for (name, latency) in latencies.into_iter().filter(|(_, latency)| latency.count > 0) {
            let values = [latency.p50, latency.p99, latency.p999, latency.max].map(show_us);
            let [p50, p99, p999, max] = values;
            line(&mut table, name, &format!("{p50:>11} {p99:>11} {p999:>11} {max:>11}"));
        }
        let processes = if self.processes == 1 { "process" } else { "processes" };
        line(
            &mut table,
            "client CPU",
            &format!("{:>8.1} % of a core, {} {processes}", self.client_cpu_pct, self.processes),
        );
        for (error, count) in &self.error_kinds {
            line(&mut table, "error", &format!("{count:>8} x {error}"));
        }
        for limit in &self.client_limits {
            line(&mut table, "warning", &format!("the load generator was itself the limit: {limit}"));
        }
        let verdict =
            if self.is_clean() { "every acknowledged message arrived once, in order, unchanged" } else { "FAILED" };
        line(&mut table, "verdict", verdict);
        table
    }

    fn counts(&self) -> String {
        let mut table = String::new();
        let wished = self.connects_wished_per_s;
        line(&mut table, "logins", &format!("{:>11.0} /s, wished {wished:.0} /s", self.connects_per_s));
        if self.handshakes > 0 {
            let resumed = format!("{:>11}    {} resumed", self.handshakes, self.handshakes_resumed);
            line(&mut table, "TLS handshakes", &resumed);
        }
        let wished = self.rate_wished.map(|rate| format!(", wished {rate:.0} /s"));
        let wished = wished.unwrap_or_else(|| ", closed loop".into());
        line(&mut table, "rate reached", &format!("{:>11.0} /s{wished}", self.rate_reached));
        line(&mut table, "sent", &format!("{:>11}", self.sent));
        let how = format!("{} received, {} stored", self.acked_received, self.acked_stored);
        line(&mut table, "acknowledged", &format!("{:>11}    {how}", self.acked));
        for (name, count) in [
            ("delivered", self.delivered),
            ("lost", self.lost),
            ("duplicated", self.duplicated),
            ("reordered", self.reordered),
            ("corrupted", self.corrupted),
            ("refused", self.refused),
            ("unresolved", self.unresolved),
            ("reconnects", self.reconnects),
        ] {
            line(&mut table, name, &format!("{count:>11}"));
        }
        table
    }
}

fn line(table: &mut String, name: &str, value: &str) {
    writeln!(table, "{name:<15} {value}").expect("a String takes everything");
}

fn show_us(us: u64) -> String {
    match us {
        0..10_000 => format!("{us} µs"),
        10_000..10_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

fn summary<'a>(parts: impl Iterator<Item = &'a Vec<(u64, u64)>>) -> Summary {
    let mut latency = Latency::new();
    for buckets in parts {
        latency.merge(buckets);
    }
    latency.summary()
}

fn connects_per_s(users: u32, parts: &[Part]) -> f64 {
    let first_ns = parts.iter().map(|part| part.connect_ns.0).min().unwrap_or(0);
    let last_ns = parts.iter().map(|part| part.connect_ns.1).max().unwrap_or(0);
    match last_ns.saturating_sub(first_ns) {
        0 => 0.0,
        took_ns => f64::from(users) / (took_ns as f64 / 1e9),
    }
}

fn client_limits(cpu_pcts: &[f64], lag: Summary, load: Load) -> Vec<String> {
    let mut limits = Vec::new();
    let busiest = cpu_pcts.iter().copied().fold(0.0, f64::max);
    if busiest >= CPU_PCT_MAX {
        limits.push(format!("a process used {busiest:.0} % of a core; more --processes may help"));
    }
    if matches!(load, Load::Open { .. }) && lag.p99 > LAG_US_MAX {
        limits.push(format!("one message in a hundred left more than {} late", show_us(lag.p99)));
    }
    limits
}

/// A process that uses more of its one core than this has no time to be punctual.
const CPU_PCT_MAX: f64 = 90.0;
/// When more than one message in a hundred leaves later than this, the latencies are largely the load generator's own.
const LAG_US_MAX: u64 = 5_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Pattern, tests::scenario};
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

    fn report(part: Part) -> Report {
        Report::new(&scenario(2, Pattern::Pairs, 0.0), &[part])
    }

    #[test]
    fn the_json_has_the_promised_keys() {
        let json = serde_json::to_value(report(part())).unwrap();
        for key in "connects_per_s sent acked delivered lost duplicated reordered corrupted refused unresolved reconnects errors \
                    rate_wished rate_reached client_cpu_pct"
            .split_whitespace()
        {
            assert!(json[key].is_number(), "{key}");
        }
        for latency in ["accepted_us", "delivered_us", "caught_up_us"] {
            for key in ["p50", "p99", "p999", "max"] {
                assert!(json[latency][key].is_u64(), "{latency}.{key}");
            }
        }
        assert!(json["machine"]["kernel"].is_string() && json["command"].is_array());
        assert_eq!(json["client_limited"], false);
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
