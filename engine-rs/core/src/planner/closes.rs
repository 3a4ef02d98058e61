//! Regular close orders (trading-semantics §16.1) and the close of a delisted coin (§14.3.1).

use super::{LADDER_LIMIT, Side, Situation, trailing_trigger};
use crate::num;
use crate::types::{Order, OrderType, Position, Trailing};

impl Situation<'_> {
    /// Exposure relative to the limit.
    pub(super) fn limit_used(&self, exposure: f64) -> f64 {
        exposure / self.wallet_exposure_limit
    }

    /// Quantity that costs `share` of balance × exposure limit at the position's price.
    fn qty_of_limit(&self, share: f64, pprice: f64) -> f64 {
        num::cost_to_qty(self.balance * self.wallet_exposure_limit * share, pprice, self.rules.c_mult)
    }

    /// §16.1.1.
    fn close_qty(&self, size: f64, pprice: f64, pct: f64, price: f64) -> f64 {
        let step = self.rules.qty_step;
        let full = num::cost_to_qty(self.balance * self.wallet_exposure_limit, pprice, self.rules.c_mult);
        let left = (size - full).max(0.0);
        let min_qty = self.min_entry_qty(price);
        let qty = num::round_near(size, step).min(min_qty.max(num::round_up(full * pct + left, step)));
        // What would remain could not be closed any more.
        if qty > 0.0 && qty < size && size - qty < min_qty { size } else { qty }
    }
}

/// Where a grid close stands, not yet kept off the book, and what share of the full size it closes; no share: all.
struct GridTarget {
    price: f64,
    pct: Option<f64>,
}

/// §16.1.2, for a position of positive `size`.
fn grid_target<S: Side>(s: &Situation<'_>, size: f64, pprice: f64) -> GridTarget {
    let (p, step) = (s.params, s.rules.price_step);
    let start = S::round_close(pprice * S::in_favour(p.close_grid_markup_start), step);
    if p.close_grid_qty_pct < 0.0 || p.close_grid_qty_pct >= 1.0 {
        return GridTarget { price: start, pct: None };
    }
    let end = S::round_close(pprice * S::in_favour(p.close_grid_markup_end), step);
    if start == end {
        return GridTarget { price: start, pct: None };
    }
    let steps = num::ceil((end - start).abs() / step);
    let used = s.limit_used(s.exposure(size, pprice));
    let price = if used > 1.0 {
        if S::LONG { start.min(end) } else { start.max(end) }
    } else {
        S::round_close(start + (end - start) * used.min(1.0), step)
    };
    GridTarget { price, pct: Some(p.close_grid_qty_pct.max(1.0 / steps)) }
}

/// §16.1.2, for a position of positive `size`.
fn grid_close<S: Side>(s: &Situation<'_>, size: f64, pprice: f64) -> Order {
    if size <= 0.0 {
        return Order::NONE;
    }
    let target = grid_target::<S>(s, size, pprice);
    let price = S::beyond_book(S::close_book(s), target.price);
    let qty = match target.pct {
        Some(pct) => s.close_qty(size, pprice, pct, price),
        None => num::round_near(size, s.rules.qty_step),
    };
    S::close(qty, price, OrderType::CloseGridLong)
}

/// §16.1.3: the price moved in favour of the position past the threshold (θ > 0) and fell back (ρ > 0).
#[inline]
fn close_armed<S: Side>(t: &Trailing, pprice: f64, threshold: f64, retracement: f64) -> bool {
    if S::LONG {
        (threshold <= 0.0 || t.rose(pprice, threshold)) && t.fell_back(retracement)
    } else {
        (threshold <= 0.0 || t.dropped(pprice, threshold)) && t.rebounded(retracement)
    }
}

/// §16.1.3: price of a trailing close that is not at the book, neither rounded nor kept off it.
pub(super) fn raw_trailing_close_price<S: Side>(s: &Situation<'_>, pprice: f64) -> f64 {
    let (threshold, retracement) =
        (s.params.close_trailing_threshold_pct, s.params.close_trailing_retracement_pct);
    let factor = if retracement <= 0.0 {
        S::in_favour(threshold)
    } else if S::LONG {
        1.0 + threshold - retracement
    } else {
        1.0 - threshold + retracement
    };
    pprice * factor
}

/// §16.1.3, for a position of positive `size`.
fn trailing_close<S: Side>(s: &Situation<'_>, size: f64, pprice: f64) -> Order {
    if size <= 0.0 {
        return Order::NONE;
    }
    let p = s.params;
    let (threshold, retracement) = (p.close_trailing_threshold_pct, p.close_trailing_retracement_pct);
    let trigger = trailing_trigger(threshold, retracement, || {
        close_armed::<S>(&s.trailing, pprice, threshold, retracement)
    });
    if !trigger.armed {
        return S::close(0.0, 0.0, OrderType::CloseTrailingLong);
    }
    let book = S::close_book(s);
    let price = if trigger.at_book {
        book
    } else {
        let raw = raw_trailing_close_price::<S>(s, pprice);
        S::beyond_book(book, S::round_close(raw, s.rules.price_step))
    };
    S::close(s.close_qty(size, pprice, p.close_trailing_qty_pct, price), price, OrderType::CloseTrailingLong)
}

/// §16.1.4: a reduction, if the position is above its limit.
fn enforcement<S: Side>(s: &Situation<'_>, size: f64, pprice: f64, exposure: f64) -> Option<Order> {
    let limit = s.wallet_exposure_limit;
    let used = if limit <= 0.0 { 10.0 } else { s.limit_used(exposure) };
    if !s.params.enforce_exposure_limit || used <= 1.01 || used.is_nan() {
        return None;
    }
    let smaller = size * 0.9;
    let smaller_exposure = s.exposure(smaller, pprice);
    let ideal = num::lin(limit * 1.01, exposure, smaller_exposure, size, smaller);
    let excess = size - ideal;
    if excess > 0.0 {
        let step = s.rules.qty_step;
        let book = S::close_book(s);
        let qty = num::round_near(size, step).min(s.min_entry_qty(book).max(num::round_near(excess, step)));
        Some(S::close(qty, book, OrderType::CloseAutoReduceLong))
    } else {
        None
    }
}

/// Which kind of close is next (§16.1.5).
pub(super) enum CloseKind {
    None,
    Reduce(Order),
    Grid(Part),
    Trailing(Part),
}

/// How much of the position a close is made for.
#[derive(Clone, Copy)]
pub(super) enum Part {
    All,
    /// What is left once the other kind of close has kept this share of the full size.
    Beyond(f64),
}

impl Part {
    pub(super) fn of(self, s: &Situation<'_>, position: &Position) -> f64 {
        let (size, pprice) = (position.size.abs(), position.price);
        let Self::Beyond(share) = self else { return size };
        let min_qty = s.min_entry_qty(pprice);
        let kept = s.qty_of_limit(share, pprice);
        let kept = if kept < min_qty { 0.0 } else { kept };
        let rest = num::round_near((size - kept) * 1.01, s.rules.qty_step);
        size.min(rest.max(min_qty))
    }
}

pub(super) fn close_kind<S: Side>(s: &Situation<'_>, position: &Position, exposure: f64) -> CloseKind {
    let (size, pprice) = (position.size.abs(), position.price);
    if size == 0.0 {
        return CloseKind::None;
    }
    if let Some(order) = enforcement::<S>(s, size, pprice, exposure) {
        return CloseKind::Reduce(order);
    }
    let ratio = s.params.close_trailing_grid_ratio;
    if ratio >= 1.0 || ratio <= -1.0 {
        return CloseKind::Trailing(Part::All);
    }
    if ratio == 0.0 {
        return CloseKind::Grid(Part::All);
    }
    let used = if S::LONG && s.wallet_exposure_limit <= 0.0 { 10.0 } else { s.limit_used(exposure) };
    if ratio > 0.0 {
        if used < ratio { CloseKind::Trailing(Part::All) } else { CloseKind::Grid(Part::Beyond(ratio)) }
    } else if used < 1.0 + ratio {
        CloseKind::Grid(Part::All)
    } else {
        CloseKind::Trailing(Part::Beyond(1.0 + ratio))
    }
}

/// The next close order (§16.1.5).
pub fn next_close<S: Side>(s: &Situation<'_>, position: &Position) -> Order {
    match close_kind::<S>(s, position, s.exposure(position.size, position.price)) {
        CloseKind::None => Order::NONE,
        CloseKind::Reduce(order) => order,
        CloseKind::Grid(part) => grid_close::<S>(s, part.of(s, position), position.price),
        CloseKind::Trailing(part) => trailing_close::<S>(s, part.of(s, position), position.price),
    }
}

/// Every close that the coming candle could fill, given that the first one fills (§16.1.6). Appends to `ladder`,
/// which must be empty.
pub fn close_ladder<S: Side>(s: &Situation<'_>, position: &Position, ladder: &mut Vec<Order>) {
    close_ladder_from::<S>(s, position, next_close::<S>(s, position), ladder);
}

/// [`close_ladder`], given its first order.
pub fn close_ladder_from<S: Side>(
    s: &Situation<'_>,
    position: &Position,
    first: Order,
    ladder: &mut Vec<Order>,
) {
    let step = s.rules.qty_step;
    let mut simulated = *position;
    for n in 0..LADDER_LIMIT {
        let order = if n == 0 { first } else { next_close::<S>(s, &simulated) };
        if order.is_none() {
            break;
        }
        simulated.size = num::round_near(simulated.size + order.qty, step);
        if let Some(last) = ladder.last_mut() {
            if order.kind == S::kind(OrderType::CloseTrailingLong) {
                break;
            }
            if order.price == last.price {
                *last = Order { qty: num::round_near(last.qty + order.qty, step), ..order };
                continue;
            }
        }
        ladder.push(order);
    }
    // Both sorts are stable; prices are never NaN here.
    ladder.sort_by(|a, b| {
        let ascending = a.price.total_cmp(&b.price);
        if S::LONG { ascending } else { ascending.reverse() }
    });
}

/// The close of the entire position at a coin's last minute (§14.3.1).
pub fn delisting_close<S: Side>(s: &Situation<'_>, position: &Position, high: f64, low: f64) -> Order {
    let step = s.rules.price_step;
    let raw = if S::LONG { (high - step).min(position.price) } else { (low + step).max(position.price) };
    S::close(position.size.abs(), num::round_near(raw, step), OrderType::CloseUnstuckLong)
}
