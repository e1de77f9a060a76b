//! How unusual each residual is: standardised by its slowly re-centred spread, at two speeds.
//!
//! One column is one head of one sensor. The arithmetic stands once, in [`Residuals::step`];
//! calibration runs the very same code as the daemon.

/// z is clipped to ±`CLIP_Z`.
pub const CLIP_Z: f32 = 50.0;
/// Re-centring time constant in samples: faster absorbs real events, unfrozen too.
pub const TAU: f32 = 3000.0;
/// The spread may grow to this multiple of its calibrated value.
pub const SPREAD_GROWTH: f32 = 5.0;
/// Rate a of the slow average.
pub const SLOW_RATE: f32 = 0.1;
/// E|z| of a standard normal is 1/1.2533: the spread settles where the mean deviation says so.
const MEAN_DEVIATION: f32 = 1.2533;

/// Calibrated constants of one column (`model::manifest::ResidualSpread`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Column {
    /// m0
    pub median: f32,
    /// s0
    pub spread: f32,
    /// sig of z itself (a = 1)
    pub fast: f32,
    /// sig of the slow average
    pub slow: f32,
}

/// State of all columns, head-major: column `h * F + i`.
#[derive(Debug, Clone)]
pub struct Residuals {
    sensors: usize,
    spread0: Vec<f32>,
    inverse_fast: Vec<f32>,
    inverse_slow: Vec<f32>,
    /// m
    centre: Vec<f32>,
    /// s
    spread: Vec<f32>,
    /// E of a = 0.1
    average: Vec<f32>,
    /// u of a = 1 and of a = 0.1 at the newest sample
    fast: Vec<f32>,
    slow: Vec<f32>,
    /// r − m of the newest sample, with the m that judged it
    deviation: Vec<f32>,
}

impl Residuals {
    /// `columns` `[heads·F]`, head-major.
    pub fn new(sensors: usize, columns: &[Column]) -> Self {
        debug_assert_eq!(columns.len() % sensors.max(1), 0);
        Residuals {
            sensors,
            spread0: columns.iter().map(|c| c.spread).collect(),
            inverse_fast: columns.iter().map(|c| 1.0 / c.fast).collect(),
            inverse_slow: columns.iter().map(|c| 1.0 / c.slow).collect(),
            centre: columns.iter().map(|c| c.median).collect(),
            spread: columns.iter().map(|c| c.spread).collect(),
            average: vec![0.0; columns.len()],
            fast: vec![0.0; columns.len()],
            slow: vec![0.0; columns.len()],
            deviation: vec![0.0; columns.len()],
        }
    }

    pub fn sensors(&self) -> usize {
        self.sensors
    }

    pub fn heads(&self) -> usize {
        self.spread0.len() / self.sensors.max(1)
    }

    /// Forgets the averages (a gap: what was before says nothing about what is now), keeps the
    /// slowly learnt centres and spreads.
    pub fn restart(&mut self) {
        self.average.fill(0.0);
        self.fast.fill(0.0);
        self.slow.fill(0.0);
    }

    /// Forgets the averages of one sensor, as [`Residuals::restart`] does of all.
    pub fn restart_sensor(&mut self, i: usize) {
        for h in 0..self.heads() {
            let column = h * self.sensors + i;
            self.average[column] = 0.0;
            self.fast[column] = 0.0;
            self.slow[column] = 0.0;
        }
    }

    /// Takes head `h`'s residuals x − expected, both `[F]`. `scored` `[F]` is 1 for a sensor that
    /// counts and 0 for a stale one, whose columns stand still and show u = 0. While `frozen`
    /// (an alarm is on) nothing is re-centred.
    pub fn step(&mut self, h: usize, x: &[f32], expected: &[f32], scored: &[f32], frozen: bool) {
        // All slices of one length, which the compiler must see: then it steps several columns at once.
        let n = self.sensors;
        let columns = h * n..h * n + n;
        let (x, expected, scored) = (&x[..n], &expected[..n], &scored[..n]);
        let rate = if frozen { 0.0 } else { 1.0 / TAU };
        let spread0 = &self.spread0[columns.clone()];
        let inverse_fast = &self.inverse_fast[columns.clone()];
        let inverse_slow = &self.inverse_slow[columns.clone()];
        let centre = &mut self.centre[columns.clone()];
        let spread = &mut self.spread[columns.clone()];
        let average = &mut self.average[columns.clone()];
        let fast = &mut self.fast[columns.clone()];
        let slow = &mut self.slow[columns.clone()];
        let deviation = &mut self.deviation[columns];
        for i in 0..n {
            let off = x[i] - expected[i] - centre[i];
            let z = (off / spread[i]).clamp(-CLIP_Z, CLIP_Z);
            average[i] += scored[i] * SLOW_RATE * (z - average[i]);
            fast[i] = scored[i] * z.abs() * inverse_fast[i];
            slow[i] = scored[i] * average[i].abs() * inverse_slow[i];
            deviation[i] = off;
            let rate = scored[i] * rate;
            centre[i] += rate * within(off, -spread[i], spread[i]);
            let wider = 1.0 + rate * (MEAN_DEVIATION * z.abs() - 1.0).clamp(-1.0, 1.0);
            spread[i] = within(spread[i] * wider, spread0[i], SPREAD_GROWTH * spread0[i]);
        }
    }

    /// u of a = 1, `[F]` of head `h`.
    pub fn fast(&self, h: usize) -> &[f32] {
        &self.fast[h * self.sensors..(h + 1) * self.sensors]
    }

    /// u of a = 0.1, `[F]` of head `h`.
    pub fn slow(&self, h: usize) -> &[f32] {
        &self.slow[h * self.sensors..(h + 1) * self.sensors]
    }

    /// Residual minus its centre, of head `h` and sensor `i`, at the newest sample.
    pub fn deviation(&self, h: usize, i: usize) -> f32 {
        self.deviation[h * self.sensors + i]
    }

    /// E of the slow average, signed (calibration needs it before sig is known).
    pub fn average(&self, h: usize) -> &[f32] {
        &self.average[h * self.sensors..(h + 1) * self.sensors]
    }

    /// The slowly learnt part of the state, to be kept across a restart: centres and spreads.
    pub fn learnt(&self) -> (&[f32], &[f32]) {
        (&self.centre, &self.spread)
    }

    /// Takes back what [`Residuals::learnt`] gave; refuses lengths of another model.
    pub fn set_learnt(&mut self, centre: &[f32], spread: &[f32]) -> bool {
        let fits = centre.len() == self.centre.len() && spread.len() == self.spread.len();
        let finite = centre.iter().chain(spread).all(|value| value.is_finite());
        if !fits || !finite {
            return false;
        }
        self.centre.copy_from_slice(centre);
        for ((kept, given), s0) in self.spread.iter_mut().zip(spread).zip(&self.spread0) {
            *kept = given.clamp(*s0, SPREAD_GROWTH * s0);
        }
        true
    }
}

/// As `f32::clamp`, whose check of its bounds would keep the loop over the columns from being
/// vectorised: here they are in order, for a spread is above 0.
fn within(value: f32, least: f32, most: f32) -> f32 {
    let value = if value < least { least } else { value };
    if value > most { most } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: Column = Column {
        median: 0.0,
        spread: 1.0,
        fast: 1.0,
        slow: 1.0,
    };

    #[test]
    fn a_step_change_shows_at_once_and_builds_up_slowly() {
        let mut residuals = Residuals::new(1, &[UNIT]);
        residuals.step(0, &[5.0], &[1.0], &[1.0], false);
        assert_eq!(residuals.fast(0), [4.0]);
        assert!((residuals.slow(0)[0] - 0.4).abs() < 1e-6);
        for _ in 0..100 {
            residuals.step(0, &[5.0], &[1.0], &[1.0], true);
        }
        assert!((residuals.slow(0)[0] - 4.0).abs() < 0.01);
    }

    #[test]
    fn re_centring_is_slow_bounded_and_stands_still_in_alarm() {
        let mut residuals = Residuals::new(1, &[UNIT]);
        for _ in 0..300 {
            residuals.step(0, &[10.0], &[0.0], &[1.0], false);
        }
        // 300 of 3000 samples, each step at most one spread: the spread itself has grown by < 1.11.
        let moved = residuals.learnt().0[0];
        assert!((0.1..0.112).contains(&moved), "{moved}");
        for _ in 0..300 {
            residuals.step(0, &[10.0], &[0.0], &[1.0], true);
        }
        assert_eq!(residuals.learnt().0[0], moved);
    }

    #[test]
    fn the_spread_stays_within_its_bounds() {
        let mut residuals = Residuals::new(1, &[UNIT]);
        for _ in 0..100_000 {
            residuals.step(0, &[1e9], &[0.0], &[1.0], false);
        }
        assert!(residuals.learnt().1[0] <= SPREAD_GROWTH);
        for _ in 0..100_000 {
            let m = residuals.learnt().0[0];
            residuals.step(0, &[m], &[0.0], &[1.0], false);
        }
        assert_eq!(residuals.learnt().1[0], 1.0);
    }

    #[test]
    fn a_stale_sensor_neither_counts_nor_learns() {
        let mut residuals = Residuals::new(2, &[UNIT, UNIT]);
        residuals.step(0, &[9.0, 9.0], &[0.0, 0.0], &[0.0, 1.0], false);
        assert_eq!((residuals.fast(0)[0], residuals.slow(0)[0]), (0.0, 0.0));
        assert_eq!(residuals.learnt().0[0], 0.0);
        assert!(residuals.fast(0)[1] > 8.0);
    }

    #[test]
    fn learnt_state_of_another_model_is_refused() {
        let mut residuals = Residuals::new(2, &[UNIT, UNIT]);
        assert!(!residuals.set_learnt(&[0.0], &[1.0]));
        assert!(!residuals.set_learnt(&[f32::NAN, 0.0], &[1.0, 1.0]));
        assert!(residuals.set_learnt(&[0.5, 0.0], &[9.0, 1.0]));
        assert_eq!(residuals.learnt().1, [SPREAD_GROWTH, 1.0]);
    }
}
