//! The report as one page for a browser: it fetches nothing, runs nothing, and reads in light and dark.
//!
//! What is wrong stands first, in words. Every picture is inline SVG, and every number in it is text.

mod chart;
mod curves;
mod text;

use std::fmt::Write as _;

use crate::latency::Summary;
use crate::report::Report;
use crate::scenario::{Load, Pattern};

use self::text::{command, count, date, escape, latency, rate, span};

/// The whole page.
pub(crate) fn page(report: &Report) -> String {
    let mut html = String::new();
    let title = title(report);
    put(
        &mut html,
        format_args!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title} – Shardwire load</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
        ),
    );
    let when = date(report.started_s);
    put(&mut html, format_args!("<header>\n<p>Shardwire load generator · {when}</p>\n<h1>{title}</h1>\n</header>\n"));
    put_verdict(&mut html, report);
    put_figures(&mut html, report);
    curves::put_percentiles(&mut html, report);
    curves::put_latencies(&mut html, report);
    curves::put_rates(&mut html, report);
    curves::put_effort(&mut html, report);
    put_tables(&mut html, report);
    put_conditions(&mut html, report);
    put_seconds(&mut html, report);
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

fn title(report: &Report) -> String {
    let scenario = &report.scenario;
    let tls = if report.tls { " over TLS" } else { "" };
    let load = match scenario.load {
        Load::Open { rate: per_s } => format!("{} messages a second", rate(per_s)),
        Load::Closed { window: 1 } => "1 message at a time each".to_owned(),
        Load::Closed { window } => format!("{window} messages at a time each"),
    };
    let duration = span(scenario.duration_ns as f64 / 1e9);
    format!("{} users{tls}, {load}, for {duration}", count(scenario.users.into()))
}

fn put_verdict(html: &mut String, report: &Report) {
    if report.is_clean() {
        let acked = count(report.acked);
        put(
            html,
            format_args!(
                "<p class=\"verdict good\"><strong>Nothing lost, doubled, reordered or changed.</strong> \
                 All {acked} acknowledged messages arrived once, in order, as they were sent.</p>\n"
            ),
        );
    } else {
        let counts = [
            (report.lost, "lost"),
            (report.duplicated, "duplicated"),
            (report.reordered, "reordered"),
            (report.corrupted, "corrupted"),
        ];
        let counts = counts.iter().filter(|(number, _)| *number > 0);
        let words: Vec<String> = counts.map(|(number, word)| format!("{} {word}", count(*number))).collect();
        let words = words.join(", ");
        put(
            html,
            format_args!("<p class=\"verdict bad\"><strong>The gateway broke its promise:</strong> {words}.</p>\n"),
        );
    }
    let warnings = warnings(report);
    if warnings.is_empty() {
        return;
    }
    html.push_str("<ul class=\"warnings\">\n");
    for warning in warnings {
        put(html, format_args!("<li>{}</li>\n", escape(&warning)));
    }
    html.push_str("</ul>\n");
}

/// What one must know before one believes a figure.
fn warnings(report: &Report) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(wished) = report.rate_wished.filter(|wished| report.rate_reached < wished * RATE_SHARE_MIN) {
        let (reached, wished) = (rate(report.rate_reached), rate(wished));
        warnings.push(format!(
            "The rate was not reached: {reached} of {wished} messages a second were acknowledged while messages flowed."
        ));
    }
    for limit in &report.client_limits {
        warnings.push(format!(
            "The load generator was itself the limit, so these latencies are not the gateway's alone: {limit}."
        ));
    }
    if report.machine_busy_pct >= BUSY_PCT_MAX {
        let with = if report.gateway_is_local { ", with the gateway and the load generator on them" } else { "" };
        let busy = report.machine_busy_pct;
        warnings.push(format!("The machine was full: its processors were {busy:.0} % busy{with}."));
    }
    for (number, what) in [
        (report.refused, "refused by the gateway"),
        (report.unresolved, "neither acknowledged nor refused when the run ended"),
    ] {
        if number > 0 {
            warnings.push(format!("{} of {} messages were {what}.", count(number), count(report.sent)));
        }
    }
    if report.errors > 0 {
        let reconnects = count(report.reconnects);
        warnings.push(format!("{} errors on the way, {reconnects} unplanned reconnections.", count(report.errors)));
    }
    warnings
}

fn put_figures(html: &mut String, report: &Report) {
    html.push_str("<dl class=\"figures\">\n");
    let mut figure = |name: &str, value: String, more: String| {
        put(html, format_args!("<div><dt>{name}</dt><dd>{value}<small>{more}</small></dd></div>\n"));
    };
    let wished = report.rate_wished.map_or("closed loop".to_owned(), |wished| format!("of {} wished", rate(wished)));
    figure("acknowledged", format!("{}/s", rate(report.rate_reached)), wished);
    let accepted = report.accepted_us;
    if accepted.count > 0 {
        let values = [accepted.p50, accepted.p99, accepted.p999, accepted.max].map(|us| latency(us as f64));
        for (name, value) in ["median", "99 %", "99.9 %", "longest"].into_iter().zip(values) {
            figure(name, value, "until acknowledged".to_owned());
        }
    }
    let how = if report.tls { "with TLS handshakes" } else { "plain TCP" };
    figure("logins", format!("{}/s", rate(report.connects_per_s)), how.to_owned());
    html.push_str("</dl>\n");
}

fn put_tables(html: &mut String, report: &Report) {
    html.push_str("<section>\n<h2>Latencies</h2>\n<div class=\"scroll\"><table>\n<tr><th></th>");
    for name in ["50 %", "90 %", "99 %", "99.9 %", "99.99 %", "longest"] {
        put(html, format_args!("<th>{name}</th>"));
    }
    html.push_str("</tr>\n");
    let rows = [
        ("acknowledged", report.accepted_us),
        ("delivered", report.delivered_us),
        ("caught up", report.caught_up_us),
        ("left late", report.send_lag_us),
    ];
    for (name, summary) in rows.into_iter().filter(|(_, summary)| summary.count > 0) {
        let Summary { p50, p90, p99, p999, p9999, max, .. } = summary;
        put(html, format_args!("<tr><td>{name}</td>"));
        for us in [p50, p90, p99, p999, p9999, max] {
            put(html, format_args!("<td>{}</td>", latency(us as f64)));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table></div>\n</section>\n<section>\n<h2>Counts</h2>\n<div class=\"two\">\n<table>\n");
    put_row(html, "sent", report.sent, false);
    put_row(html, "acknowledged", report.acked, false);
    put_row(html, "– every device of the recipient had it (received)", report.acked_received, false);
    put_row(html, "– in the gateway's log (stored)", report.acked_stored, false);
    put_row(html, "delivered", report.delivered, false);
    put_row(html, "unplanned reconnections", report.reconnects, false);
    if report.tls {
        put_row(html, "TLS handshakes", report.handshakes, false);
        put_row(html, "– resumed an earlier session", report.handshakes_resumed, false);
    }
    html.push_str("</table>\n<table>\n");
    for (name, number) in [
        ("lost", report.lost),
        ("duplicated", report.duplicated),
        ("reordered", report.reordered),
        ("corrupted", report.corrupted),
        ("refused", report.refused),
        ("unresolved", report.unresolved),
    ] {
        put_row(html, name, number, true);
    }
    html.push_str("</table>\n</div>\n</section>\n");
    if !report.error_kinds.is_empty() {
        html.push_str("<section>\n<h2>Errors</h2>\n<table class=\"words\">\n");
        for (error, number) in &report.error_kinds {
            put(html, format_args!("<tr><th>{} ×</th><td>{}</td></tr>\n", count(*number), escape(error)));
        }
        html.push_str("</table>\n</section>\n");
    }
}

fn put_row(html: &mut String, name: &str, number: u64, is_bad: bool) {
    let class = if is_bad && number > 0 { " class=\"bad\"" } else { "" };
    put(html, format_args!("<tr><td>{name}</td><td{class}>{}</td></tr>\n", count(number)));
}

fn put_conditions(html: &mut String, report: &Report) {
    let scenario = &report.scenario;
    let machine = &report.machine;
    let pattern = match scenario.pattern {
        Pattern::Pairs => "each writes to one other, in pairs",
        Pattern::Random => "everybody writes to anybody",
        Pattern::FanIn => "one user in a hundred is written to by all others",
    };
    let away = match scenario.away_count() {
        0 => "nobody".to_owned(),
        away => format!("{} users, back afterwards to collect", count(away.into())),
    };
    let transport = if report.tls { "TLS 1.3 over TCP" } else { "plain TCP" };
    let place = if report.gateway_is_local { "on this machine: both share its processors" } else { "elsewhere" };
    let commit = report.commit.map_or("an unknown commit".to_owned(), |commit| match commit.strip_suffix('+') {
        Some(commit) => format!("commit {commit} with changes"),
        None => format!("commit {commit}"),
    });
    let processes =
        if report.processes == 1 { "1 process".to_owned() } else { format!("{} processes", report.processes) };
    let memory = machine.memory_mib as f64 / 1024.0;
    let rows = [
        ("machine", format!("{}, {} processors, {memory:.1} GiB of memory", machine.cpu, machine.cpus)),
        ("kernel", machine.kernel.clone()),
        (
            "processors",
            format!(
                "{:.0} % busy while messages flowed, {:.1} % given to others by the hypervisor",
                report.machine_busy_pct, report.machine_steal_pct
            ),
        ),
        (
            "load generator",
            format!(
                "{} of {commit}, {processes}, {:.0} % of a core, at most {:.1} % of the time waiting for one",
                report.version, report.client_cpu_pct, report.client_wait_pct
            ),
        ),
        ("gateway", format!("{}, {transport}, {place}", report.target)),
        ("messages", format!("{pattern}; {} bytes of body", count(scenario.payload_len as u64))),
        ("away meanwhile", away),
    ];
    html.push_str("<section>\n<h2>Conditions</h2>\n<table class=\"words\">\n");
    for (name, value) in rows {
        put(html, format_args!("<tr><th>{name}</th><td>{}</td></tr>\n", escape(&value)));
    }
    let line = escape(&command(&report.command));
    put(html, format_args!("<tr><th>command</th><td><code>{line}</code></td></tr>\n</table>\n</section>\n"));
}

/// The pictures in numbers.
fn put_seconds(html: &mut String, report: &Report) {
    let history = &report.history;
    html.push_str(
        "<section>\n<details>\n<summary>All figures over time</summary>\n<div class=\"scroll\"><table>\n<tr><th>from</th>\
         <th>due /s</th><th>sent /s</th><th>acknowledged /s</th><th>delivered /s</th><th>acknowledged 50 %</th><th>99 %</th>\
         <th>delivered 50 %</th><th>99 %</th><th>client CPU</th><th>waited</th></tr>\n",
    );
    for (index, moment) in history.slots.iter().enumerate() {
        put(html, format_args!("<tr><td>{}</td>", span(index as f64 * history.slot_s)));
        for per_s in [moment.due_per_s, moment.sent_per_s, moment.acked_per_s, moment.delivered_per_s] {
            put(html, format_args!("<td>{}</td>", rate(per_s)));
        }
        let quantiles =
            [moment.accepted_p50_us, moment.accepted_p99_us, moment.delivered_p50_us, moment.delivered_p99_us];
        for us in quantiles {
            put(html, format_args!("<td>{}</td>", us.map_or("–".to_owned(), |us| latency(us as f64))));
        }
        let (used, waited) = (moment.client_cpu_pct, moment.client_wait_pct);
        put(html, format_args!("<td>{used:.0} %</td><td>{waited:.0} %</td></tr>\n"));
    }
    html.push_str("</table></div>\n</details>\n</section>\n");
}

fn put(html: &mut String, what: std::fmt::Arguments<'_>) {
    html.write_fmt(what).expect("a String takes everything");
}

const STYLE: &str = include_str!("page/style.css");
/// Below this share of the wished rate the load was another one than wished.
const RATE_SHARE_MIN: f64 = 0.95;
/// Above this, whatever runs on the machine waits for the rest of it.
const BUSY_PCT_MAX: f64 = 95.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn the_page_stands_alone_and_is_well_formed() {
        let html = page(&sample());
        for foreign in ["http:", "https:", "<script", "src=", "@import", "url("] {
            assert!(!html.contains(foreign), "{foreign}");
        }
        let mut open = Vec::new();
        for tag in html.split('<').skip(1) {
            let name: String = tag.chars().take_while(|c| c.is_alphanumeric() || "/!".contains(*c)).collect();
            match name.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop().as_deref(), Some(name), "closed out of turn: {tag}"),
                None if ["!doctype", "meta"].contains(&name.as_str()) => {}
                None if tag.split('>').next().is_some_and(|tag| tag.ends_with('/')) => {}
                None => open.push(name),
            }
        }
        assert!(open.is_empty(), "{open:?}");
        assert!(!html.contains("NaN") && !html.contains("inf"), "a number is none");
    }

    #[test]
    fn the_page_of_a_clean_run_says_so_and_that_of_another_names_each_count() {
        let mut report = sample();
        assert!(page(&report).contains("Nothing lost, doubled, reordered or changed."));
        (report.lost, report.reordered) = (3, 1_200);
        let html = page(&report);
        assert!(html.contains("broke its promise:</strong> 3 lost, 1,200 reordered."), "{html}");
    }

    #[test]
    fn what_makes_figures_doubtful_stands_before_them() {
        let mut report = sample();
        assert!(!page(&report).contains("class=\"warnings\""));
        report.client_limits = vec!["a process used 99 % of a core".to_owned()];
        report.error_kinds.insert("connect: <refused>".to_owned(), 7);
        (report.errors, report.unresolved, report.rate_reached, report.machine_busy_pct) = (7, 2, 1.0, 99.0);
        let html = page(&report);
        let (warnings, figures) = (html.find("class=\"warnings\""), html.find("class=\"figures\""));
        assert!(warnings.is_some() && warnings < figures);
        for words in
            ["rate was not reached", "not the gateway's alone", "7 errors", "2 of 10 messages", "machine was full"]
        {
            assert!(html.contains(words), "{words}");
        }
        assert!(html.contains("connect: &lt;refused&gt;") && !html.contains("<refused>"));
    }

    #[test]
    fn a_run_in_which_nothing_happened_has_a_page_too() {
        let mut report = sample();
        report.history.slots.clear();
        report.curves = crate::report::Curves::default();
        assert!(page(&report).contains("Conditions"));
    }
}
