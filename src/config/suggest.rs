//! The name that was probably meant. Imports nothing from the crate.

/// The candidate most like `wrong`, or none that is like enough: at most a third of its characters
/// may be mistyped, or one of the two begins the other.
pub fn nearest<'a>(wrong: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A key of a thousand characters is no typing mistake, and the comparison is quadratic.
    let length = wrong.chars().count();
    if length == 0 || length > 64 {
        return None;
    }
    let allowed = (length / 3).max(1);
    let wrong = wrong.to_lowercase();
    candidates
        .filter(|candidate| candidate.len() <= 128)
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let distance = distance(&wrong, &lower);
            let begins = length >= 3 && (lower.starts_with(&wrong) || wrong.starts_with(&lower));
            (distance <= allowed || begins).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Optimal string alignment: insertions, deletions, replacements and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyped_names_are_recognised() {
        let names = ["topics", "host", "port", "keep_alive", "tls"];
        let near = |wrong| nearest(wrong, names.into_iter());
        assert_eq!(near("topic"), Some("topics"));
        assert_eq!(near("hsot"), Some("host"));
        assert_eq!(near("keep-alive"), Some("keep_alive"));
        assert_eq!(near("keepalive_seconds"), None);
        assert_eq!(near("TLS"), Some("tls"));
        assert_eq!(near("colour"), None);
        assert_eq!(near(""), None);
        assert_eq!(near(&"x".repeat(100_000)), None);
    }

    #[test]
    fn distances_are_those_of_the_definition() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
