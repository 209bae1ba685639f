//! Lines over two axes, as inline SVG. Colours are the style sheet's; all text is text.

use std::fmt::Write as _;

use super::text::escape;

/// What an axis means, and where it begins and ends.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    scale: Scale,
    min: f64,
    max: f64,
    /// Where a grid line is, with its words; without, it is a faint one.
    ticks: Vec<(f64, Option<String>)>,
    label: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Linear,
    Log,
}

/// One line. A gap in its points is a gap in it.
#[derive(Debug)]
pub(super) struct Line {
    /// Of the style sheet: a colour, and how it is drawn.
    pub(super) class: &'static str,
    pub(super) name: String,
    pub(super) points: Vec<Option<(f64, f64)>>,
}

/// A place on a line, with what stands there.
#[derive(Debug)]
pub(super) struct Dot {
    pub(super) class: &'static str,
    pub(super) at: (f64, f64),
    pub(super) what: String,
}

/// A chart: lines over two axes.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
    pub(super) dots: Vec<Dot>,
    /// A vertical line, and what it says.
    pub(super) mark: Option<(f64, &'static str)>,
    /// What it shows, for who cannot see it.
    pub(super) summary: String,
}

impl Axis {
    /// From 0 to `max` or a little above, with `show` for the words.
    pub(super) fn linear(max: f64, label: &'static str, show: impl Fn(f64) -> String) -> Axis {
        let step = round_step(max.max(1e-9) / 5.0);
        let count = crate::schedule::whole((max / step).ceil()).max(1);
        let ticks = (0..=count).map(|index| index as f64 * step).map(|at| (at, Some(show(at))));
        Axis { scale: Scale::Linear, min: 0.0, max: count as f64 * step, ticks: ticks.collect(), label }
    }

    /// From 0 to exactly `max`.
    pub(super) fn exact(max: f64, label: &'static str, show: impl Fn(f64) -> String) -> Axis {
        let mut axis = Axis::linear(max, label, show);
        axis.ticks.retain(|(at, _)| *at <= max);
        Axis { max, ..axis }
    }

    /// Powers of ten and their multiples, around what lies between `min` and `max`, both above 0.
    pub(super) fn log(min: f64, max: f64, label: &'static str, show: impl Fn(f64) -> String) -> Axis {
        let (low, high) = (min.log10().floor(), (max * 1.05).log10().ceil());
        let (mut ticks, mut decade) = (Vec::new(), low);
        let fit = |value: f64| MULTIPLES.map(|multiple| multiple * 10f64.powf(value.log10().floor())).into_iter();
        let from = fit(min).rfind(|at| *at <= min * 1.000_001).unwrap_or(min);
        let to = fit(max * 1.05).find(|at| *at >= max * 1.05).unwrap_or(10f64.powf(high));
        let is_short = (to / from).log10() < 2.5;
        while decade <= high {
            for multiple in 1..10u8 {
                let at = f64::from(multiple) * 10f64.powf(decade);
                let is_told = multiple == 1 || is_short && MULTIPLES.contains(&f64::from(multiple));
                let is_wanted = multiple == 1 || (to / from).log10() < 4.5;
                if is_wanted && at >= from * 0.999_999 && at <= to * 1.000_001 {
                    ticks.push((at, is_told.then(|| show(at))));
                }
            }
            decade += 1.0;
        }
        Axis { scale: Scale::Log, min: from, max: to.max(from * 1.000_1), ticks, label }
    }

    /// Any axis of one's own: linear from `min` to `max`, with ticks as given.
    pub(super) fn own(min: f64, max: f64, label: &'static str, ticks: Vec<(f64, Option<String>)>) -> Axis {
        Axis { scale: Scale::Linear, min, max, ticks, label }
    }

    /// Where a value is, from 0 at the axis' beginning to 1 at its end.
    fn place(&self, value: f64) -> f64 {
        let place = match self.scale {
            Scale::Linear => (value - self.min) / (self.max - self.min),
            Scale::Log => (value.max(self.min) / self.min).log10() / (self.max / self.min).log10(),
        };
        place.clamp(0.0, 1.0)
    }
}

impl Chart {
    /// With a legend of its lines, if there are several.
    pub(super) fn draw(&self, svg: &mut String) {
        if self.lines.len() > 1 {
            svg.push_str("<ul class=\"legend\">");
            for line in &self.lines {
                let name = escape(&line.name);
                put(
                    svg,
                    format_args!(
                        "<li><svg viewBox=\"0 0 26 8\" aria-hidden=\"true\"><path class=\"line {}\" d=\"M1 4H25\"/></svg>{name}</li>",
                        line.class
                    ),
                );
            }
            svg.push_str("</ul>");
        }
        let summary = escape(&self.summary);
        put(
            svg,
            format_args!(
                "<div class=\"scroll\"><svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{summary}\">\n"
            ),
        );
        self.put_grid(svg);
        self.put_mark(svg);
        for line in &self.lines {
            put(svg, format_args!("<path class=\"line {}\" d=\"{}\"/>\n", line.class, self.path(&line.points)));
        }
        for dot in &self.dots {
            let (x, y) = (self.x_of(dot.at.0), self.y_of(dot.at.1));
            let what = escape(&dot.what);
            put(
                svg,
                format_args!(
                    "<circle class=\"dot {}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"><title>{what}</title></circle>\n",
                    dot.class
                ),
            );
        }
        svg.push_str("</svg></div>\n");
    }

    fn put_grid(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (at, words) in &self.y.ticks {
            let y = self.y_of(*at);
            let class = if words.is_some() { "grid" } else { "grid faint" };
            put(svg, format_args!("<path class=\"{class}\" d=\"M{LEFT} {y:.1}H{right}\"/>"));
            if let Some(words) = words {
                let (x, y) = (LEFT - 10.0, y + 4.5);
                put(svg, format_args!("<text class=\"tick end\" x=\"{x}\" y=\"{y:.1}\">{}</text>\n", escape(words)));
            }
        }
        for (at, words) in &self.x.ticks {
            let x = self.x_of(*at);
            let class = if words.is_some() { "grid" } else { "grid faint" };
            put(svg, format_args!("<path class=\"{class}\" d=\"M{x:.1} {TOP}V{bottom}\"/>"));
            if let Some(words) = words {
                let y = bottom + 20.0;
                put(svg, format_args!("<text class=\"tick middle\" x=\"{x:.1}\" y=\"{y}\">{}</text>\n", escape(words)));
            }
        }
        let (x, y) = (WIDTH - RIGHT, HEIGHT - 6.0);
        put(svg, format_args!("<text class=\"label end\" x=\"{x}\" y=\"{y}\">{}</text>\n", self.x.label));
        put(svg, format_args!("<text class=\"label\" x=\"{LEFT}\" y=\"12\">{}</text>\n", self.y.label));
    }

    fn put_mark(&self, svg: &mut String) {
        if let Some((at, words)) = self.mark {
            let (x, bottom) = (self.x_of(at), HEIGHT - BOTTOM);
            put(svg, format_args!("<path class=\"mark\" d=\"M{x:.1} {TOP}V{bottom}\"/>"));
            let is_right = x > WIDTH / 2.0;
            let (x, class) = if is_right { (x - 7.0, "label end") } else { (x + 7.0, "label") };
            put(svg, format_args!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{}\">{words}</text>\n", TOP + 14.0));
        }
    }

    /// Points that would not move the pen are left out.
    fn path(&self, points: &[Option<(f64, f64)>]) -> String {
        let (mut path, mut pen) = (String::new(), None::<(f64, f64)>);
        let mut skipped = None;
        for point in points {
            let Some((x, y)) = point.map(|(x, y)| (self.x_of(x), self.y_of(y))) else {
                self.end_stroke(&mut path, pen, skipped.take());
                pen = None;
                continue;
            };
            match pen {
                Some((pen_x, pen_y)) if (x - pen_x).abs() < 0.5 && (y - pen_y).abs() < 0.5 => {
                    skipped = Some((x, y));
                    continue;
                }
                Some(_) => {
                    if let Some((x, y)) = skipped.take() {
                        put(&mut path, format_args!("L{x:.1} {y:.1}"));
                    }
                    put(&mut path, format_args!("L{x:.1} {y:.1}"));
                }
                None => put(&mut path, format_args!("M{x:.1} {y:.1}")),
            }
            pen = Some((x, y));
        }
        self.end_stroke(&mut path, pen, skipped);
        path
    }

    /// A stroke of a single point shall be seen, too.
    fn end_stroke(&self, path: &mut String, pen: Option<(f64, f64)>, skipped: Option<(f64, f64)>) {
        if let Some((x, y)) = skipped {
            put(path, format_args!("L{x:.1} {y:.1}"));
        } else if pen.is_some() {
            path.push_str("h0.01");
        }
    }

    fn x_of(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y_of(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)
    }
}

/// 1, 2 or 5 times a power of ten, not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let round = MULTIPLES.iter().map(|multiple| multiple * power).find(|round| *round >= step * 0.999_999);
    round.unwrap_or(power * 10.0)
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a String takes everything");
}

const MULTIPLES: [f64; 4] = [1.0, 2.0, 5.0, 10.0];
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 330.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 34.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 46.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn told(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().filter_map(|(_, words)| words.clone()).collect()
    }

    #[test]
    fn axes_have_round_numbers_and_hold_what_they_are_made_for() {
        let show = |value: f64| format!("{value:.0}");
        assert_eq!(told(&Axis::linear(4_321.0, "", show)), ["0", "1000", "2000", "3000", "4000", "5000"]);
        assert_eq!(told(&Axis::exact(42.0, "", show)), ["0", "10", "20", "30", "40"]);
        assert_eq!(told(&Axis::log(3.0, 90.0, "", show)), ["2", "5", "10", "20", "50", "100"]);
        let wide = Axis::log(1.0, 800_000.0, "", show);
        assert_eq!(told(&wide), ["1", "10", "100", "1000", "10000", "100000", "1000000"]);
        for (value, place) in [(1.0, 0.0), (1e6, 1.0), (1e3, 0.5), (0.0, 0.0), (1e9, 1.0)] {
            assert!((wide.place(value) - place).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn a_gap_in_the_points_is_a_gap_in_the_line_and_a_lonely_point_is_seen() {
        let show = |value: f64| value.to_string();
        let chart = Chart {
            x: Axis::exact(10.0, "", show),
            y: Axis::exact(10.0, "", show),
            lines: Vec::new(),
            dots: Vec::new(),
            mark: None,
            summary: String::new(),
        };
        let path = chart.path(&[Some((0.0, 0.0)), Some((5.0, 5.0)), None, Some((9.0, 9.0))]);
        assert_eq!(path.matches('M').count(), 2, "{path}");
        assert!(path.ends_with("h0.01"), "{path}");
        let dense: Vec<_> = (0..10_000).map(|index| Some((f64::from(index) / 1_000.0, 1.0))).collect();
        assert!(chart.path(&dense).len() < 50_000);
    }
}
