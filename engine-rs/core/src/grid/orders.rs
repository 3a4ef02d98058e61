//! Placing orders (§14) and unstucking (§16.2).

use super::indicators::finite_or_zero;
use super::{SideIndex, TrailingGrid};
use crate::planner::{self, Long, Short, Situation, StuckPosition};
use crate::types::Order;

impl TrailingGrid<'_> {
    /// §14.1: drop all orders and place new ones.
    pub(super) fn place_orders(&mut self, k: usize) {
        for side in self.coins.iter_mut().flat_map(|coin| &mut coin.sides) {
            side.entries.clear();
            side.closes.clear();
        }
        self.place_side::<Long>(k);
        self.place_side::<Short>(k);
        self.place_unstuck(k);
    }

    fn place_side<S: SideIndex>(&mut self, k: usize) {
        if !self.sides[S::INDEX].enabled {
            return;
        }
        self.select_coins(S::INDEX);
        for n in 0..self.active.len() {
            let i = self.active[n];
            if self.coins[i].tradeable(k) {
                self.place_coin::<S>(k, i);
            }
        }
    }

    /// Everything that the planner needs to know of coin `i` at minute `k`; the book is the close.
    fn situation<S: SideIndex>(&self, k: usize, i: usize) -> Situation<'_> {
        let coin = &self.coins[i];
        let side = &coin.sides[S::INDEX];
        let close = finite_or_zero(coin.candles.close[k]);
        Situation {
            rules: &self.account.market.rules[i],
            params: &side.params,
            wallet_exposure_limit: side.wallet_exposure_limit,
            balance: self.account.balance.usd_total_rounded,
            bid: close,
            ask: close,
            bands: side.indicators.bands(),
            log_range: side.indicators.hourly_log_range.value,
            trailing: side.trailing,
        }
    }

    /// §14.3.
    fn place_coin<S: SideIndex>(&mut self, k: usize, i: usize) {
        // The vectors leave the state while the planner borrows it, and come back below.
        let mut entries = std::mem::take(&mut self.coins[i].sides[S::INDEX].entries);
        let mut closes = std::mem::take(&mut self.coins[i].sides[S::INDEX].closes);
        let coin = &self.coins[i];
        let position = self.account.positions[i][S::INDEX];
        let situation = self.situation::<S>(k, i);
        if let Some(position) = position.filter(|_| coin.delisted && k >= coin.last) {
            let (high, low) = (coin.candles.high[k], coin.candles.low[k]);
            closes.push(planner::delisting_close::<S>(&situation, &position, high, low));
        } else {
            let position = position.unwrap_or_default();
            let first = planner::next_entry::<S>(&situation, &position);
            if self.fills_next(k, i, &first) {
                planner::entry_ladder::<S>(&situation, &position, &mut entries);
            }
            let first = planner::next_close::<S>(&situation, &position);
            if self.fills_next(k, i, &first) {
                planner::close_ladder_from::<S>(&situation, &position, first, &mut closes);
            }
        }
        let side = &mut self.coins[i].sides[S::INDEX];
        side.entries = entries;
        side.closes = closes;
    }

    /// The fill test against the coming candle.
    fn fills_next(&self, k: usize, i: usize, order: &Order) -> bool {
        let coin = &self.coins[i];
        coin.tradeable(k + 1) && order.crossed_by(coin.candles.high[k + 1], coin.candles.low[k + 1])
    }

    /// §16.2: at most one unstuck close, over all coins and both sides.
    fn place_unstuck(&mut self, k: usize) {
        let allowance = self.sides.map(|side| side.allowance(&self.account));
        let mut stuck = Vec::new();
        self.collect_stuck::<Long>(k, allowance[0], &mut stuck);
        self.collect_stuck::<Short>(k, allowance[1], &mut stuck);
        stuck.sort_by(StuckPosition::by_turn);
        for candidate in stuck {
            let order = if candidate.long {
                self.unstuck_order::<Long>(k, candidate.coin, allowance[0])
            } else {
                self.unstuck_order::<Short>(k, candidate.coin, allowance[1])
            };
            if !order.is_none() {
                let closes = &mut self.coins[candidate.coin].sides[usize::from(!candidate.long)].closes;
                closes.clear();
                closes.push(order);
                return;
            }
        }
    }

    fn collect_stuck<S: SideIndex>(&self, k: usize, allowance: f64, stuck: &mut Vec<StuckPosition>) {
        if allowance <= 0.0 || allowance.is_nan() {
            return;
        }
        for &i in &self.account.held[S::INDEX] {
            let coin = &self.coins[i];
            let close = coin.candles.close[k];
            if let Some(position) = self.account.positions[i][S::INDEX]
                && coin.tradeable(k)
            {
                let situation = self.situation::<S>(k, i);
                if planner::is_stuck(&situation, &position)
                    && planner::band_allows_unstuck::<S>(&situation, close)
                {
                    let distance = S::pprice_diff(position.price, close);
                    stuck.push(StuckPosition { distance, coin: i, long: S::LONG });
                }
            }
        }
    }

    fn unstuck_order<S: SideIndex>(&self, k: usize, i: usize, allowance: f64) -> Order {
        let coin = &self.coins[i];
        let position = self.account.positions[i][S::INDEX].unwrap_or_default();
        planner::unstuck_close::<S>(&self.situation::<S>(k, i), &position, coin.candles.close[k], allowance)
    }
}
