//! Volume under the precision-recall surface (VUS-PR): the area under the curve, averaged over how
//! tolerant the labels are about the edges of an event. Imports nothing outside `evaluate`.
//!
//! Paparrizos, Boniol, Palpanas, Tsay, Elmore and Franklin, "Volume Under the Surface: A New
//! Accuracy Evaluation Measure for Time-Series Anomaly Detection", PVLDB 15(11), 2022, in the form
//! that the authors' package `vus` 0.0.6 computes with `version='opt'`: same thresholds, same buffers,
//! same values. Here each row is placed at the first threshold that predicts it, once; then each
//! buffer costs one pass over rows and thresholds instead of one over rows × thresholds.

use super::ranking::{Steps, every_rank};

/// The buffers of [`vus_pr`] run from 0 to this many rows unless told otherwise: two default windows
/// of 10 rows. A wider buffer forgives more and gives higher figures, so a narrow one is the honest
/// side to err on; docs/evaluation.md has the figures for others.
pub const DEFAULT_BUFFER_ROWS: usize = 20;

/// Which thresholds the curve is drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Grid {
    /// Every distinct score: exact. A coarse grid steps over rare events: with one event in 0.7 %
    /// of the rows, 100 steps cannot tell a good ranking from a perfect one.
    #[default]
    EveryScore,
    /// This many ranks (at least 2), evenly spaced over the rows, as the package has them (its
    /// default is 250).
    Ranks(usize),
}

/// VUS-PR in 0..=1.
///
/// Around each run of anomalous rows the labels fall off as √(1 − d/w) up to w/2 rows away; for
/// w = 0..=`buffer` the area Σ (R_k − R_{k−1}) · P_k is taken over the thresholds and averaged, with
/// P = TP / predicted and R = min(TP / (mean of plain and buffered positives), 1) × share of events
/// touched.
///
/// Equal scores form one step. A row without a score (NaN) takes the lowest rank. `None` when no
/// row is labelled anomalous: the metric has no meaning then. Labels of separate recordings placed
/// one after another are not parted, as in the package.
///
/// # Panics
/// When the slices differ in length.
pub fn vus_pr(scores: &[f64], labels: &[bool], buffer: usize, grid: Grid) -> Option<f64> {
    assert_eq!(scores.len(), labels.len(), "one label for each score");
    let events = runs(labels);
    if events.is_empty() {
        return None;
    }
    let steps = Steps::new(scores, &grid.ranks(scores.len()));
    let mut surface = Surface::new(labels, events, steps);
    let total: f64 = (0..=buffer).map(|window| surface.area(window)).sum();
    Some((total / (buffer + 1) as f64).clamp(0.0, 1.0))
}

impl Grid {
    fn ranks(self, rows: usize) -> Vec<usize> {
        match self {
            Grid::EveryScore => every_rank(rows),
            Grid::Ranks(count) => {
                let last = rows - 1;
                let count = count.max(2);
                let step = last as f64 / (count - 1) as f64;
                (0..count)
                    .map(|k| {
                        if k + 1 == count {
                            last
                        } else {
                            (k as f64 * step) as usize
                        }
                    })
                    .collect()
            }
        }
    }
}

/// Runs of true as `(first, last)` rows, both inclusive.
fn runs(labels: &[bool]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for row in (0..labels.len()).filter(|&row| labels[row]) {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == row => *last = row,
            _ => runs.push((row, row)),
        }
    }
    runs
}

struct Surface<'a> {
    labels: &'a [bool],
    events: Vec<(usize, usize)>,
    steps: Steps,
    positives: f64,
    /// `[steps]`: anomalous rows predicted so far; the same for every buffer.
    plain_hits: Vec<f64>,
    /// `[rows]`, scratch: the buffered label of rows near events, zero between uses.
    soft: Vec<f64>,
    /// `[steps]`, scratch.
    soft_hits: Vec<f64>,
    /// `[steps]`, scratch: groups of events that the step is the first to touch.
    touched: Vec<u32>,
}

impl<'a> Surface<'a> {
    fn new(labels: &'a [bool], events: Vec<(usize, usize)>, steps: Steps) -> Self {
        let mut plain_hits = vec![0.0; steps.count()];
        for (row, _) in labels.iter().enumerate().filter(|(_, label)| **label) {
            plain_hits[steps.of_row[row] as usize] += 1.0;
        }
        let mut positives = 0.0;
        for hits in &mut plain_hits {
            positives += *hits;
            *hits = positives;
        }
        Surface {
            labels,
            events,
            positives,
            plain_hits,
            soft: vec![0.0; labels.len()],
            soft_hits: vec![0.0; steps.count()],
            touched: vec![0; steps.count()],
            steps,
        }
    }

    /// Area under the precision-recall curve for one buffer.
    fn area(&mut self, window: usize) -> f64 {
        self.soft_hits.fill(0.0);
        self.touched.fill(0);
        self.soften(window);
        let groups = self.groups(window / 2);
        for &(first, last) in &groups {
            let mut earliest = u32::MAX;
            for row in first..=last {
                let step = self.steps.of_row[row];
                earliest = earliest.min(step);
                if !self.labels[row] {
                    self.soft_hits[step as usize] += self.soft[row].min(1.0);
                }
                self.soft[row] = 0.0;
            }
            self.touched[earliest as usize] += 1;
        }
        let (mut soft, mut touched, mut recall_before, mut area) = (0.0, 0u32, 0.0, 0.0);
        for step in 0..self.steps.count() {
            soft += self.soft_hits[step];
            touched += self.touched[step];
            let true_positives = self.plain_hits[step] + soft;
            // Half way between the plain and the buffered positives, of which only the predicted
            // part of the buffers counts, so that nobody has to alarm in a buffer.
            let expected = self.positives + soft / 2.0;
            let share_touched = f64::from(touched) / groups.len() as f64;
            let recall = (true_positives / expected).min(1.0) * share_touched;
            let precision = true_positives / self.steps.predicted[step] as f64;
            area += (recall - recall_before) * precision;
            recall_before = recall;
        }
        area
    }

    /// Adds √(1 − d/w) to the rows d = 1..=w/2 before and after each event (buffers that overlap
    /// add up; the reader caps them at 1).
    fn soften(&mut self, window: usize) {
        for distance in 1..=window / 2 {
            let weight = (1.0 - distance as f64 / window as f64).sqrt();
            for &(first, last) in &self.events {
                if let Some(row) = first.checked_sub(distance) {
                    self.soft[row] += weight;
                }
                if let Some(soft) = self.soft.get_mut(last + distance) {
                    *soft += weight;
                }
            }
        }
    }

    /// Events widened by `half` rows on both sides, those that then touch being one.
    fn groups(&self, half: usize) -> Vec<(usize, usize)> {
        let end = self.labels.len() - 1;
        let mut groups: Vec<(usize, usize)> = Vec::with_capacity(self.events.len());
        for &(first, last) in &self.events {
            let (first, last) = (first.saturating_sub(half), (last + half).min(end));
            match groups.last_mut() {
                Some(group) if group.1 >= first => group.1 = last,
                _ => groups.push((first, last)),
            }
        }
        groups
    }
}
