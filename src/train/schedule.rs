//! How the learning rate changes from step to step: a linear warm-up, then a decay, as optax's schedules.

use std::f64::consts::PI;

/// The learning rate of every step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The largest rate.
    pub rate: f64,
    /// The steps in which the rate grows from 0 to its largest value.
    pub warmup: u64,
    /// What follows.
    pub decay: Decay,
}

/// How the rate falls after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decay {
    /// It does not.
    Constant,
    /// To 0 at the last step, as half a cosine.
    Cosine,
}

impl Schedule {
    /// The rate of step `step`, counted from 0, of a run of `steps`.
    pub fn at(&self, step: u64, steps: u64) -> f64 {
        if step < self.warmup {
            return self.rate * step as f64 / self.warmup as f64;
        }
        match self.decay {
            Decay::Constant => self.rate,
            Decay::Cosine => {
                let whole = steps.saturating_sub(self.warmup).max(1);
                let done = (step - self.warmup).min(whole) as f64 / whole as f64;
                self.rate * 0.5 * (1.0 + (PI * done).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks rates against optax's, made in f64.
    fn check(schedule: Schedule, steps: u64, wanted: &[(u64, f64)]) {
        for (step, wanted) in wanted {
            let found = schedule.at(*step, steps);
            assert!((found - wanted).abs() < 1e-15, "step {step}: {found} is not {wanted}");
        }
    }

    #[test]
    fn rates_are_optaxs() {
        let (rate, warmup) = (2e-3, 0);
        check(Schedule { rate, warmup, decay: Decay::Constant }, 100, &[(0, 2e-3), (99, 2e-3)]);
        // optax.cosine_decay_schedule(2e-3, 100)
        let cosine = [(0, 2e-3), (1, 0.0019995065603657317), (25, 0.0017071067811865476), (50, 1e-3), (100, 0.0)];
        check(Schedule { rate, warmup, decay: Decay::Cosine }, 100, &cosine);
        // optax.warmup_cosine_decay_schedule(0, 2e-3, 10, 100, 0)
        let warm = [(0, 0.0), (5, 1e-3), (10, 2e-3), (40, 1.5e-3), (55, 1e-3), (100, 0.0), (120, 0.0)];
        check(Schedule { rate, warmup: 10, decay: Decay::Cosine }, 100, &warm);
        check(Schedule { rate, warmup: 4, decay: Decay::Constant }, 8, &[(0, 0.0), (1, 5e-4), (4, 2e-3), (7, 2e-3)]);
    }
}
