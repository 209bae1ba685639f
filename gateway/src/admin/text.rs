//! The Prometheus text format, version 0.0.4: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Write;

use storage::Histogram;

/// The media type of the format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Goes up only; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Times in buckets.
    Histogram,
}

/// The samples of one family, one after the other.
pub(crate) struct Samples<'a> {
    out: &'a mut String,
    name: &'static str,
    /// Labels that every sample of the moment has, rendered.
    common: String,
}

/// Writes one family: what it is, then what `write` gives.
pub(crate) fn family(
    out: &mut String,
    name: &'static str,
    kind: Kind,
    help: &str,
    write: impl FnOnce(&mut Samples<'_>),
) {
    let kind = match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    line(out, format_args!("# HELP {name} {}", escape(help, false)));
    line(out, format_args!("# TYPE {name} {kind}"));
    write(&mut Samples { out, name, common: String::new() });
}

impl Samples<'_> {
    /// From here on every sample is of this shard.
    pub(crate) fn of_shard(&mut self, shard: usize) {
        self.common = format!("shard=\"{shard}\"");
    }

    /// A sample without labels of its own.
    pub(crate) fn value(&mut self, value: u64) {
        self.sample("", &[], format_args!("{value}"));
    }

    /// A sample in seconds, or another fraction.
    pub(crate) fn fraction(&mut self, value: f64) {
        self.sample("", &[], format_args!("{value}"));
    }

    /// A sample with labels.
    pub(crate) fn labelled(&mut self, labels: &[(&str, &str)], value: u64) {
        self.sample("", labels, format_args!("{value}"));
    }

    /// One of a closed set of states: 1 for the one that holds, 0 for the others.
    pub(crate) fn state(&mut self, label: &str, all: &[&str], holds: &str) {
        for state in all {
            self.labelled(&[(label, state)], u64::from(*state == holds));
        }
    }

    /// The buckets, sum and count of a histogram.
    pub(crate) fn histogram(&mut self, histogram: &Histogram) {
        for (bound_us, count) in histogram.cumulative() {
            let bound = seconds(bound_us).to_string();
            self.sample("_bucket", &[("le", &bound)], format_args!("{count}"));
        }
        let count = histogram.count();
        self.sample("_bucket", &[("le", "+Inf")], format_args!("{count}"));
        self.sample("_sum", &[], format_args!("{}", seconds(histogram.sum_us())));
        self.sample("_count", &[], format_args!("{count}"));
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: std::fmt::Arguments<'_>) {
        let own = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value, true)));
        let common = Some(self.common.clone()).filter(|common| !common.is_empty());
        let all: Vec<String> = common.into_iter().chain(own).collect();
        let name = self.name;
        if all.is_empty() {
            line(self.out, format_args!("{name}{suffix} {value}"));
        } else {
            line(self.out, format_args!("{name}{suffix}{{{}}} {value}", all.join(",")));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 285 years")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a string takes everything");
}

/// Backslash and line feed, and in the value of a label the quote.
fn escape(text: &str, is_label: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if is_label => escaped.push_str("\\\""),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_says_what_it_is_and_then_its_samples() {
        let mut out = String::new();
        family(&mut out, "frames_total", Kind::Counter, "Frames.", |samples| {
            samples.of_shard(0);
            samples.labelled(&[("type", "ping")], 3);
            samples.of_shard(1);
            samples.value(4);
        });
        family(&mut out, "ratio", Kind::Gauge, "A \"ratio\" \\ of\ntwo.", |samples| samples.fraction(0.25));
        let expected = "# HELP frames_total Frames.\n# TYPE frames_total counter\n\
                        frames_total{shard=\"0\",type=\"ping\"} 3\nframes_total{shard=\"1\"} 4\n\
                        # HELP ratio A \"ratio\" \\\\ of\\ntwo.\n# TYPE ratio gauge\nratio 0.25\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn label_values_are_escaped() {
        let mut out = String::new();
        family(&mut out, "x", Kind::Gauge, "X.", |samples| samples.labelled(&[("a", "b\"c\\d\ne")], 1));
        assert!(out.ends_with("x{a=\"b\\\"c\\\\d\\ne\"} 1\n"), "{out}");
    }

    #[test]
    fn a_histogram_has_cumulative_buckets_in_seconds() {
        let mut histogram = Histogram::default();
        for us in [5, 900, 1_000, 100_000_000] {
            histogram.record(us);
        }
        let mut out = String::new();
        family(&mut out, "t_seconds", Kind::Histogram, "T.", |samples| samples.histogram(&histogram));
        let lines: Vec<_> = out.lines().skip(2).collect();
        assert_eq!(lines[0], "t_seconds_bucket{le=\"0.000008\"} 1");
        assert_eq!(lines[7], "t_seconds_bucket{le=\"0.001024\"} 3");
        assert_eq!(lines[23], "t_seconds_bucket{le=\"67.108864\"} 3");
        assert_eq!(lines[24..], ["t_seconds_bucket{le=\"+Inf\"} 4", "t_seconds_sum 100.001905", "t_seconds_count 4"]);
    }

    #[test]
    fn one_state_holds() {
        let mut out = String::new();
        family(&mut out, "s", Kind::Gauge, "S.", |samples| samples.state("state", &["a", "b"], "b"));
        assert!(out.ends_with("s{state=\"a\"} 0\ns{state=\"b\"} 1\n"), "{out}");
    }
}
