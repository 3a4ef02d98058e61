//! A plan in the making: slots, selection, orders, unstucking (§11, §14, §16).

use super::super::{SideIndex, SideWide, side_wide};
use super::{AccountNow, CoinNow, Live, Mode, Plan, Planned};
use crate::num;
use crate::params::SideParams;
use crate::planner::{self, Long, Short, Situation, StuckPosition};
use crate::types::{Order, OrderType, Trailing};

/// The orders of one coin and side.
#[derive(Clone, Debug, Default)]
struct Lists {
    closes: Vec<Order>,
    entries: Vec<Order>,
}

/// A plan in the making.
pub(super) struct Draft<'a> {
    live: &'a mut Live,
    account: &'a AccountNow,
    now: &'a [CoinNow],
    ladder: usize,
    /// Parameters of each coin and side as this plan uses them.
    params: Vec<[SideParams; 2]>,
    wide: [SideWide; 2],
    trailing: Vec<[Trailing; 2]>,
    limits: Vec<[f64; 2]>,
    active: Vec<[bool; 2]>,
    lists: Vec<[Lists; 2]>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(
        live: &'a mut Live,
        account: &'a AccountNow,
        now: &'a [CoinNow],
        ladder: usize,
    ) -> Self {
        let count = now.len();
        let wide = |s: usize, first: &SideParams, all: Vec<SideParams>| {
            let candidates = now.iter().filter(|coin| coin.sides[s].mode == Mode::Normal).count();
            side_wide(first, all.iter(), candidates)
        };
        let long = live.coins.iter().map(|coin| coin.bot.long).collect();
        let short = live.coins.iter().map(|coin| coin.bot.short).collect();
        let wide = [wide(0, &live.bot.long, long), wide(1, &live.bot.short, short)];
        let params = live.coins.iter().map(|coin| [coin.bot.long, coin.bot.short]).collect();
        Self {
            live,
            account,
            now,
            ladder,
            params,
            wide,
            trailing: vec![[Trailing::RESET; 2]; count],
            limits: vec![[0.0; 2]; count],
            active: vec![[false; 2]; count],
            lists: vec![Default::default(); count],
        }
    }

    fn held(&self, s: usize, i: usize) -> bool {
        let side = &self.now[i].sides[s];
        side.position.size != 0.0 && side.mode != Mode::Manual
    }

    /// Slots and limits (§11), selection (§14.2) and orders (§14.3) of one side.
    pub(super) fn side<S: SideIndex>(&mut self) {
        let s = S::INDEX;
        self.limit::<S>();
        self.select(s);
        for i in 0..self.now.len() {
            if self.active[i][s] && self.now[i].sides[s].tradeable && self.live.coins[i].indicators.is_some()
            {
                self.coin::<S>(i);
            }
        }
    }

    fn limit<S: SideIndex>(&mut self) {
        let s = S::INDEX;
        let counts = |i: usize| {
            let side = &self.now[i].sides[s];
            side.tradeable && (side.mode == Mode::Normal || self.held(s, i))
        };
        let tradeable = (0..self.now.len()).filter(|&i| counts(i)).count();
        let configured =
            num::nint(if S::LONG { &self.live.bot.long } else { &self.live.bot.short }.n_positions);
        // Positions on coins that are no longer approved keep the limit that they would have as candidates.
        self.wide[s].slots = (configured.max(0.0) as usize).min(tradeable);
        let dynamic = self.wide[s].limit_slots(tradeable);
        for i in 0..self.now.len() {
            let own = self.params[i][s].wallet_exposure_limit;
            self.limits[i][s] = if own < 0.0 { dynamic } else { own };
            // On a side that is switched off a limit of 0 says nothing about the position.
            if dynamic == 0.0 && own < 0.0 {
                self.params[i][s].enforce_exposure_limit = false;
            }
            if let Some(coin) =
                self.live.coins.get_mut(i).filter(|_| self.now[i].sides[s].position.size != 0.0)
            {
                self.trailing[i][s] = coin.trailing(s, self.now[i].sides[s].changed_ms);
            }
        }
    }

    /// Positions first, then preferred coins, then the ranked ones.
    fn select(&mut self, s: usize) {
        for i in 0..self.now.len() {
            self.active[i][s] = self.held(s, i);
        }
        let slots = self.wide[s].effective_slots;
        let mut taken = self.active.iter().filter(|active| active[s]).count();
        let candidates: Vec<usize> = (0..self.now.len())
            .filter(|&i| {
                let side = &self.now[i].sides[s];
                side.mode == Mode::Normal && side.tradeable && self.live.coins[i].indicators.is_some()
            })
            .collect();
        let (preferred, ranked): (Vec<usize>, Vec<usize>) =
            candidates.iter().partition(|&&i| self.now[i].sides[s].preferred);
        for i in preferred.into_iter().chain(self.rank(s, candidates.len(), ranked)) {
            if taken >= slots {
                break;
            }
            if !self.active[i][s] {
                self.active[i][s] = true;
                taken += 1;
            }
        }
    }

    /// The most volatile of the most traded coins. The sorts are stable.
    fn rank(&self, s: usize, count: usize, mut ranking: Vec<usize>) -> Vec<usize> {
        if count <= self.wide[s].effective_slots {
            return ranking;
        }
        let of = |i: usize| self.live.coins[i].indicators.as_ref().map(|sides| &sides[s]);
        let volume = |i: usize| of(i).map_or(f64::NEG_INFINITY, |side| side.volume.value);
        let log_range = |i: usize| of(i).map_or(f64::NEG_INFINITY, |side| side.log_range.value);
        ranking.sort_by(|&a, &b| volume(b).total_cmp(&volume(a)));
        ranking.truncate(self.wide[s].by_volume);
        ranking.sort_by(|&a, &b| log_range(b).total_cmp(&log_range(a)));
        ranking
    }

    /// None while a price of the book or an indicator is missing.
    fn situation<S: SideIndex>(&self, i: usize) -> Option<Situation<'_>> {
        let (s, coin, now) = (S::INDEX, &self.live.coins[i], &self.now[i]);
        let indicators = &coin.indicators.as_ref()?[s];
        let priced = now.bid.is_finite() && now.bid > 0.0 && now.ask.is_finite() && now.ask > 0.0;
        priced.then(|| Situation {
            rules: &coin.rules,
            params: &self.params[i][s],
            wallet_exposure_limit: self.limits[i][s],
            balance: self.account.balance,
            bid: now.bid,
            ask: now.ask,
            bands: indicators.bands(),
            log_range: indicators.hourly_log_range.value,
            trailing: self.trailing[i][s],
        })
    }

    fn coin<S: SideIndex>(&mut self, i: usize) {
        let side = &self.now[i].sides[S::INDEX];
        let (mode, position) = (side.mode, side.position);
        let mut lists = Lists::default();
        let Some(situation) = self.situation::<S>(i) else { return };
        if mode == Mode::Panic {
            // Crossing the book: an entry of the other side would meet this price.
            let price = S::entry_book(&situation);
            lists.closes.push(S::close(position.size.abs(), price, OrderType::ClosePanicLong));
        } else {
            let enters = mode == Mode::Normal || (mode == Mode::GracefulStop && position.size != 0.0);
            if enters {
                planner::entry_ladder::<S>(&situation, &position, &mut lists.entries);
                lists.entries.truncate(self.ladder);
            }
            planner::close_ladder::<S>(&situation, &position, &mut lists.closes);
            lists.closes.truncate(self.ladder);
        }
        self.lists[i][S::INDEX] = lists;
    }

    /// §16.2: at most one unstuck close, over all coins and both sides.
    pub(super) fn unstuck(&mut self) {
        if !self.account.may_unstuck {
            return;
        }
        let allowance = [self.allowance(0), self.allowance(1)];
        let mut stuck = Vec::new();
        self.collect_stuck::<Long>(allowance[0], &mut stuck);
        self.collect_stuck::<Short>(allowance[1], &mut stuck);
        stuck.sort_by(StuckPosition::by_turn);
        for candidate in stuck {
            let s = usize::from(!candidate.long);
            let order = if candidate.long {
                self.unstuck_order::<Long>(candidate.coin, allowance[0])
            } else {
                self.unstuck_order::<Short>(candidate.coin, allowance[1])
            };
            if let Some(order) = order.filter(|order| !order.is_none()) {
                self.lists[candidate.coin][s].closes = vec![order];
                return;
            }
        }
    }

    fn allowance(&self, s: usize) -> f64 {
        let AccountNow { balance, realised_sum, realised_peak, .. } = *self.account;
        self.wide[s]
            .unstuck_pct
            .map_or(0.0, |pct| num::unstuck_allowance(balance, pct, realised_peak, realised_sum))
    }

    fn collect_stuck<S: SideIndex>(&self, allowance: f64, stuck: &mut Vec<StuckPosition>) {
        if allowance <= 0.0 || allowance.is_nan() {
            return;
        }
        for (i, now) in self.now.iter().enumerate() {
            let side = &now.sides[S::INDEX];
            if !self.held(S::INDEX, i) || !side.tradeable || side.mode == Mode::Panic {
                continue;
            }
            if let Some(situation) = self.situation::<S>(i) {
                let close = S::close_book(&situation);
                if planner::is_stuck(&situation, &side.position)
                    && planner::band_allows_unstuck::<S>(&situation, close)
                {
                    let distance = S::pprice_diff(side.position.price, close);
                    stuck.push(StuckPosition { distance, coin: i, long: S::LONG });
                }
            }
        }
    }

    fn unstuck_order<S: SideIndex>(&self, i: usize, allowance: f64) -> Option<Order> {
        let situation = self.situation::<S>(i)?;
        let position = &self.now[i].sides[S::INDEX].position;
        Some(planner::unstuck_close::<S>(&situation, position, S::close_book(&situation), allowance))
    }

    pub(super) fn finish(self) -> Plan {
        let mut orders = Vec::new();
        for s in 0..2 {
            for (coin, sides) in self.lists.iter().enumerate() {
                let all = sides[s].closes.iter().chain(&sides[s].entries);
                orders.extend(all.map(|&order| Planned { coin, order }));
            }
        }
        Plan { orders, limits: self.limits, active: self.active }
    }
}
