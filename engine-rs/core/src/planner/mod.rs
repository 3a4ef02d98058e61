//! The order planner: from market state and position to ideal orders (trading-semantics §9 and §16).
//!
//! Pure functions. The backtest calls them every minute, a live bot calls them every cycle: what is simulated is
//! what is traded.

mod closes;
mod entries;
mod triggers;
mod unstuck;

pub use closes::{close_ladder, close_ladder_from, delisting_close, next_close};
pub use entries::{entry_ladder, entry_ladder_while, next_entry};
pub use triggers::{Trigger, Triggers, grid_entry_price, partial_entry_possible, triggers};
pub use unstuck::{StuckPosition, band_allows_unstuck, is_stuck, unstuck_close};

use crate::num;
use crate::params::SideParams;
use crate::types::{Bands, MarketRules, Order, OrderType, Trailing};

/// Most orders in one ladder.
pub(crate) const LADDER_LIMIT: usize = 500;

/// Everything but the position that the orders of one coin and side depend on.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// What the exchange accepts.
    pub rules: &'a MarketRules,
    /// Parameters of the coin and side.
    pub params: &'a SideParams,
    /// Exposure limit of the position, already made dynamic where it is so.
    pub wallet_exposure_limit: f64,
    /// Balance that orders are sized by.
    pub balance: f64,
    /// Best bid; the backtest uses the close.
    pub bid: f64,
    /// Best ask; the backtest uses the close.
    pub ask: f64,
    /// Price bands.
    pub bands: Bands,
    /// Hourly log-range average, which widens the grid.
    pub log_range: f64,
    /// Extremes since the position was opened or last changed.
    pub trailing: Trailing,
}

impl Situation<'_> {
    fn exposure(&self, size: f64, price: f64) -> f64 {
        num::exposure(self.balance, size, price, self.rules.c_mult)
    }

    fn min_entry_qty(&self, price: f64) -> f64 {
        let by_cost = num::cost_to_qty(self.rules.min_cost, price, self.rules.c_mult);
        self.rules.min_qty.max(num::round_up(by_cost, self.rules.qty_step))
    }
}

/// What differs between long and short; everything else is written once.
pub trait Side {
    /// True for the long side.
    const LONG: bool;
    /// +1 for long, −1 for short: the sign of sizes and of entry quantities.
    const SIGN: f64;

    /// `1 − x` for long, `1 + x` for short: a price factor that moves against the position.
    #[inline]
    fn against(x: f64) -> f64 {
        if Self::LONG { 1.0 - x } else { 1.0 + x }
    }

    /// `1 + x` for long, `1 − x` for short: a price factor that moves in favour of the position.
    #[inline]
    fn in_favour(x: f64) -> f64 {
        if Self::LONG { 1.0 + x } else { 1.0 - x }
    }

    /// An entry price: rounded away from the market, and never beyond the book.
    #[inline]
    fn entry_price(book: f64, price: f64, step: f64) -> f64 {
        if Self::LONG { book.min(num::round_down(price, step)) } else { book.max(num::round_up(price, step)) }
    }

    /// A close price rounded away from the market.
    #[inline]
    fn round_close(price: f64, step: f64) -> f64 {
        if Self::LONG { num::round_up(price, step) } else { num::round_down(price, step) }
    }

    /// A close price kept on the far side of the book.
    #[inline]
    fn beyond_book(book: f64, price: f64) -> f64 {
        if Self::LONG { book.max(price) } else { book.min(price) }
    }

    /// The book price that entries meet.
    #[inline]
    fn entry_book(s: &Situation<'_>) -> f64 {
        if Self::LONG { s.bid } else { s.ask }
    }

    /// The book price that closes meet.
    #[inline]
    fn close_book(s: &Situation<'_>) -> f64 {
        if Self::LONG { s.ask } else { s.bid }
    }

    /// Profit of closing `qty`.
    #[inline]
    fn pnl(entry_price: f64, close_price: f64, qty: f64, c_mult: f64) -> f64 {
        if Self::LONG {
            num::pnl_long(entry_price, close_price, qty, c_mult)
        } else {
            num::pnl_short(entry_price, close_price, qty, c_mult)
        }
    }

    /// How far the position is under water, relative to its price; 0 without a price.
    #[inline]
    fn pprice_diff(pprice: f64, price: f64) -> f64 {
        if pprice <= 0.0 {
            0.0
        } else if Self::LONG {
            1.0 - price / pprice
        } else {
            price / pprice - 1.0
        }
    }

    /// The order type of this side for a long type.
    #[inline]
    fn kind(long: OrderType) -> OrderType {
        if Self::LONG { long } else { long.mirrored() }
    }

    /// An entry order of positive quantity `qty`, signed for the side.
    #[inline]
    fn entry(qty: f64, price: f64, long_type: OrderType) -> Order {
        Order { qty: if Self::LONG { qty } else { -qty }, price, kind: Self::kind(long_type) }
    }

    /// A close order of positive quantity `qty`, signed for the side.
    #[inline]
    fn close(qty: f64, price: f64, long_type: OrderType) -> Order {
        Order { qty: if Self::LONG { -qty } else { qty }, price, kind: Self::kind(long_type) }
    }
}

/// The long side.
#[derive(Clone, Copy, Debug)]
pub struct Long;

/// The short side.
#[derive(Clone, Copy, Debug)]
pub struct Short;

impl Side for Long {
    const LONG: bool = true;
    const SIGN: f64 = 1.0;
}

impl Side for Short {
    const LONG: bool = false;
    const SIGN: f64 = -1.0;
}

/// Where a trailing order stands, and whether it does (§9.4 and §16.1.3).
struct TrailingTrigger {
    /// The order stands at the book price.
    at_book: bool,
    /// The order stands; false: wait.
    armed: bool,
}

/// Both kinds of trailing order follow one pattern: by the book without a threshold, always there without a
/// retracement.
fn trailing_trigger(threshold: f64, retracement: f64, armed: impl FnOnce() -> bool) -> TrailingTrigger {
    if threshold <= 0.0 {
        TrailingTrigger { at_book: true, armed: retracement > 0.0 && armed() }
    } else {
        TrailingTrigger { at_book: false, armed: retracement <= 0.0 || armed() }
    }
}
