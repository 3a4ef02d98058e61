//! Derived values of a reported result (analysis-metrics §9).

use super::Metrics;

/// Longest time between changes of the BTC balance, seen at the fills (minute, balance).
pub(super) fn flat_btc_balance_hours(fills: impl Iterator<Item = (usize, f64)>) -> f64 {
    let mut longest = 0;
    let mut noted: Option<(usize, f64)> = None;
    for (minute, balance) in fills {
        match noted {
            Some((_, before)) if before == balance => {}
            Some((before, _)) => {
                longest = longest.max(minute - before);
                noted = Some((minute, balance));
            }
            None => noted = Some((minute, balance)),
        }
    }
    longest as f64 / 60.0
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
