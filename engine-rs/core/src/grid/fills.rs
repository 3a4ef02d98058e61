//! Fills of the orders that rest since the minute before (§12).

use super::{SideIndex, TrailingGrid};
use crate::num;
use crate::types::{Order, OrderType, Position};

/// One fill (§12.5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fill {
    /// Minute index.
    pub minute: usize,
    /// Coin index.
    pub coin: usize,
    /// Realised profit before the fee; 0 for entries.
    pub pnl: f64,
    /// Fee, negative when paid.
    pub fee: f64,
    /// Balance in USD after the fill.
    pub balance: f64,
    /// BTC held after the fill.
    pub balance_btc: f64,
    /// USD held after the fill.
    pub balance_usd: f64,
    /// Price of a bitcoin at the fill.
    pub btc_price: f64,
    /// Signed quantity.
    pub qty: f64,
    /// Price.
    pub price: f64,
    /// Position size after the fill.
    pub position_size: f64,
    /// Position price after the fill; for a flattening close, the price that the position had.
    pub position_price: f64,
    /// Type of the order.
    pub kind: OrderType,
    /// Exposure of the position after the fill.
    pub wallet_exposure: f64,
    /// Exposure of all positions after the fill.
    pub total_wallet_exposure: f64,
}

impl TrailingGrid<'_> {
    /// §12.2 for one side.
    pub(super) fn fill_orders<S: SideIndex>(&mut self, k: usize, fills: &mut Vec<Fill>) {
        if !self.sides[S::INDEX].enabled {
            return;
        }
        for i in 0..self.coins.len() {
            let side = &self.coins[i].sides[S::INDEX];
            if (side.closes.is_empty() && side.entries.is_empty()) || !self.coins[i].tradeable(k) {
                continue;
            }
            let (high, low) = (self.coins[i].candles.high[k], self.coins[i].candles.low[k]);
            for n in 0..self.coins[i].sides[S::INDEX].closes.len() {
                let order = self.coins[i].sides[S::INDEX].closes[n];
                if order.crossed_by(high, low) {
                    self.fill_close::<S>(k, i, order, fills);
                }
            }
            for n in 0..self.coins[i].sides[S::INDEX].entries.len() {
                let order = self.coins[i].sides[S::INDEX].entries[n];
                if order.crossed_by(high, low) {
                    self.fill_entry::<S>(k, i, order, fills);
                }
            }
        }
    }

    /// §12.3.
    fn fill_close<S: SideIndex>(&mut self, k: usize, i: usize, order: Order, fills: &mut Vec<Fill>) {
        let rules = &self.market.rules[i];
        let Some(position) = self.coins[i].sides[S::INDEX].position else { return };
        let mut qty = order.qty;
        let mut size = num::round_near(position.size + qty, rules.qty_step);
        if if S::LONG { size < 0.0 } else { size > 0.0 } {
            size = 0.0;
            qty = -position.size;
        }
        let fee = -num::qty_to_cost(qty, order.price, rules.c_mult) * self.market.maker_fee;
        let pnl = S::pnl(position.price, order.price, qty, rules.c_mult);
        self.realised.sum += pnl;
        self.realised.peak = self.realised.peak.max(self.realised.sum);
        self.balance.book(pnl, fee, self.btc_price(k));
        let side = &mut self.coins[i].sides[S::INDEX];
        side.last_fill = k;
        if size == 0.0 {
            side.position = None;
            self.held[S::INDEX].retain(|&held| held != i);
        } else {
            side.position = Some(Position { size, ..position });
        }
        let after = Position { size, price: position.price };
        self.record(k, i, (pnl, fee), Order { qty, ..order }, after, fills);
    }

    /// §12.4.
    fn fill_entry<S: SideIndex>(&mut self, k: usize, i: usize, order: Order, fills: &mut Vec<Fill>) {
        let rules = &self.market.rules[i];
        let fee = -num::qty_to_cost(order.qty, order.price, rules.c_mult) * self.market.maker_fee;
        self.balance.book(0.0, fee, self.btc_price(k));
        let side = &mut self.coins[i].sides[S::INDEX];
        side.last_fill = k;
        let before = side.position.unwrap_or_default();
        let (size, price) = num::combine(before.size, before.price, order.qty, order.price, rules.qty_step);
        let after = Position { size, price };
        if side.position.replace(after).is_none() {
            let held = &mut self.held[S::INDEX];
            held.insert(held.partition_point(|&other| other < i), i);
        }
        self.record(k, i, (0.0, fee), order, after, fills);
    }

    fn record(
        &self,
        k: usize,
        i: usize,
        (pnl, fee): (f64, f64),
        order: Order,
        position: Position,
        fills: &mut Vec<Fill>,
    ) {
        let rules = &self.market.rules[i];
        let balance = self.balance.usd_total;
        fills.push(Fill {
            minute: k,
            coin: i,
            pnl,
            fee,
            balance,
            balance_btc: self.balance.btc,
            balance_usd: self.balance.usd,
            btc_price: self.btc_price(k),
            qty: order.qty,
            price: order.price,
            position_size: position.size,
            position_price: position.price,
            kind: order.kind,
            wallet_exposure: num::exposure(balance, position.size, position.price, rules.c_mult),
            total_wallet_exposure: self.total_exposure(),
        });
    }
}
