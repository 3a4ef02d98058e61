//! Derived values of a reported result (analysis-metrics §9).

use super::Metrics;

/// Longest time between changes of the BTC balance, seen at the fills (minute, balance).
pub(super) fn flat_btc_balance_hours(fills: impl Iterator<Item = (usize, f64)>) -> f64 {
    let mut flat = FlatBalance::default();
    fills.for_each(|(minute, balance)| flat.take(minute, balance));
    flat.hours()
}

/// The same while the run goes on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FlatBalance {
    longest: usize,
    /// Minute and balance of the last change.
    noted: Option<(usize, f64)>,
}

impl FlatBalance {
    pub(super) fn take(&mut self, minute: usize, balance: f64) {
        match self.noted {
            Some((_, before)) if before == balance => {}
            Some((before, _)) => {
                self.longest = self.longest.max(minute - before);
                self.noted = Some((minute, balance));
            }
            None => self.noted = Some((minute, balance)),
        }
    }

    pub(super) fn hours(&self) -> f64 {
        self.longest as f64 / 60.0
    }
}

/// Gains per unit of each side's exposure limit; 0 for a side without limit, but what is not finite stays so.
pub(super) fn per_exposure(metrics: &mut Metrics, [long, short]: [f64; 2]) {
    let over = |x: f64, limit: f64| {
        if !x.is_finite() {
            x
        } else if limit > 0.0 {
            x / limit
        } else {
            0.0
        }
    };
    metrics.adg_per_exposure_long = over(metrics.adg, long);
    metrics.adg_per_exposure_short = over(metrics.adg, short);
    metrics.adg_w_per_exposure_long = over(metrics.adg_w, long);
    metrics.adg_w_per_exposure_short = over(metrics.adg_w, short);
    metrics.mdg_per_exposure_long = over(metrics.mdg, long);
    metrics.mdg_per_exposure_short = over(metrics.mdg, short);
    metrics.mdg_w_per_exposure_long = over(metrics.mdg_w, long);
    metrics.mdg_w_per_exposure_short = over(metrics.mdg_w, short);
    metrics.gain_per_exposure_long = over(metrics.gain, long);
    metrics.gain_per_exposure_short = over(metrics.gain, short);
}
