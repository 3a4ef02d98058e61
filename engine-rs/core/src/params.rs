//! Strategy parameters of one side, and their order in an optimizer's vector.

use crate::interval::Interval;

/// Number of components that one side has in a vector.
pub const SIDE_COMPONENTS: usize = 29;

macro_rules! side_parameters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Parameters of one side (trading-semantics §3). Values are those given; `n_positions` is rounded
        /// where it is used.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct SideParams {
            $($(#[$doc])* pub $name: f64,)*
            /// Reduce a position whose exposure is above its limit.
            pub enforce_exposure_limit: bool,
            /// Exposure limit of one position; negative: dynamic, by the number of slots.
            pub wallet_exposure_limit: f64,
        }

        /// Names of the optimised parameters of one side, ascending: their order in a vector
        /// (optimizer-semantics §1.1).
        pub const SIDE_NAMES: [&str; SIDE_COMPONENTS] = [$(stringify!($name)),*];

        impl SideParams {
            /// Parameters from the 29 components of one side, in the order of [`SIDE_NAMES`], with a dynamic
            /// exposure limit.
            pub fn from_components(values: &[f64; SIDE_COMPONENTS], enforce_exposure_limit: bool) -> Self {
                let [$($name),*] = *values;
                Self { $($name,)* enforce_exposure_limit, wallet_exposure_limit: -1.0 }
            }

            /// The parameter of that name, to be read or replaced; None if it is not one of [`SIDE_NAMES`] or
            /// `wallet_exposure_limit`.
            pub fn get_mut(&mut self, name: &str) -> Option<&mut f64> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)*
                    "wallet_exposure_limit" => Some(&mut self.wallet_exposure_limit),
                    _ => None,
                }
            }
        }
    };
}

side_parameters! {
    /// Markup of take profits at full exposure, as a fraction of the position price.
    close_grid_markup_end,
    /// Markup of take profits at zero exposure.
    close_grid_markup_start,
    /// Size of one take profit relative to the full position size.
    close_grid_qty_pct,
    /// Split between trailing and grid closes, −1 … 1.
    close_trailing_grid_ratio,
    /// Size of one trailing close relative to the full position size.
    close_trailing_qty_pct,
    /// Pull-back that triggers a trailing close.
    close_trailing_retracement_pct,
    /// Favourable move that arms a trailing close.
    close_trailing_threshold_pct,
    /// First span of the price bands, in minutes.
    ema_span_0,
    /// Second span of the price bands, in minutes.
    ema_span_1,
    /// Size of a grid re-entry as a multiple of the position.
    entry_grid_double_down_factor,
    /// Span of the hourly log-range average, in hours; not positive: off.
    entry_grid_spacing_log_span_hours,
    /// Weight of the log range in the grid spacing.
    entry_grid_spacing_log_weight,
    /// Base distance of a grid re-entry from the position price.
    entry_grid_spacing_pct,
    /// Weight of the exposure in the grid spacing.
    entry_grid_spacing_we_weight,
    /// Offset of the first entry from the band.
    entry_initial_ema_dist,
    /// Cost of the first entry relative to balance × exposure limit.
    entry_initial_qty_pct,
    /// Size of a trailing re-entry as a multiple of the position.
    entry_trailing_double_down_factor,
    /// Split between trailing and grid re-entries, −1 … 1.
    entry_trailing_grid_ratio,
    /// Pull-back that triggers a trailing entry.
    entry_trailing_retracement_pct,
    /// Adverse move that arms a trailing entry.
    entry_trailing_threshold_pct,
    /// Span of the log-range average that ranks coins, in minutes.
    filter_log_range_ema_span,
    /// Share of the coins of lowest volume that selection ignores.
    filter_volume_drop_pct,
    /// Span of the quote-volume average, in minutes.
    filter_volume_ema_span,
    /// Most simultaneous positions.
    n_positions,
    /// Exposure limit of the whole side, as a multiple of the balance.
    total_wallet_exposure_limit,
    /// Size of an unstuck close relative to balance × exposure limit.
    unstuck_close_pct,
    /// Offset of the unstuck price condition from the band.
    unstuck_ema_dist,
    /// Allowed drop below the peak balance, per unit of the side's exposure limit.
    unstuck_loss_allowance_pct,
    /// Exposure ÷ limit above which a position is stuck.
    unstuck_threshold,
}

/// Parameters of both sides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BotParams {
    /// Long side.
    pub long: SideParams,
    /// Short side.
    pub short: SideParams,
}

impl SideParams {
    /// Spans of the three price averages in bars, ascending (trading-semantics §6.1).
    pub fn price_spans(&self, interval: Interval) -> [f64; 3] {
        let minutes = [self.ema_span_0, self.ema_span_1, (self.ema_span_0 * self.ema_span_1).sqrt()];
        let mut spans = minutes.map(|span| interval.span(span));
        spans.sort_by(f64::total_cmp);
        spans
    }

    /// The longest span of any indicator of the side in minutes, ignoring values that are not finite; 0 if none.
    pub fn longest_span_minutes(&self) -> f64 {
        [
            self.ema_span_0,
            self.ema_span_1,
            self.filter_volume_ema_span,
            self.filter_log_range_ema_span,
            self.entry_grid_spacing_log_span_hours * 60.0,
        ]
        .into_iter()
        .filter(|span| span.is_finite())
        .fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ascending_and_reach_their_fields() {
        assert!(SIDE_NAMES.is_sorted());
        let values: [f64; SIDE_COMPONENTS] = std::array::from_fn(|i| i as f64);
        let mut params = SideParams::from_components(&values, true);
        for (i, name) in SIDE_NAMES.iter().enumerate() {
            assert_eq!(*params.get_mut(name).unwrap(), i as f64, "{name}");
        }
        assert_eq!(params.wallet_exposure_limit, -1.0);
        assert!(params.get_mut("enforce_exposure_limit").is_none());
    }
}
