//! What the orders of a position wait for: the cheap questions that come before prices and quantities.
//!
//! Prices here are not rounded. Rounding moves an order away from the market, so that a candle which meets the order
//! meets the unrounded price first; room is left for the rounding of the arithmetic itself.

use super::closes::{CloseKind, Part, close_kind, raw_trailing_close_price};
use super::entries::{EntryKind, entry_kind, raw_trailing_entry_price};
use super::{Side, Situation, unstuck};
use crate::params::SideParams;
use crate::types::Position;

/// What an order waits for.
///
/// An order can fill only in a candle that meets its trigger; the reverse need not hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trigger {
    /// No candle fills it.
    Never,
    /// There is none, as the position is at its limit.
    Full,
    /// The candle crosses this price.
    Crossed(f64),
    /// The candle crosses the price of a grid entry, which moves with the hourly log range: [`grid_entry_price`].
    GridEntry {
        /// What the exposure adds to the spacing.
        by_exposure: f64,
    },
    /// The candle crosses this price of a grid close, which moves with the balance.
    GridClose(f64),
    /// The candle crosses the close before it.
    AtBook,
    /// The trailing extremes are armed and the candle crosses the price, or the close before it.
    Trailing {
        /// Move that arms.
        threshold: f64,
        /// Pull-back that triggers.
        retracement: f64,
        /// Price of the order; None: at the book.
        price: Option<f64>,
    },
}

impl Trigger {
    fn trailing(threshold: f64, retracement: f64, price: f64) -> Self {
        if threshold <= 0.0 {
            if retracement > 0.0 {
                Self::Trailing { threshold, retracement, price: None }
            } else {
                Self::Never
            }
        } else if retracement <= 0.0 {
            Self::Crossed(price)
        } else {
            Self::Trailing { threshold, retracement, price: Some(price) }
        }
    }
}

/// What all orders of a position wait for.
#[derive(Clone, Copy, Debug)]
pub struct Triggers {
    /// The next re-entry; first entries and the rest of partly filled ones apart.
    pub entry: Trigger,
    /// The next close.
    pub close: Trigger,
    /// Below this first-entry price the position may count as partly filled (§9.2), so that the rest of the first
    /// entry is the next order. An upper bound of the exact price.
    pub partial_below: f64,
    /// Unstucking may reduce the position, if the side's losses allow it (§16.2).
    pub stuck: bool,
}

impl Triggers {
    /// Triggers that hold at every balance between two, given those at both. None if an order is not of the same kind at
    /// both: what decides of the kind moves one way with the balance, as prices of one kind do.
    pub fn between<S: Side>(params: &SideParams, a: &Self, b: &Self) -> Option<Self> {
        let entry = match (a.entry, b.entry) {
            // The narrower spacing.
            (Trigger::GridEntry { by_exposure: a }, Trigger::GridEntry { by_exposure: b }) => {
                let by_exposure = if params.entry_grid_spacing_pct >= 0.0 { a.min(b) } else { a.max(b) };
                Trigger::GridEntry { by_exposure }
            }
            (a, b) => (a == b).then_some(a)?,
        };
        let close = match (a.close, b.close) {
            (Trigger::GridClose(a), Trigger::GridClose(b)) => {
                Trigger::GridClose(if S::LONG { a.min(b) } else { a.max(b) })
            }
            (a, b) => (a == b).then_some(a)?,
        };
        let partial_below = a.partial_below.max(b.partial_below);
        (a.stuck == b.stuck).then_some(Self { entry, close, partial_below, stuck: a.stuck })
    }
}

/// Triggers of a position. Book, bands, extremes and log range of the situation are not looked at.
pub fn triggers<S: Side>(s: &Situation<'_>, position: &Position) -> Triggers {
    let exposure = s.exposure(position.size, position.price);
    Triggers {
        entry: entry::<S>(s, position, exposure),
        close: close::<S>(s, position, exposure),
        partial_below: partial_below(s, position),
        stuck: unstuck::is_exposure_stuck(s, exposure),
    }
}

/// Relative room for rounding in bounds.
pub(super) const SLACK: f64 = 1e-9;

/// A bound of an entry's price.
fn loosened_entry<S: Side>(price: f64) -> f64 {
    if S::LONG { price + price.abs() * SLACK + SLACK } else { price - price.abs() * SLACK - SLACK }
}

/// A bound of a close's price.
fn loosened_close<S: Side>(price: f64) -> f64 {
    if S::LONG { price - price.abs() * SLACK - SLACK } else { price + price.abs() * SLACK + SLACK }
}

/// A bound of the price of a grid entry, as spaced in this situation.
pub fn grid_entry_price<S: Side>(s: &Situation<'_>, pprice: f64, by_exposure: f64) -> f64 {
    loosened_entry::<S>(s.spaced_price::<S>(pprice, by_exposure))
}

fn entry<S: Side>(s: &Situation<'_>, position: &Position, exposure: f64) -> Trigger {
    match entry_kind(s, exposure) {
        EntryKind::None => Trigger::Never,
        EntryKind::Grid { cap } => {
            let limit = cap.min(s.wallet_exposure_limit);
            if exposure >= limit * 0.999 {
                return Trigger::Full;
            }
            Trigger::GridEntry { by_exposure: s.spacing_by_exposure(exposure, limit) }
        }
        EntryKind::Trailing { cap } => {
            if exposure > cap.min(s.wallet_exposure_limit) * 0.999 {
                return Trigger::Full;
            }
            let p = s.params;
            Trigger::trailing(
                p.entry_trailing_threshold_pct,
                p.entry_trailing_retracement_pct,
                loosened_entry::<S>(raw_trailing_entry_price::<S>(s, position.price)),
            )
        }
    }
}

fn close<S: Side>(s: &Situation<'_>, position: &Position, exposure: f64) -> Trigger {
    match close_kind::<S>(s, position, exposure) {
        CloseKind::None => Trigger::Never,
        CloseKind::Reduce(_) => Trigger::AtBook,
        CloseKind::Grid(part) => {
            Trigger::GridClose(loosened_close::<S>(grid_close_price::<S>(s, part, position, exposure)))
        }
        CloseKind::Trailing(_) => Trigger::trailing(
            s.params.close_trailing_threshold_pct,
            s.params.close_trailing_retracement_pct,
            loosened_close::<S>(raw_trailing_close_price::<S>(s, position.price)),
        ),
    }
}

/// §16.1.2: a bound of the price of a grid close. A price between two others moves with them, so that it may be
/// computed from unrounded ones.
fn grid_close_price<S: Side>(s: &Situation<'_>, part: Part, position: &Position, exposure: f64) -> f64 {
    let (p, pprice) = (s.params, position.price);
    let start = pprice * S::in_favour(p.close_grid_markup_start);
    if p.close_grid_qty_pct < 0.0 || p.close_grid_qty_pct >= 1.0 {
        return start;
    }
    let end = pprice * S::in_favour(p.close_grid_markup_end);
    let nearer = |a: f64, b: f64| if (a < b) == S::LONG { a } else { b };
    let exposure = match part {
        Part::All => exposure,
        Part::Beyond(_) => s.exposure(part.of(s, position), pprice),
    };
    let used = s.limit_used(exposure);
    if used > 1.0 {
        nearer(start, end)
    } else if used >= 0.0 {
        start + (end - start) * used
    } else {
        // No limit that could be used in part: every price.
        if S::LONG { f64::NEG_INFINITY } else { f64::INFINITY }
    }
}

pub(super) fn partial_below(s: &Situation<'_>, position: &Position) -> f64 {
    let size = position.size.abs();
    let step = s.rules.qty_step;
    let cost = (s.balance * s.wallet_exposure_limit * s.params.entry_initial_qty_pct).abs();
    // S ≥ 0.8 × q0 is certain if q0 ≤ S ÷ 0.8; and q0 is at most a step above what the cost buys.
    let largest = size * (1.25 * (1.0 - 2.0 * SLACK)) - step * (1.0 + SLACK) - SLACK;
    if largest <= 0.0 || size * (1.0 - SLACK) < 0.8 * s.rules.min_qty {
        return f64::INFINITY;
    }
    cost.max(s.rules.min_cost) / (s.rules.c_mult * largest) * (1.0 + 2.0 * SLACK)
}

/// True if the position counts as partly filled (§9.2) at some first-entry price that is not below `lowest`: the lower
/// the price, the larger the first entry.
pub fn partial_entry_possible(s: &Situation<'_>, position: &Position, lowest: f64) -> bool {
    lowest <= 0.0 || position.size.abs() < s.initial_qty(lowest) * 0.8
}
