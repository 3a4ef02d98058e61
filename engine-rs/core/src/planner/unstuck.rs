//! Unstucking (trading-semantics §16.2): small closes of a position that used up its exposure limit.

use super::{Side, Situation};
use crate::num;
use crate::types::{Order, OrderType, Position};

/// A position that unstucking may reduce, with what decides whose turn it is.
#[derive(Clone, Copy, Debug)]
pub struct StuckPosition {
    /// Distance of the close to the position's price: the nearest to break-even comes first.
    pub distance: f64,
    /// Coin index.
    pub coin: usize,
    /// Side.
    pub long: bool,
}

impl StuckPosition {
    /// The order of turns: nearest to break-even, then coin, then long before short.
    pub fn by_turn(a: &Self, b: &Self) -> std::cmp::Ordering {
        a.distance.total_cmp(&b.distance).then(a.coin.cmp(&b.coin)).then(b.long.cmp(&a.long))
    }
}

/// True if the position's exposure is above the share of its limit that counts as stuck.
pub fn is_stuck(s: &Situation<'_>, position: &Position) -> bool {
    is_exposure_stuck(s, s.exposure(position.size, position.price))
}

pub(super) fn is_exposure_stuck(s: &Situation<'_>, exposure: f64) -> bool {
    let limit = s.wallet_exposure_limit;
    limit == 0.0 || exposure / limit > s.params.unstuck_threshold
}

/// True if the close has come back to the band, so that an unstuck close may be placed. A NaN close never has.
pub fn band_allows_unstuck<S: Side>(s: &Situation<'_>, close: f64) -> bool {
    let (step, dist) = (s.rules.price_step, s.params.unstuck_ema_dist);
    if S::LONG {
        close >= num::round_up(s.bands.upper * (1.0 + dist), step)
    } else {
        close <= num::round_down(s.bands.lower * (1.0 - dist), step)
    }
}

/// The unstuck close at price `close`, whose loss stays within `allowance` where the minimum quantity lets it.
pub fn unstuck_close<S: Side>(s: &Situation<'_>, position: &Position, close: f64, allowance: f64) -> Order {
    let rules = s.rules;
    let size = position.size.abs();
    let min_qty = s.min_entry_qty(close);
    let cost = s.balance * s.wallet_exposure_limit * s.params.unstuck_close_pct;
    let ideal = num::round_down(num::cost_to_qty(cost, close, rules.c_mult), rules.qty_step);
    let mut qty = size.min(min_qty.max(ideal));
    let loss = S::pnl(position.price, close, qty, rules.c_mult);
    if loss < 0.0 && loss.abs() > allowance {
        let affordable = num::round_down(qty * (allowance / loss.abs()), rules.qty_step);
        qty = size.min(min_qty.max(affordable));
    }
    S::close(qty, close, OrderType::CloseUnstuckLong)
}
