//! State of one coin: indicators, trailing extremes, resting orders.

use super::indicators::{Indicators, finite_or_zero};
use crate::candles::{CoinCandles, Panel};
use crate::params::{BotParams, SideParams};
use crate::types::{Order, Trailing};

/// A coin that ends longer before the panel than this is delisted (§2.2).
const DELISTED_MINUTES: usize = 1400;

/// One side of one coin.
pub(super) struct SideState {
    pub(super) params: SideParams,
    /// Exposure limit in force: the input, or made dynamic (§11).
    pub(super) wallet_exposure_limit: f64,
    pub(super) uses_trailing: bool,
    pub(super) indicators: Indicators,
    pub(super) trailing: Trailing,
    /// Bar of the last fill; `usize::MAX` before the first.
    pub(super) last_fill: usize,
    /// Resting orders that the next candle may fill; those that it can't are not kept (§14.3).
    pub(super) entries: Vec<Order>,
    pub(super) closes: Vec<Order>,
}

/// One coin.
pub(super) struct CoinState<'a> {
    pub(super) candles: CoinCandles<'a>,
    /// First and last bar with data.
    pub(super) first: usize,
    pub(super) last: usize,
    /// First bar at which the coin may trade.
    pub(super) start: usize,
    /// The coin ends well before the panel does (§2.2).
    pub(super) delisted: bool,
    /// Highest high and lowest low of the last hour that had candles.
    pub(super) hour_bucket: (f64, f64),
    pub(super) sides: [SideState; 2],
}

impl<'a> CoinState<'a> {
    pub(super) fn new(panel: &Panel<'a>, coin: usize, bot: &BotParams, warmup: usize) -> Self {
        let interval = panel.interval();
        let candles = panel.coins()[coin];
        let (first, last) = panel.life(coin);
        let side = |params: &SideParams| SideState {
            params: *params,
            wallet_exposure_limit: params.wallet_exposure_limit,
            uses_trailing: uses_trailing(params),
            indicators: Indicators::new(
                params,
                finite_or_zero(candles.close[first]),
                finite_or_zero(candles.volume[first]).max(0.0),
                interval,
            ),
            trailing: Trailing::RESET,
            last_fill: usize::MAX,
            entries: Vec::new(),
            closes: Vec::new(),
        };
        Self {
            candles,
            first,
            last,
            start: first.saturating_add(interval.bars(warmup)).min(last),
            delisted: panel.minute(last) + DELISTED_MINUTES < panel.minute(panel.bars()),
            hour_bucket: (0.0, 0.0),
            sides: [side(&bot.long), side(&bot.short)],
        }
    }

    pub(super) fn valid(&self, k: usize) -> bool {
        self.first <= k && k <= self.last
    }

    pub(super) fn tradeable(&self, k: usize) -> bool {
        self.valid(k) && k >= self.start
    }
}

/// The trailing switch (§5).
pub(crate) fn uses_trailing(params: &SideParams) -> bool {
    params.close_trailing_grid_ratio != 0.0 || params.entry_trailing_grid_ratio != 0.0
}
