//! Contiguous folds: every row is judged by a model that never saw it or its neighbours in time.

use std::ops::Range;

/// One fold: the rows to judge and the rows to learn from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    pub judged: Range<usize>,
    /// Up to two ranges, before and after the judged rows, `embargo` rows away from them.
    pub learnt: Vec<Range<usize>>,
}

/// Splits `rows` rows into `count` contiguous folds.
pub fn folds(rows: usize, count: usize, embargo: usize) -> Vec<Fold> {
    (0..count)
        .map(|k| {
            let judged = rows * k / count..rows * (k + 1) / count;
            let before = 0..judged.start.saturating_sub(embargo);
            let after = (judged.end + embargo).min(rows)..rows;
            let learnt = [before, after]
                .into_iter()
                .filter(|range| !range.is_empty())
                .collect();
            Fold { judged, learnt }
        })
        .collect()
}

/// Cuts `ranges` where `restart` says that a row does not follow from the one before it, so that
/// no window spans a gap. Pieces shorter than `window` rows are dropped.
pub fn segments(ranges: &[Range<usize>], restart: &[bool], window: usize) -> Vec<(usize, usize)> {
    let mut cut = Vec::new();
    for range in ranges {
        let mut start = range.start;
        for row in range.clone() {
            if restart[row] && row > start {
                cut.push((start, row));
                start = row;
            }
        }
        cut.push((start, range.end));
    }
    cut.retain(|(start, end)| end - start >= window);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_cover_every_row_once_and_keep_their_distance() {
        for (rows, count, embargo) in [(100, 5, 10), (7, 3, 10), (1_460, 3, 10), (5, 5, 0)] {
            let mut next = 0;
            for fold in folds(rows, count, embargo) {
                assert_eq!(fold.judged.start, next);
                next = fold.judged.end;
                for row in fold.learnt.iter().cloned().flatten() {
                    let distance = if row < fold.judged.start {
                        fold.judged.start - row
                    } else {
                        row + 1 - fold.judged.end
                    };
                    assert!(distance > embargo, "{row} {fold:?}");
                }
            }
            assert_eq!(next, rows);
        }
    }

    #[test]
    fn segments_never_span_a_gap() {
        let mut restart = vec![false; 20];
        for row in [0, 5, 12] {
            restart[row] = true;
        }
        assert_eq!(
            segments(std::slice::from_ref(&(0..20)), &restart, 3),
            [(0, 5), (5, 12), (12, 20)]
        );
        assert_eq!(
            segments(std::slice::from_ref(&(3..14)), &restart, 3),
            [(5, 12)]
        );
    }
}
