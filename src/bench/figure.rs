//! Figures as people read them. Imports nothing.

/// Three significant figures, and whole numbers whole.
pub fn short(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if size >= 99.95 || value == value.round() => format!("{value:.0}"),
        _ if size >= 9.995 => format!("{value:.1}"),
        _ if size >= 0.9995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        for (value, text) in [
            (0.0, "0"),
            (0.0461, "0.046"),
            (1.378, "1.38"),
            (8.0, "8"),
            (13.06, "13.1"),
            (99.97, "100"),
            (76_923.4, "76923"),
            (-3.21, "-3.21"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
