//! The account: balance, positions, realised profit, and what a fill does to them (§12.3, §12.4, §13, §15).

use super::SideIndex;
use super::balance::Balance;
use super::fills::Fill;
use super::{Market, Sample};
use crate::num;
use crate::planner::{Long, Short};
use crate::types::{Order, Position};

/// Realised profit, before fees, and its peak. Both sides share it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Realised {
    pub(crate) sum: f64,
    pub(crate) peak: f64,
}

/// A fill as it was booked: quantity as filled, profit, fee, and the position it left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Booked {
    pub(crate) order: Order,
    pub(crate) pnl: f64,
    pub(crate) fee: f64,
    pub(crate) position: Position,
}

/// Positions and money of a run.
pub(crate) struct Account<'a> {
    pub(crate) market: Market<'a>,
    pub(crate) balance: Balance,
    pub(crate) realised: Realised,
    /// Positions by coin and side.
    pub(crate) positions: Vec<[Option<Position>; 2]>,
    /// Coins with a position, ascending, by side.
    pub(crate) held: [Vec<usize>; 2],
}

impl<'a> Account<'a> {
    /// §5.
    pub(crate) fn new(market: Market<'a>) -> Self {
        let coins = market.panel.coins().len();
        Self {
            market,
            balance: Balance::new(market.starting_balance, market.panel.btc_usd().map(|prices| prices[0])),
            realised: Realised::default(),
            positions: vec![[None; 2]; coins],
            held: [Vec::with_capacity(coins), Vec::with_capacity(coins)],
        }
    }

    /// Price of a bitcoin at minute `k`; 1 without BTC collateral.
    pub(crate) fn btc_price(&self, k: usize) -> f64 {
        self.market.panel.btc_usd().map_or(1.0, |prices| prices[k])
    }

    /// §12.3; None if the position no longer exists.
    pub(crate) fn fill_close<S: SideIndex>(&mut self, k: usize, i: usize, order: Order) -> Option<Booked> {
        let rules = &self.market.rules[i];
        let position = self.positions[i][S::INDEX]?;
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
        let after = Position { size, price: position.price };
        if size == 0.0 {
            self.positions[i][S::INDEX] = None;
            self.held[S::INDEX].retain(|&held| held != i);
        } else {
            self.positions[i][S::INDEX] = Some(after);
        }
        Some(Booked { order: Order { qty, ..order }, pnl, fee, position: after })
    }

    /// §12.4.
    pub(crate) fn fill_entry<S: SideIndex>(&mut self, k: usize, i: usize, order: Order) -> Booked {
        let rules = &self.market.rules[i];
        let fee = -num::qty_to_cost(order.qty, order.price, rules.c_mult) * self.market.maker_fee;
        self.balance.book(0.0, fee, self.btc_price(k));
        let slot = &mut self.positions[i][S::INDEX];
        let before = slot.unwrap_or_default();
        let (size, price) = num::combine(before.size, before.price, order.qty, order.price, rules.qty_step);
        let after = Position { size, price };
        if slot.replace(after).is_none() {
            let held = &mut self.held[S::INDEX];
            held.insert(held.partition_point(|&other| other < i), i);
        }
        Booked { order, pnl: 0.0, fee, position: after }
    }

    /// The record of a fill that was just booked (§12.5).
    pub(crate) fn record(&self, k: usize, i: usize, booked: &Booked) -> Fill {
        let Booked { order, pnl, fee, position } = *booked;
        let balance = self.balance.usd_total;
        Fill {
            minute: self.market.panel.minute(k),
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
            wallet_exposure: num::exposure(
                balance,
                position.size,
                position.price,
                self.market.rules[i].c_mult,
            ),
            total_wallet_exposure: self.total_exposure(),
        }
    }

    /// Equity and exposure at the close of minute `k` (§15).
    pub(crate) fn sample(&self, k: usize) -> Sample {
        let mut sample = Sample {
            usd: self.balance.usd_total,
            btc: self.balance.btc_total,
            exposure: self.total_exposure(),
        };
        self.add_unrealised::<Long>(k, &mut sample);
        self.add_unrealised::<Short>(k, &mut sample);
        sample
    }

    fn add_unrealised<S: SideIndex>(&self, k: usize, sample: &mut Sample) {
        for &i in &self.held[S::INDEX] {
            let close = self.market.panel.coins()[i].close[k];
            let (first, last) = self.market.panel.life(i);
            if let Some(position) = self.positions[i][S::INDEX]
                && (first..=last).contains(&k)
                && close.is_finite()
            {
                let pnl = S::pnl(position.price, close, position.size, self.market.rules[i].c_mult);
                sample.usd += pnl;
                sample.btc += pnl / self.btc_price(k);
            }
        }
    }

    /// Sum of the exposures of long, then short positions, each by coin.
    pub(crate) fn total_exposure(&self) -> f64 {
        self.total_exposure_at(self.balance.usd_total)
    }

    /// The same at another total balance.
    pub(crate) fn total_exposure_at(&self, usd_total: f64) -> f64 {
        let mut total = 0.0;
        for (s, held) in self.held.iter().enumerate() {
            for &i in held {
                if let Some(position) = self.positions[i][s] {
                    let c_mult = self.market.rules[i].c_mult;
                    total += num::exposure(usd_total, position.size, position.price, c_mult);
                }
            }
        }
        total
    }
}
