//! The pictures: how latencies are distributed, and what happened over time.

use super::chart::{Axis, Chart, Dot, Line};
use super::text::{count, escape, latency, rate, span};
use crate::latency::Buckets;
use crate::report::{History, Moment, Report};
use crate::schedule::whole;

/// Latency against the share of messages that were faster, where each step to the right leaves a tenth of them.
pub(super) fn put_percentiles(html: &mut String, report: &Report) {
    let curves = &report.curves;
    let all: Vec<(&'static str, &str, &Buckets)> = [
        ("a", "until acknowledged", &curves.accepted),
        ("b", "until delivered", &curves.delivered),
        ("c", "until caught up, by those who were away", &curves.caught_up),
    ]
    .into_iter()
    .filter(|(_, _, buckets)| !buckets.is_empty())
    .collect();
    let values = || all.iter().flat_map(|(_, _, buckets)| buckets.iter()).map(|(us, _)| (*us).max(1) as f64);
    let count_max = all.iter().map(|(_, _, buckets)| total(buckets)).max().unwrap_or(0);
    if count_max == 0 {
        return;
    }
    let chart = Chart {
        x: percentile_axis(count_max),
        y: Axis::log(values().fold(f64::MAX, f64::min), values().fold(1.0, f64::max), "latency", latency),
        lines: all.iter().map(|(class, name, buckets)| percentile_line(class, name, buckets)).collect(),
        dots: all.iter().flat_map(|(class, name, buckets)| percentile_dots(class, name, buckets)).collect(),
        mark: None,
        summary: format!("Latency by percentile of up to {} messages", count(count_max)),
    };
    let lag = match report.rate_wished {
        Some(_) => {
            "Every latency counts from the moment a message was due, so a stall is seen by all that were due meanwhile."
        }
        None => "In a closed loop latencies count from the sending: they hide what a stall does to those who wait.",
    };
    section(
        html,
        "How long messages took",
        &format!(
            "Half of them were faster than the value at 50 %, all but one in a thousand faster than at 99.9 %. {lag}"
        ),
        &chart,
    );
}

/// Latencies over the time at which messages were due.
pub(super) fn put_latencies(html: &mut String, report: &Report) {
    let history = &report.history;
    let of = |of: fn(&Moment) -> Option<u64>| line_of(history, |moment| of(moment).map(|us| us.max(1) as f64));
    let lines = [
        ("a", "acknowledged, 99 %", of(|moment| moment.accepted_p99_us)),
        ("a thin", "acknowledged, median", of(|moment| moment.accepted_p50_us)),
        ("b", "delivered, 99 %", of(|moment| moment.delivered_p99_us)),
        ("b thin", "delivered, median", of(|moment| moment.delivered_p50_us)),
    ];
    let lines: Vec<Line> =
        lines.into_iter().map(|(class, name, points)| Line { class, name: name.into(), points }).collect();
    let values = || lines.iter().flat_map(|line| &line.points).flatten().map(|(_, us)| *us);
    if values().next().is_none() {
        return;
    }
    let chart = Chart {
        x: time_axis(history.flow_s),
        y: Axis::log(values().fold(f64::MAX, f64::min), values().fold(1.0, f64::max), "latency", latency),
        lines,
        dots: Vec::new(),
        mark: None,
        summary: "Median and 99th percentile of the latencies over time".to_owned(),
    };
    let each = span(history.slot_s);
    section(
        html,
        "Latency over time",
        &format!("Of the messages that were due in each {each}, whenever they had their outcome; to 6 %."),
        &chart,
    );
}

/// Messages a second: wished, sent, acknowledged, delivered.
pub(super) fn put_rates(html: &mut String, report: &Report) {
    let history = &report.history;
    let end_s = history.slots.len() as f64 * history.slot_s;
    let of = |of: fn(&Moment) -> f64| steps_of(history, of);
    let mut delivered = of(|moment| moment.delivered_per_s);
    // What is collected at once would flatten all the rest.
    let has_away = report.scenario.away_count() > 0;
    if has_away {
        delivered.truncate(history.flow_count().saturating_mul(2));
    }
    let mut lines = vec![
        ("c", "sent", of(|moment| moment.sent_per_s)),
        ("b", "delivered", delivered),
        ("a", "acknowledged", of(|moment| moment.acked_per_s)),
    ];
    if let Some(wished) = report.rate_wished {
        lines.push(("d dash", "wished", vec![Some((0.0, wished)), Some((history.flow_s, wished))]));
    }
    let lines: Vec<Line> =
        lines.into_iter().map(|(class, name, points)| Line { class, name: name.into(), points }).collect();
    let max = lines.iter().flat_map(|line| &line.points).flatten().map(|(_, per_s)| *per_s).fold(0.0, f64::max);
    if history.slots.is_empty() || max <= 0.0 {
        return;
    }
    let has_tail = end_s > history.flow_s;
    let chart = Chart {
        x: time_axis(end_s.max(history.flow_s)),
        y: Axis::linear(max * 1.05, "messages a second", rate),
        lines,
        dots: Vec::new(),
        mark: has_tail.then_some((history.flow_s, "nothing more is sent")),
        summary: "Messages a second over time: wished, sent, acknowledged, delivered".to_owned(),
    };
    let away = if has_away { " What those who were away collect afterwards is not drawn." } else { "" };
    let explanation = format!("What was sent, and what became of it, when it happened.{away}");
    section(html, "Messages a second", &explanation, &chart);
}

/// The load generator's own share of a core.
pub(super) fn put_effort(html: &mut String, report: &Report) {
    let history = &report.history;
    if history.slots.is_empty() {
        return;
    }
    let of = |of: fn(&Moment) -> f64| steps_of(history, |moment| of(moment).min(100.0));
    let lines = [
        ("a", "used, of one core", of(|moment| moment.client_cpu_pct)),
        ("b", "waited for one", of(|moment| moment.client_wait_pct)),
    ];
    let chart = Chart {
        x: time_axis((history.slots.len() as f64 * history.slot_s).max(history.flow_s)),
        y: Axis::exact(100.0, "of the time", |percent| format!("{percent:.0} %")),
        lines: lines.into_iter().map(|(class, name, points)| Line { class, name: name.into(), points }).collect(),
        dots: Vec::new(),
        mark: None,
        summary: "Processor time of the load generator over time".to_owned(),
    };
    section(
        html,
        "The load generator itself",
        "Of the process that used most, and of the one that was ready and had to wait longest. When one of them is near 100 %, \
         the latencies above are the load generator's.",
        &chart,
    );
}

fn section(html: &mut String, title: &str, explanation: &str, chart: &Chart) {
    html.push_str("<section>\n<h2>");
    html.push_str(&escape(title));
    html.push_str("</h2>\n<p>");
    html.push_str(&escape(explanation));
    html.push_str("</p>\n");
    chart.draw(html);
    html.push_str("</section>\n");
}

/// Points in the middle of their slots.
fn line_of(history: &History, of: impl Fn(&Moment) -> Option<f64>) -> Vec<Option<(f64, f64)>> {
    let middle = |index: usize| (index as f64 + 0.5) * history.slot_s;
    history.slots.iter().enumerate().map(|(index, moment)| of(moment).map(|value| (middle(index), value))).collect()
}

/// From each slot's beginning to its end.
fn steps_of(history: &History, of: impl Fn(&Moment) -> f64) -> Vec<Option<(f64, f64)>> {
    let step = |(index, moment): (usize, &Moment)| {
        let (begin, value) = (index as f64 * history.slot_s, of(moment));
        [Some((begin, value)), Some((begin + history.slot_s, value))]
    };
    history.slots.iter().enumerate().flat_map(step).collect()
}

fn time_axis(end_s: f64) -> Axis {
    Axis::exact(end_s, "since messages began to flow", span)
}

/// `-log10(1 - share)`: 1 is nine tenths, 2 is 99 of a hundred.
fn percentile_axis(count: u64) -> Axis {
    let max = (count as f64).log10().max(1.0);
    let mut ticks = vec![(0.0, Some("0 %".to_owned())), (2f64.log10(), Some("50 %".to_owned()))];
    for (index, words) in ["90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"].iter().enumerate() {
        let at = index as f64 + 1.0;
        for part in 2..10u8 {
            ticks.push((at - f64::from(part).log10(), None));
        }
        ticks.push((at, Some((*words).to_owned())));
    }
    ticks.retain(|(at, _)| *at <= max);
    Axis::own(0.0, max, "of all messages were faster", ticks)
}

/// Steps: all messages of a bucket took as long.
fn percentile_line(class: &'static str, name: &str, buckets: &Buckets) -> Line {
    let total = total(buckets) as f64;
    let (mut below, mut points) = (0, Vec::new());
    for (us, number) in buckets {
        let us = (*us).max(1) as f64;
        points.push(Some((depth(below as f64 / total, total), us)));
        below += number;
        points.push(Some((depth(below as f64 / total, total), us)));
    }
    Line { class, name: name.to_owned(), points }
}

fn percentile_dots(class: &'static str, name: &str, buckets: &Buckets) -> Vec<Dot> {
    let all = total(buckets);
    let shares = [(0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")];
    let known = shares.into_iter().filter(|(share, _)| all as f64 * (1.0 - share) >= 1.0);
    let dots = known.filter_map(|(share, words)| {
        let us = value_at(buckets, share)?.max(1) as f64;
        let what = format!("{words} {name}: {}", latency(us));
        Some(Dot { class, at: (depth(share, all as f64), us), what })
    });
    let longest = buckets.last().map(|(us, _)| {
        let us = (*us).max(1) as f64;
        Dot { class, at: (depth(1.0, all as f64), us), what: format!("the longest {name}: {}", latency(us)) }
    });
    dots.chain(longest).collect()
}

/// Where a share of all messages is on the axis. The last message is at its end.
fn depth(share: f64, total: f64) -> f64 {
    -(1.0 - share).max(1.0 / total).log10()
}

fn value_at(buckets: &Buckets, share: f64) -> Option<u64> {
    let rank = whole((total(buckets) as f64 * share).ceil()).max(1);
    let mut below = 0;
    buckets.iter().find_map(|(us, number)| {
        below += number;
        (below >= rank).then_some(*us)
    })
}

fn total(buckets: &Buckets) -> u64 {
    buckets.iter().map(|(_, number)| number).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_to_the_right_leaves_a_tenth() {
        let buckets = vec![(10, 900), (100, 90), (1_000, 9), (10_000, 1)];
        let line = percentile_line("a", "", &buckets);
        let corners: Vec<(f64, f64)> = line.points.into_iter().flatten().collect();
        let near = |(x, y): (f64, f64), (at, us): (f64, f64)| (x - at).abs() < 1e-9 && (y - us).abs() < 1e-9;
        for (index, corner) in
            [(0.0, 10.0), (1.0, 10.0), (1.0, 100.0), (2.0, 100.0), (2.0, 1e3), (3.0, 1e3), (3.0, 1e4), (3.0, 1e4)]
                .into_iter()
                .enumerate()
        {
            assert!(near(corners[index], corner), "{corners:?}");
        }
        assert_eq!([0.5, 0.9, 0.99, 0.999].map(|share| value_at(&buckets, share)), [10, 10, 100, 1_000].map(Some));
    }
}
