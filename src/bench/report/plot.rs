//! Lines over axes as SVG, with colours left to the page's style. Imports its parent `report` only.

use std::fmt::Write;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 54.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 58.0;
const BOTTOM: f64 = 40.0;
/// What is below this on a logarithmic axis (of milliseconds) is drawn as this.
const LEAST: f64 = 1e-2;
/// More points than pixels only make the file larger.
const MOST_POINTS: usize = 1200;

/// How values become places; the text is the unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Axis {
    Linear(&'static str),
    FromZero(&'static str),
    Log(&'static str),
    /// Shares from 0 to 1, with the more room the nearer to 1: 0.9, 0.99 and 0.999 are equally far apart.
    Tail,
}

#[derive(Debug)]
pub struct Line {
    name: String,
    /// In the page's style: `a`, `b`, `c`.
    class: &'static str,
    points: Vec<(f64, f64)>,
}

impl Line {
    pub fn new(name: &str, class: &'static str, mut points: Vec<(f64, f64)>) -> Line {
        points.retain(|(x, y)| x.is_finite() && y.is_finite());
        Line {
            name: name.to_owned(),
            class,
            points,
        }
    }
}

#[derive(Debug)]
pub struct Plot {
    pub title: String,
    pub caption: String,
    pub x: Axis,
    pub y: Axis,
    pub lines: Vec<Line>,
    /// Levels to compare with.
    pub marks: Vec<(String, f64)>,
}

/// A range of values on an axis.
struct Scale {
    axis: Axis,
    low: f64,
    high: f64,
}

impl Scale {
    fn over(axis: Axis, values: impl Iterator<Item = f64>) -> Scale {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let (low, high) = match axis {
            Axis::FromZero(_) => (0.0, if high > 0.0 { high * 1.08 } else { 1.0 }),
            Axis::Linear(_) if high - low > 1e-9 => (low, high),
            Axis::Linear(_) => (low - 1.0, high + 1.0),
            // Whole decades, at least one.
            Axis::Log(_) => {
                let low = low.max(LEAST).log10().floor();
                let high = high.max(LEAST).log10().ceil().max(low + 1.0);
                (10_f64.powf(low), 10_f64.powf(high))
            }
            // From half of all to the last one of those that there are.
            Axis::Tail => (0.0, high.clamp(0.9, 1.0 - 1e-9)),
        };
        Scale { axis, low, high }
    }

    /// From 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let of = |value: f64| match self.axis {
            Axis::Linear(_) | Axis::FromZero(_) => value,
            Axis::Log(_) => value.max(self.low).log10(),
            Axis::Tail => -(1.0 - value.min(self.high)).log10(),
        };
        (of(value) - of(self.low)) / (of(self.high) - of(self.low))
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        let within = |value: &f64| *value >= self.low - 1e-9 && *value <= self.high + 1e-9;
        match self.axis {
            Axis::Linear(_) | Axis::FromZero(_) => {
                let step = step((self.high - self.low) / 5.0);
                let first = (self.low / step).ceil() as i64;
                let ticks = (first..first + 12).map(|tick| tick as f64 * step);
                let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
                ticks
                    .filter(within)
                    .map(|tick| (tick, format!("{tick:.decimals$}")))
                    .collect()
            }
            Axis::Log(_) => {
                let decades = self.low.log10().round() as i32..=self.high.log10().round() as i32;
                let label = |decade: i32| match decade {
                    0.. => format!("{:.0}", 10_f64.powi(decade)),
                    _ => format!("{:.*}", decade.unsigned_abs() as usize, 10_f64.powi(decade)),
                };
                decades
                    .map(|decade| (10_f64.powi(decade), label(decade)))
                    .collect()
            }
            Axis::Tail => [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999]
                .into_iter()
                .filter(within)
                .map(|share| (share, format!("{} %", (share * 1e8).round() / 1e6)))
                .collect(),
        }
    }

    fn unit(&self) -> &'static str {
        match self.axis {
            Axis::Linear(unit) | Axis::FromZero(unit) | Axis::Log(unit) => unit,
            Axis::Tail => "",
        }
    }
}

/// The step above `least` that people count in: 1, 2 or 5 and zeros.
fn step(least: f64) -> f64 {
    let decade = 10_f64.powf(least.max(1e-12).log10().floor());
    let fits = [1.0, 2.0, 5.0, 10.0].map(|one| one * decade);
    fits.into_iter()
        .find(|one| *one >= least * 0.999)
        .unwrap_or(least)
}

impl Plot {
    pub fn svg(&self) -> String {
        let mut svg = String::new();
        // A String never refuses to be written to.
        let _ = self.draw(&mut svg);
        svg
    }

    fn draw(&self, svg: &mut String) -> std::fmt::Result {
        let title = super::escaped(&self.title);
        writeln!(
            svg,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\
             <text class=\"title\" x=\"0\" y=\"16\">{title}</text>\
             <text class=\"caption\" x=\"0\" y=\"33\">{}</text>",
            super::escaped(&self.caption)
        )?;
        let points = || self.lines.iter().flat_map(|line| &line.points);
        if points().next().is_none() {
            let (x, y) = (WIDTH / 2.0, HEIGHT / 2.0);
            writeln!(
                svg,
                "<text class=\"empty\" x=\"{x}\" y=\"{y}\">no readings</text></svg>"
            )?;
            return Ok(());
        }
        let marked = self.marks.iter().map(|(_, level)| *level);
        let x = Scale::over(self.x, points().map(|point| point.0));
        let y = Scale::over(self.y, points().map(|point| point.1).chain(marked));
        let across = |value: f64| LEFT + x.place(value) * (WIDTH - LEFT - RIGHT);
        let down = |value: f64| HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM);

        for (value, label) in y.ticks() {
            let at = down(value);
            write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"y\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0
            )?;
        }
        let foot = HEIGHT - BOTTOM;
        for (value, label) in x.ticks() {
            let at = across(value);
            write!(
                svg,
                "<line class=\"tick\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{foot}\" y2=\"{:.1}\"/>\
                 <text class=\"x\" x=\"{at:.1}\" y=\"{:.1}\">{label}</text>",
                foot + 4.0,
                foot + 17.0
            )?;
        }
        writeln!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{foot}\" y2=\"{foot}\"/>\
             <text class=\"x\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\
             <text class=\"unit\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            WIDTH - RIGHT,
            LEFT + (WIDTH - LEFT - RIGHT) / 2.0,
            HEIGHT - 6.0,
            x.unit(),
            LEFT - 6.0,
            TOP - 8.0,
            y.unit()
        )?;
        for (name, level) in &self.marks {
            let at = down(*level);
            writeln!(
                svg,
                "<line class=\"mark\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"mark\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                WIDTH - RIGHT,
                LEFT + 4.0,
                at - 4.0,
                super::escaped(name)
            )?;
        }
        let mut legend = LEFT;
        for line in &self.lines {
            let stride = line.points.len().div_ceil(MOST_POINTS).max(1);
            let shown = line.points.iter().step_by(stride).chain(line.points.last());
            let places: Vec<String> = shown
                .map(|(px, py)| format!("{:.1},{:.1}", across(*px), down(*py)))
                .collect();
            if places.is_empty() {
                continue;
            }
            let class = line.class;
            writeln!(
                svg,
                "<polyline class=\"line {class}\" points=\"{}\"/>",
                places.join(" ")
            )?;
            if self.lines.len() > 1 {
                let (at, name) = (TOP - 12.0, super::escaped(&line.name));
                write!(
                    svg,
                    "<line class=\"line {class}\" x1=\"{legend:.1}\" x2=\"{:.1}\" y1=\"{at}\" y2=\"{at}\"/>\
                     <text class=\"legend\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
                    legend + 18.0,
                    legend + 23.0,
                    at + 4.0
                )?;
                // A letter takes about so much at this size.
                legend += 40.0 + 6.6 * line.name.chars().count() as f64;
            }
        }
        svg.push_str("</svg>\n");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: Axis, values: &[f64]) -> Vec<String> {
        let scale = Scale::over(axis, values.iter().copied());
        scale.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_where_people_count() {
        assert_eq!(
            labels(Axis::FromZero("%"), &[4.0]),
            ["0", "1", "2", "3", "4"]
        );
        assert_eq!(labels(Axis::Linear("C"), &[48.0, 61.0]), ["50", "55", "60"]);
        assert_eq!(
            labels(Axis::Log("ms"), &[0.03, 4.0]),
            ["0.01", "0.1", "1", "10"]
        );
        assert_eq!(
            labels(Axis::Tail, &[0.0, 0.9995]),
            ["0 %", "50 %", "90 %", "99 %", "99.9 %"]
        );
    }

    #[test]
    fn places_go_from_one_end_to_the_other() {
        for (axis, values) in [
            (Axis::Linear(""), [3.0, 9.0]),
            (Axis::Log(""), [0.01, 10.0]),
            (Axis::Tail, [0.0, 0.999]),
        ] {
            let scale = Scale::over(axis, values.into_iter());
            assert!(scale.place(values[0]).abs() < 1e-9, "{axis:?}");
            assert!((scale.place(values[1]) - 1.0).abs() < 1e-9, "{axis:?}");
        }
        let tail = Scale::over(Axis::Tail, [0.0, 0.999].into_iter());
        assert!((tail.place(0.9) - 1.0 / 3.0).abs() < 1e-9);
        // All alike, and nothing at all: still a scale.
        assert!(
            Scale::over(Axis::Linear(""), [5.0].into_iter())
                .place(5.0)
                .is_finite()
        );
        assert!(
            Scale::over(Axis::FromZero(""), [0.0].into_iter())
                .place(0.0)
                .is_finite()
        );
    }

    #[test]
    fn long_series_are_thinned_and_keep_their_end() {
        let points: Vec<(f64, f64)> = (0..100_000).map(|n| (f64::from(n), 1.0)).collect();
        let plot = Plot {
            title: "t".to_owned(),
            caption: String::new(),
            x: Axis::Linear("s"),
            y: Axis::FromZero("MiB"),
            lines: vec![Line::new("one", "a", points)],
            marks: vec![("cap".to_owned(), 2.0)],
        };
        let svg = plot.svg();
        assert!(svg.len() < 40_000, "{}", svg.len());
        assert!(svg.contains(&format!("{:.1},", WIDTH - RIGHT)));
    }
}
