//! How far the scores of two replays differ.

/// The largest difference of the published scores in two files of `replay --scores`, relative to
/// max(1, score); every frame must be in both, scored or not scored alike.
pub fn largest_difference(one: &str, other: &str) -> f64 {
    assert_eq!(one.lines().count(), other.lines().count());
    let mut largest: f64 = 0.0;
    let mut scored = 0;
    for (one, other) in one.lines().zip(other.lines()).skip(1) {
        let one: Vec<&str> = one.split(',').collect();
        let other: Vec<&str> = other.split(',').collect();
        assert_eq!((one[0], one[1].is_empty()), (other[0], other[1].is_empty()));
        if let (Ok(one), Ok(other)) = (one[1].parse::<f64>(), other[1].parse::<f64>()) {
            scored += 1;
            largest = largest.max((one - other).abs() / one.abs().max(1.0));
        }
    }
    assert!(scored > 1_000, "only {scored} frames have a score");
    largest
}
