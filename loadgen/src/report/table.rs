//! The report as a table for a terminal.

use std::fmt::Write as _;

use super::{Report, show_us};

impl Report {
    pub(super) fn table(&self) -> String {
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
        self.put_effort(&mut table);
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
        let tls = if self.tls { " over TLS" } else { "" };
        line(&mut table, "logins", &format!("{:>11.0} /s{tls}, wished {wished:.0} /s", self.connects_per_s));
        if self.tls {
            let resumed = format!("{:>11}    {} of them resumed", self.handshakes, self.handshakes_resumed);
            line(&mut table, "handshakes", &resumed);
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

    fn put_effort(&self, table: &mut String) {
        let processes = if self.processes == 1 { "process" } else { "processes" };
        let waited = format!("waited {:.1} % of the time for one", self.client_wait_pct);
        let client = format!("{:>8.1} % of a core, {} {processes}, {waited}", self.client_cpu_pct, self.processes);
        line(table, "client CPU", &client);
        let whose = if self.gateway_is_local { ", the gateway's part among it" } else { "" };
        let machine = format!("{:>8.1} % of {} processors{whose}", self.machine_busy_pct, self.machine.cpus);
        line(table, "machine CPU", &machine);
    }
}

fn line(table: &mut String, name: &str, value: &str) {
    writeln!(table, "{name:<15} {value}").expect("a String takes everything");
}
