//! Entry orders (trading-semantics §9). Quantities are computed positive and signed at the end.

use super::triggers::{SLACK, partial_below};
use super::{LADDER_LIMIT, Side, Situation, trailing_trigger};
use crate::num;
use crate::types::{Order, OrderType, Position, Trailing};

impl Situation<'_> {
    /// §9.1: quantity of a first entry, always by the full exposure limit.
    pub(super) fn initial_qty(&self, price: f64) -> f64 {
        let cost = self.balance * self.wallet_exposure_limit * self.params.entry_initial_qty_pct;
        let qty = num::cost_to_qty(cost, price, self.rules.c_mult);
        self.min_entry_qty(price).max(num::round_near(qty, self.rules.qty_step))
    }

    /// §9.1: quantity of a re-entry.
    fn reentry_qty(&self, price: Price, size: f64, double_down_factor: f64, limit: f64) -> f64 {
        let by_balance = num::cost_to_qty(self.balance, price.value, self.rules.c_mult)
            * limit
            * self.params.entry_initial_qty_pct;
        let qty = (size * double_down_factor).max(by_balance);
        price.min_qty.max(num::round_near(qty, self.rules.qty_step))
    }

    /// §9.1: what the exposure adds to the spacing.
    pub(super) fn spacing_by_exposure(&self, exposure: f64, limit: f64) -> f64 {
        if limit > 0.0 { (exposure / limit) * self.params.entry_grid_spacing_we_weight } else { 0.0 }
    }

    /// §9.1: price of the next grid entry, neither rounded nor kept off the book.
    pub(super) fn spaced_price<S: Side>(&self, pprice: f64, by_exposure: f64) -> f64 {
        let p = self.params;
        let by_log_range = self.log_range * p.entry_grid_spacing_log_weight;
        let multiplier = (1.0 + by_exposure + by_log_range).max(0.0);
        pprice * S::against(p.entry_grid_spacing_pct * multiplier)
    }

    fn at(&self, price: f64) -> Price {
        Price { value: price, min_qty: self.min_entry_qty(price) }
    }

    /// §9.1: price of the next grid entry; 0 if it would be too low to trade.
    fn reentry_price<S: Side>(&self, book: f64, pprice: f64, exposure: f64, limit: f64) -> f64 {
        let raw = self.spaced_price::<S>(pprice, self.spacing_by_exposure(exposure, limit));
        let price = S::entry_price(book, raw, self.rules.price_step);
        if price <= self.rules.price_step { 0.0 } else { price }
    }

    /// Exposure after a fill of `qty` (§4).
    fn exposure_if_filled(&self, size: f64, pprice: f64, qty: f64, price: f64) -> f64 {
        let step = self.rules.qty_step;
        let (size, pprice) =
            num::combine(num::round_near(size, step), pprice, num::round_near(qty, step), price, step);
        self.exposure(size, pprice)
    }

    /// §9.1: cut `qty` so that the exposure stays below the limit; returns the exposure of the uncut fill too.
    fn crop(&self, size: f64, pprice: f64, exposure: f64, qty: f64, price: Price, limit: f64) -> (f64, f64) {
        let filled = self.exposure_if_filled(size, pprice, qty, price.value);
        let cropped = if filled > limit * 1.01 {
            let room = num::lin(limit, exposure, filled, size, size + qty) - size;
            num::round_near(room, self.rules.qty_step).max(price.min_qty)
        } else {
            qty.max(price.min_qty)
        };
        (filled, cropped)
    }
}

/// A price with the least quantity that may be ordered there.
#[derive(Clone, Copy)]
struct Price {
    value: f64,
    min_qty: f64,
}

/// What the common prefix of grid and trailing entries found (§9.2).
enum Prefix {
    /// The next entry is a first entry, or there is none.
    Done(Order),
    /// The position is complete: re-entries start here.
    Reentry { initial_qty: f64 },
}

/// §9.2: first entries and the rest of partly filled ones.
fn prefix<S: Side>(
    s: &Situation<'_>,
    book: f64,
    position: &Position,
    wanted: impl Fn(f64) -> bool,
) -> Prefix {
    let size = position.size.abs();
    let step = s.rules.qty_step;
    let band = if S::LONG { s.bands.lower } else { s.bands.upper };
    let price = S::entry_price(book, band * S::against(s.params.entry_initial_ema_dist), s.rules.price_step);
    if price <= s.rules.price_step {
        return Prefix::Done(Order::NONE);
    }
    if size == 0.0 && !wanted(price) {
        return Prefix::Done(Order::NONE);
    }
    let mut initial_qty = s.initial_qty(price);
    if size == 0.0 {
        return Prefix::Done(S::entry(initial_qty, price, OrderType::EntryInitialNormalLong));
    }
    if size < initial_qty * 0.8 {
        if !wanted(price) {
            return Prefix::Done(Order::NONE);
        }
        let rest = s.min_entry_qty(price).max(num::round_down(initial_qty - size, step));
        return Prefix::Done(S::entry(rest, price, OrderType::EntryInitialPartialLong));
    }
    if size < initial_qty {
        initial_qty = num::round_near(size, step).max(s.min_entry_qty(price));
    }
    Prefix::Reentry { initial_qty }
}

/// True if the position is certainly complete, so that re-entries come next, as cheap bounds tell.
fn is_complete<S: Side>(s: &Situation<'_>, book: f64, position: &Position) -> bool {
    let lowest = if S::LONG {
        let price = s.bands.lower * S::against(s.params.entry_initial_ema_dist) - s.rules.price_step;
        book.min(price - price.abs() * SLACK - SLACK)
    } else {
        book
    };
    position.size != 0.0 && lowest >= partial_below(s, position)
}

/// §9.3: grid entry within the exposure limit `cap`.
fn grid_entry<S: Side>(
    s: &Situation<'_>,
    book: f64,
    position: &Position,
    cap: f64,
    wanted: impl Fn(f64) -> bool,
) -> Order {
    if s.wallet_exposure_limit == 0.0 || s.balance <= 0.0 {
        return Order::NONE;
    }
    let exposure = s.exposure(position.size, position.price);
    let limit = cap.min(s.wallet_exposure_limit);
    let price = s.reentry_price::<S>(book, position.price, exposure, limit);
    if !wanted(price) && is_complete::<S>(s, book, position) {
        return Order::NONE;
    }
    let initial_qty = match prefix::<S>(s, book, position, &wanted) {
        Prefix::Done(order) => return order,
        Prefix::Reentry { initial_qty } => initial_qty,
    };
    if exposure >= limit * 0.999 {
        return Order::NONE;
    }
    let (size, pprice) = (position.size.abs(), position.price);
    let factor = s.params.entry_grid_double_down_factor;
    if price <= 0.0 || !wanted(price) {
        return Order::NONE;
    }
    let at = s.at(price);
    let qty = s.reentry_qty(at, size, factor, limit).max(initial_qty);
    let (filled, cropped) = s.crop(size, pprice, exposure, qty, at, limit);
    if cropped < qty {
        return S::entry(cropped, price, OrderType::EntryGridCroppedLong);
    }

    // One order ahead: would the limit leave only crumbs to the next entry?
    let (next_size, next_pprice) = num::combine(size, pprice, qty, price, s.rules.qty_step);
    let next_at = s.at(s.reentry_price::<S>(book, next_pprice, filled, limit));
    let next_qty = s.reentry_qty(next_at, next_size, factor, limit).max(initial_qty);
    let (_, next_cropped) = s.crop(next_size, next_pprice, filled, next_qty, next_at, limit);
    if next_cropped / next_size < factor * 0.25 {
        let room = num::lin(limit, exposure, filled, size, size + qty) - size;
        let inflated = num::round_near(room, s.rules.qty_step);
        return S::entry(inflated, price, OrderType::EntryGridInflatedLong);
    }
    S::entry(qty, price, OrderType::EntryGridNormalLong)
}

/// §9.4: the price moved against the position past the threshold (θ > 0) and came back (ρ > 0).
#[inline]
fn entry_armed<S: Side>(t: &Trailing, pprice: f64, threshold: f64, retracement: f64) -> bool {
    if S::LONG {
        (threshold <= 0.0 || t.dropped(pprice, threshold)) && t.rebounded(retracement)
    } else {
        (threshold <= 0.0 || t.rose(pprice, threshold)) && t.fell_back(retracement)
    }
}

/// §9.4: trailing entry within the exposure limit `cap`.
fn trailing_entry<S: Side>(
    s: &Situation<'_>,
    book: f64,
    position: &Position,
    cap: f64,
    wanted: impl Fn(f64) -> bool,
) -> Order {
    let initial_qty = match prefix::<S>(s, book, position, &wanted) {
        Prefix::Done(order) => return order,
        Prefix::Reentry { initial_qty } => initial_qty,
    };
    let exposure = s.exposure(position.size, position.price);
    let limit = cap.min(s.wallet_exposure_limit);
    let none = S::entry(0.0, 0.0, OrderType::EntryTrailingNormalLong);
    if exposure > limit * 0.999 {
        return none;
    }
    let (threshold, retracement) =
        (s.params.entry_trailing_threshold_pct, s.params.entry_trailing_retracement_pct);
    let trigger = trailing_trigger(threshold, retracement, || {
        entry_armed::<S>(&s.trailing, position.price, threshold, retracement)
    });
    if !trigger.armed {
        return none;
    }
    let price = if trigger.at_book {
        book
    } else {
        let raw = raw_trailing_entry_price::<S>(s, position.price);
        S::entry_price(book, raw, s.rules.price_step)
    };
    if !wanted(price) {
        return none;
    }
    let (at, size) = (s.at(price), position.size.abs());
    let qty = s.reentry_qty(at, size, s.params.entry_trailing_double_down_factor, limit).max(initial_qty);
    let (_, cropped) = s.crop(size, position.price, exposure, qty, at, limit);
    if cropped < qty {
        S::entry(cropped, price, OrderType::EntryTrailingCroppedLong)
    } else {
        S::entry(qty, price, OrderType::EntryTrailingNormalLong)
    }
}

/// Which kind of entry is next, and how much of the exposure limit it may use (§9.5).
pub(super) enum EntryKind {
    None,
    Grid { cap: f64 },
    Trailing { cap: f64 },
}

pub(super) fn entry_kind(s: &Situation<'_>, exposure: f64) -> EntryKind {
    let limit = s.wallet_exposure_limit;
    if limit == 0.0 || s.balance <= 0.0 {
        return EntryKind::None;
    }
    let ratio = s.params.entry_trailing_grid_ratio;
    if ratio >= 1.0 || ratio <= -1.0 {
        return EntryKind::Trailing { cap: limit };
    }
    if ratio == 0.0 {
        return EntryKind::Grid { cap: limit };
    }
    let used = if limit > 0.0 { exposure / limit } else { 0.0 };
    // The part of the limit that the first of the two kinds may fill, with 1 % of tolerance.
    let cap = |share: f64| if exposure == 0.0 { limit } else { (limit * share * 1.01).min(limit) };
    if ratio > 0.0 {
        if used < ratio { EntryKind::Trailing { cap: cap(ratio) } } else { EntryKind::Grid { cap: limit } }
    } else if used < 1.0 + ratio {
        EntryKind::Grid { cap: cap(1.0 + ratio) }
    } else {
        EntryKind::Trailing { cap: limit }
    }
}

/// §9.5, with a book price that a ladder may have moved.
fn next_entry_at<S: Side>(
    s: &Situation<'_>,
    book: f64,
    position: &Position,
    wanted: impl Fn(f64) -> bool,
) -> Order {
    match entry_kind(s, s.exposure(position.size, position.price)) {
        EntryKind::None => Order::NONE,
        EntryKind::Grid { cap } => grid_entry::<S>(s, book, position, cap, wanted),
        EntryKind::Trailing { cap } => trailing_entry::<S>(s, book, position, cap, wanted),
    }
}

/// §9.4: price of a trailing entry that is not at the book, neither rounded nor kept off it. With ρ ≤ 0 it waits at
/// the threshold itself.
pub(super) fn raw_trailing_entry_price<S: Side>(s: &Situation<'_>, pprice: f64) -> f64 {
    let (threshold, retracement) =
        (s.params.entry_trailing_threshold_pct, s.params.entry_trailing_retracement_pct);
    let factor = if retracement <= 0.0 {
        S::against(threshold)
    } else if S::LONG {
        1.0 - threshold + retracement
    } else {
        1.0 + threshold - retracement
    };
    pprice * factor
}

/// The next entry order (§9.5).
pub fn next_entry<S: Side>(s: &Situation<'_>, position: &Position) -> Order {
    next_entry_at::<S>(s, S::entry_book(s), position, |_| true)
}

/// Every entry that the coming candle could fill, given that the first one fills (§9.6). Appends to `ladder`,
/// which must be empty.
pub fn entry_ladder<S: Side>(s: &Situation<'_>, position: &Position, ladder: &mut Vec<Order>) {
    entry_ladder_while::<S>(s, position, ladder, |_| true);
}

/// [`entry_ladder`] up to the first order whose price is not `wanted`; of that order nothing but the price is computed.
/// No price of the ladder is nearer to the market than the one before it: if the candle does not meet an order, it meets
/// none that follows.
pub fn entry_ladder_while<S: Side>(
    s: &Situation<'_>,
    position: &Position,
    ladder: &mut Vec<Order>,
    wanted: impl Fn(f64) -> bool,
) {
    let mut book = S::entry_book(s);
    let mut simulated = *position;
    for _ in 0..LADDER_LIMIT {
        // No trailing entry follows another order.
        let trails = || {
            matches!(entry_kind(s, s.exposure(simulated.size, simulated.price)), EntryKind::Trailing { .. })
        };
        if !ladder.is_empty() && is_complete::<S>(s, book, &simulated) && trails() {
            break;
        }
        let order = next_entry_at::<S>(s, book, &simulated, &wanted);
        if order.is_none() {
            break;
        }
        if let Some(last) = ladder.last() {
            let trailing =
                [OrderType::EntryTrailingNormalLong, OrderType::EntryTrailingCroppedLong].map(S::kind);
            if trailing.contains(&order.kind) || order.price == last.price {
                break;
            }
        }
        let (size, price) =
            num::combine(simulated.size, simulated.price, order.qty, order.price, s.rules.qty_step);
        simulated = Position { size, price };
        book = if S::LONG { book.min(order.price) } else { book.max(order.price) };
        ladder.push(order);
    }
}
