//! Slot counts, dynamic exposure limits (§11) and coin selection (§14.2).

use super::TrailingGrid;

impl TrailingGrid<'_> {
    /// §11.
    pub(super) fn update_slots(&mut self, k: usize) {
        let tradeable = self.coins.iter().filter(|coin| coin.tradeable(k)).count();
        if tradeable == 0 {
            return;
        }
        let limits = self.sides.each_mut().map(|side| side.limit_slots(tradeable));
        if self.sides.iter().all(|side| side.effective_slots == 0) {
            return;
        }
        for (s, dynamic) in limits.into_iter().enumerate() {
            for coin in self.coins.iter_mut().filter(|coin| coin.tradeable(k)) {
                let state = &mut coin.sides[s];
                if state.params.wallet_exposure_limit < 0.0 {
                    state.wallet_exposure_limit = dynamic;
                }
            }
        }
    }

    /// §14.1 and §14.2: fill `self.active` with the coins that get orders, ascending.
    pub(super) fn select_coins(&mut self, s: usize) {
        self.active.clone_from(&self.account.held[s]);
        let slots = self.sides[s].effective_slots;
        if self.active.len() >= slots {
            return;
        }
        self.rank_coins(s);
        for &i in &self.ranking {
            if self.active.len() == slots {
                break;
            }
            if !self.active.contains(&i) {
                self.active.push(i);
            }
        }
        self.active.sort_unstable();
    }

    /// The preferred list: the most volatile of the most traded coins. The sorts are stable.
    fn rank_coins(&mut self, s: usize) {
        let coins = &self.coins;
        self.ranking.clear();
        self.ranking.extend(0..coins.len());
        if coins.len() <= self.sides[s].effective_slots {
            return;
        }
        let volume = |i: usize| coins[i].sides[s].indicators.volume.value;
        let log_range = |i: usize| coins[i].sides[s].indicators.log_range.value;
        self.ranking.sort_by(|&a, &b| volume(b).total_cmp(&volume(a)));
        self.ranking.truncate(self.sides[s].by_volume);
        self.ranking.sort_by(|&a, &b| log_range(b).total_cmp(&log_range(a)));
    }
}
