//! The trailing-flip strategy: one coin, always in the market, reverses on a trailing loss.
//!
//! Section numbers are those of the specification `trailing-flip`. It has no market rules, no warm-up, and stands
//! outside the search.

use std::ops::{ControlFlow, Range};

use crate::error::{EngineError, Result};
use crate::num;
use crate::strategy::{Strategy, simulate};
use crate::types::{Position, Trailing};

const STARTING_BALANCE: f64 = 100.0;

/// Parameters (§1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlipParams {
    /// Size of an opening order relative to the balance.
    pub initial_qty_pct: f64,
    /// Size of the opposite position after a flip, relative to the closed one.
    pub double_down_factor: f64,
    /// Cap on the exposure after a flip.
    pub wallet_exposure_limit: f64,
    /// Gain that arms the profit exit.
    pub trailing_threshold_pct_profit: f64,
    /// Pull-back that triggers the profit exit.
    pub trailing_retracement_pct_profit: f64,
    /// Loss that arms the flip.
    pub trailing_threshold_pct_loss: f64,
    /// Pull-back that triggers the flip.
    pub trailing_retracement_pct_loss: f64,
    /// Fee rate of every fill.
    pub fee_rate: f64,
    /// Multiplier of the trailing values in a strong trend.
    pub adx_scale_higher_width: f64,
    /// Multiplier of the trailing values in a weak trend.
    pub adx_scale_lower_width: f64,
    /// Flips before the position is closed without reversing; 0: unlimited.
    pub max_flips_per_cycle: u64,
}

/// Candles and trend strength, all of one length.
#[derive(Clone, Copy, Debug)]
pub struct FlipInput<'a> {
    /// Highest prices.
    pub high: &'a [f64],
    /// Lowest prices.
    pub low: &'a [f64],
    /// Last prices.
    pub close: &'a [f64],
    /// First trend-strength series.
    pub adx_1: &'a [f64],
    /// Second trend-strength series.
    pub adx_2: &'a [f64],
}

/// What a fill did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlipOrder {
    /// Bought to open or add.
    EntryLong,
    /// Sold to open or add.
    EntryShort,
    /// Sold to close.
    CloseLong,
    /// Bought to close.
    CloseShort,
}

impl FlipOrder {
    /// The name as written in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::EntryLong => "entry_long",
            Self::EntryShort => "entry_short",
            Self::CloseLong => "close_long",
            Self::CloseShort => "close_short",
        }
    }
}

/// One fill (§4).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlipFill {
    /// Candle index.
    pub minute: usize,
    /// Realised profit.
    pub pnl: f64,
    /// Fee, positive when paid.
    pub fee: f64,
    /// Balance after the fill.
    pub balance: f64,
    /// Signed quantity.
    pub qty: f64,
    /// Price.
    pub price: f64,
    /// Position after the fill.
    pub position: Position,
    /// Unrealised profit at the candle's worst price; 0 for the first of two fills in one candle.
    pub upnl: f64,
    /// Type.
    pub kind: FlipOrder,
}

/// Fills and equity of a run (§7).
#[derive(Clone, Debug)]
pub struct FlipRun {
    /// Fills in order.
    pub fills: Vec<FlipFill>,
    /// Balance plus unrealised profit, one value a candle.
    pub equity: Vec<f64>,
}

/// Run the strategy.
///
/// # Errors
/// Series of unequal length.
pub fn trailing_flip(input: FlipInput<'_>, params: FlipParams) -> Result<FlipRun> {
    let candles = input.close.len();
    for (name, series) in
        [("high", input.high), ("low", input.low), ("adx_1", input.adx_1), ("adx_2", input.adx_2)]
    {
        if series.len() != candles {
            return Err(EngineError::Candles(format!(
                "{name} has {} values; allowed is one a candle, {candles}",
                series.len()
            )));
        }
    }
    let mut strategy = TrailingFlip {
        input,
        params,
        balance: STARTING_BALANCE,
        position: Position::default(),
        order: (0.0, 0.0),
        flips: 0,
        extrema: RESET,
    };
    let mut equity = Vec::with_capacity(candles);
    let fills = simulate(&mut strategy, |sample, _| {
        equity.push(sample);
        ControlFlow::Continue(())
    });
    Ok(FlipRun { fills, equity })
}

/// The extrema after a fill (§2).
const RESET: Trailing = Trailing {
    max_since_open: 0.0,
    min_since_max: f64::INFINITY,
    min_since_open: f64::INFINITY,
    max_since_min: 0.0,
};

struct TrailingFlip<'a> {
    input: FlipInput<'a>,
    params: FlipParams,
    balance: f64,
    position: Position,
    /// Signed quantity and price of the open order.
    order: (f64, f64),
    flips: u64,
    extrema: Trailing,
}

/// What the strategy wants next (§5).
struct Next {
    order: (f64, f64),
    upnl: f64,
    flip: bool,
}

impl Strategy for TrailingFlip<'_> {
    type Fill = FlipFill;
    type Sample = f64;

    fn minutes(&self) -> Range<usize> {
        0..self.input.close.len()
    }

    /// §3.
    fn step(&mut self, i: usize, fills: &mut Vec<FlipFill>) -> f64 {
        let (high, low, close) = (self.input.high[i], self.input.low[i], self.input.close[i]);
        let (qty, price) = self.order;
        if (qty > 0.0 && low < price) || (qty < 0.0 && high > price) {
            self.fill(i, qty, price, fills);
            self.extrema = RESET;
        } else {
            self.extrema.update(high, low, close);
        }
        let next = self.next_order(i);
        let cap = self.params.max_flips_per_cycle;
        if next.flip && cap > 0 {
            self.flips += 1;
        }
        if cap > 0 && self.flips >= cap {
            self.order = (-self.position.size, close);
            self.flips = 0;
        } else {
            self.order = next.order;
        }
        if let Some(last) = fills.last_mut().filter(|fill| fill.minute == i) {
            last.upnl = next.upnl;
        }
        self.balance + next.upnl
    }
}

/// §4: position after a fill.
fn moved(position: Position, qty: f64, price: f64) -> Position {
    let Position { size, price: pprice } = position;
    if qty == 0.0 {
        position
    } else if size == 0.0 {
        Position { size: qty, price }
    } else if size * qty > 0.0 {
        let price = (size.abs() * pprice + qty.abs() * price) / (size.abs() + qty.abs());
        Position { size: size + qty, price }
    } else if qty.abs() < size.abs() {
        Position { size: size + qty, price: pprice }
    } else if qty.abs() == size.abs() {
        Position::default()
    } else {
        Position { size: size + qty, price }
    }
}

/// §4: the part of an order that closes, and the part that opens.
fn split(position: Position, qty: f64) -> (f64, f64) {
    if position.size == 0.0 || position.size * qty > 0.0 {
        return (0.0, qty);
    }
    let closed = position.size.abs().min(qty.abs());
    let close = if position.size > 0.0 { -closed } else { closed };
    (close, qty - close)
}

impl TrailingFlip<'_> {
    /// §4.
    fn fill(&mut self, i: usize, qty: f64, price: f64, fills: &mut Vec<FlipFill>) {
        let before = self.position;
        let (close, entry) = split(before, qty);
        if close != 0.0 {
            let closed = close.abs();
            let (pnl, kind) = if before.size > 0.0 {
                (closed * (price - before.price), FlipOrder::CloseLong)
            } else {
                (closed * (before.price - price), FlipOrder::CloseShort)
            };
            self.record(i, close, price, pnl, kind, fills);
        }
        if entry != 0.0 {
            let kind = if entry > 0.0 { FlipOrder::EntryLong } else { FlipOrder::EntryShort };
            self.record(i, entry, price, 0.0, kind, fills);
        }
    }

    fn record(
        &mut self,
        minute: usize,
        qty: f64,
        price: f64,
        pnl: f64,
        kind: FlipOrder,
        fills: &mut Vec<FlipFill>,
    ) {
        let fee = qty.abs() * price * self.params.fee_rate;
        self.balance += pnl - fee;
        self.position = moved(self.position, qty, price);
        let (balance, position) = (self.balance, self.position);
        fills.push(FlipFill { minute, pnl, fee, balance, qty, price, position, upnl: 0.0, kind });
    }

    /// §5.
    fn next_order(&self, i: usize) -> Next {
        let p = &self.params;
        let (high, low, close) = (self.input.high[i], self.input.low[i], self.input.close[i]);
        let Position { size, price } = self.position;
        if size == 0.0 {
            let order =
                if close != 0.0 { ((self.balance / close) * p.initial_qty_pct, close) } else { (0.0, 0.0) };
            return Next { order, upnl: 0.0, flip: false };
        }
        let scale = self.scale(i);
        let threshold_profit = p.trailing_threshold_pct_profit * scale;
        let retracement_profit = p.trailing_retracement_pct_profit * scale;
        let threshold_loss = p.trailing_threshold_pct_loss * scale;
        let retracement_loss = p.trailing_retracement_pct_loss * scale;
        let e = &self.extrema;
        let fell_back = |by: f64| e.min_since_max <= e.max_since_open * (1.0 - by);
        let rebounded = |by: f64| e.max_since_min >= e.min_since_open * (1.0 + by);
        let (upnl, exit, flip) = if size > 0.0 {
            (
                num::pnl_long(price, low, size, 1.0),
                close >= price * (1.0 + threshold_profit) && fell_back(retracement_profit),
                // Strict here, unlike the short side's test.
                close < price * (1.0 - threshold_loss) && rebounded(retracement_loss),
            )
        } else {
            (
                num::pnl_short(price, high, size, 1.0),
                close <= price * (1.0 - threshold_profit) && rebounded(retracement_profit),
                close >= price * (1.0 + threshold_loss) && fell_back(retracement_loss),
            )
        };
        if exit {
            Next { order: (-size, close), upnl, flip: false }
        } else if flip {
            let qty = self.clip(-size - size * p.double_down_factor, close);
            Next { order: (qty, close), upnl, flip: true }
        } else {
            Next { order: (0.0, 0.0), upnl, flip: false }
        }
    }

    /// §3.2.
    fn scale(&self, i: usize) -> f64 {
        let (one, two) = (self.input.adx_1[i], self.input.adx_2[i]);
        if one > 30.0 && two > 25.0 {
            self.params.adx_scale_higher_width
        } else if one < 20.0 && two < 20.0 {
            self.params.adx_scale_lower_width
        } else {
            1.0
        }
    }

    /// §6: keep the position after a flip within the exposure limit.
    fn clip(&self, qty: f64, price: f64) -> f64 {
        let (close, entry) = split(self.position, qty);
        let after = moved(moved(self.position, close, price), entry, price);
        let exposure = if self.balance == 0.0 { 0.0 } else { after.size.abs() * after.price / self.balance };
        let limit = self.params.wallet_exposure_limit;
        if exposure > limit {
            let clipped = after.size * (limit / exposure);
            qty - (after.size - clipped)
        } else {
            qty
        }
    }
}
