//! Fills of the orders that rest since the minute before (§12).

use super::{SideIndex, TrailingGrid};
use crate::types::OrderType;

/// One fill (§12.5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fill {
    /// Minutes from the start of the panel to that of the bar.
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
            let coin = &mut self.coins[i];
            let tradeable = coin.tradeable(k);
            let (high, low) = (coin.candles.high[k], coin.candles.low[k]);
            let side = &mut coin.sides[S::INDEX];
            if !tradeable {
                continue;
            }
            for order in side.closes.iter().filter(|order| order.crossed_by(high, low)) {
                if let Some(booked) = self.account.fill_close::<S>(k, i, *order) {
                    side.last_fill = k;
                    fills.push(self.account.record(k, i, &booked));
                }
            }
            for order in side.entries.iter().filter(|order| order.crossed_by(high, low)) {
                let booked = self.account.fill_entry::<S>(k, i, *order);
                side.last_fill = k;
                fills.push(self.account.record(k, i, &booked));
            }
        }
    }
}
