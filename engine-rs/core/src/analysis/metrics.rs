//! The names and values of the metrics (analysis-metrics §10).

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// One set of metrics.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct Metrics {
            $($(#[$doc])* pub $name: f64,)*
        }

        /// Names of the metrics, ascending.
        pub const METRIC_NAMES: &[&str] = &[$(stringify!($name)),*];

        impl Metrics {
            pub(super) const ZERO: Self = Self { $($name: 0.0),* };

            /// The values, in the order of [`METRIC_NAMES`].
            pub fn values(&self) -> [f64; METRIC_NAMES.len()] {
                [$(self.$name),*]
            }
        }
    };
}

metrics! {
    /// Average daily gain.
    adg,
    /// `adg` per unit of the long exposure limit.
    adg_per_exposure_long,
    /// `adg` per unit of the short exposure limit.
    adg_per_exposure_short,
    /// Recency-weighted `adg`.
    adg_w,
    /// `adg_w` per unit of the long exposure limit.
    adg_w_per_exposure_long,
    /// `adg_w` per unit of the short exposure limit.
    adg_w_per_exposure_short,
    /// `adg` ÷ worst drawdown.
    calmar_ratio,
    /// Recency-weighted `calmar_ratio`.
    calmar_ratio_w,
    /// Worst drawdown of the daily minima.
    drawdown_worst,
    /// Mean of the worst 1 % of drawdowns.
    drawdown_worst_mean_1pct,
    /// Largest shortfall of equity below balance, relative.
    equity_balance_diff_neg_max,
    /// Mean shortfall of equity below balance, relative.
    equity_balance_diff_neg_mean,
    /// Largest excess of equity over balance, relative.
    equity_balance_diff_pos_max,
    /// Mean excess of equity over balance, relative.
    equity_balance_diff_pos_mean,
    /// Way of the daily equity ÷ its net change.
    equity_choppiness,
    /// Recency-weighted `equity_choppiness`.
    equity_choppiness_w,
    /// Mean second difference of the daily equity, relative.
    equity_jerkiness,
    /// Recency-weighted `equity_jerkiness`.
    equity_jerkiness_w,
    /// Mean of the worst 1 % of daily changes.
    expected_shortfall_1pct,
    /// Mean squared residual of an exponential fit to the daily equity.
    exponential_fit_error,
    /// Recency-weighted `exponential_fit_error`.
    exponential_fit_error_w,
    /// Longest time without a change of the BTC balance.
    flat_btc_balance_hours,
    /// Last smoothed daily equity ÷ first.
    gain,
    /// `gain` per unit of the long exposure limit.
    gain_per_exposure_long,
    /// `gain` per unit of the short exposure limit.
    gain_per_exposure_short,
    /// Realised losses ÷ realised profits.
    loss_profit_ratio,
    /// Recency-weighted `loss_profit_ratio`.
    loss_profit_ratio_w,
    /// Median daily gain.
    mdg,
    /// `mdg` per unit of the long exposure limit.
    mdg_per_exposure_long,
    /// `mdg` per unit of the short exposure limit.
    mdg_per_exposure_short,
    /// Recency-weighted `mdg`.
    mdg_w,
    /// `mdg_w` per unit of the long exposure limit.
    mdg_w_per_exposure_long,
    /// `mdg_w` per unit of the short exposure limit.
    mdg_w_per_exposure_short,
    /// Sum of daily gains ÷ sum of daily losses.
    omega_ratio,
    /// Recency-weighted `omega_ratio`.
    omega_ratio_w,
    /// Longest holding time.
    position_held_hours_max,
    /// Mean holding time.
    position_held_hours_mean,
    /// Median holding time.
    position_held_hours_median,
    /// Longest time that a position stayed unchanged.
    position_unchanged_hours_max,
    /// Positions per day.
    positions_held_per_day,
    /// `adg` ÷ deviation of daily changes.
    sharpe_ratio,
    /// Recency-weighted `sharpe_ratio`.
    sharpe_ratio_w,
    /// `adg` ÷ deviation of negative daily changes.
    sortino_ratio,
    /// Recency-weighted `sortino_ratio`.
    sortino_ratio_w,
    /// `adg` ÷ mean of the worst drawdowns.
    sterling_ratio,
    /// Recency-weighted `sterling_ratio`.
    sterling_ratio_w,
    /// Largest exposure of all positions.
    total_wallet_exposure_max,
    /// Mean exposure of all positions.
    total_wallet_exposure_mean,
    /// Median exposure of all positions.
    total_wallet_exposure_median,
    /// Traded volume per day relative to the balance, over days with fills.
    volume_pct_per_day_avg,
    /// Recency-weighted `volume_pct_per_day_avg`.
    volume_pct_per_day_avg_w,
}

impl Metrics {
    /// §2: the metrics of a run that is too short to say anything.
    pub(super) const UNDEFINED: Self = {
        let mut metrics = Self::ZERO;
        metrics.drawdown_worst = 1.0;
        metrics.drawdown_worst_mean_1pct = 1.0;
        metrics.equity_balance_diff_neg_max = 1.0;
        metrics.equity_balance_diff_neg_mean = 1.0;
        metrics.equity_balance_diff_pos_max = 1.0;
        metrics.equity_balance_diff_pos_mean = 1.0;
        metrics.loss_profit_ratio = 1.0;
        metrics.loss_profit_ratio_w = 1.0;
        metrics.equity_choppiness = 1.0;
        metrics.equity_choppiness_w = 1.0;
        metrics.equity_jerkiness = 1.0;
        metrics.equity_jerkiness_w = 1.0;
        metrics.exponential_fit_error = 1.0;
        metrics.exponential_fit_error_w = 1.0;
        metrics
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ascending() {
        assert!(METRIC_NAMES.is_sorted());
    }
}
