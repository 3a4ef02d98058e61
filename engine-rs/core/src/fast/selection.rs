//! Coin selection (§14.2): the most volatile of the most traded coins get the slots that are free.

use std::cmp::Ordering;

use super::Run;
use super::averages::{self, BLOCK};
use super::entering::Entering;
use super::masks;
use crate::grid::SideIndex;

/// What one side knows of the order of the coins.
pub(super) struct Selection {
    /// By falling volume, as it was when somebody last asked: it changes little, so that sorting it again is little
    /// more than looking at it.
    by_volume: Vec<usize>,
    best: Vec<usize>,
    /// The highest log ranges of the flat coins in each minute of a span, highest first.
    highest: Vec<[f64; BLOCK]>,
    /// Coins that survive the volume filter, and the minutes of the span at which they do, one bit a minute.
    members: Vec<(usize, u64)>,
    /// Minutes at which equal volumes leave open who survives.
    open: u64,
    /// The two before are those of the span at hand.
    known: bool,
}

impl Selection {
    pub(super) fn new(coins: usize) -> Self {
        Self {
            by_volume: (0..coins).collect(),
            best: Vec::with_capacity(coins),
            highest: Vec::new(),
            members: Vec::with_capacity(coins),
            open: 0,
            known: false,
        }
    }

    /// A new span begins.
    pub(super) fn forget(&mut self) {
        self.known = false;
    }

    /// The `surviving` coins of most volume by falling log range. Equal volumes are in the order of the coins, equal
    /// log ranges in the order of the volumes.
    fn rank(
        &mut self,
        surviving: usize,
        volume: impl Fn(usize) -> f64,
        log_range: impl Fn(usize) -> f64,
    ) -> &[usize] {
        self.sort_by_volume(volume);
        self.best.clear();
        self.best.extend(&self.by_volume[..surviving.min(self.by_volume.len())]);
        insertion_sort(&mut self.best, |a, b| log_range(b).total_cmp(&log_range(a)));
        &self.best
    }

    fn sort_by_volume(&mut self, volume: impl Fn(usize) -> f64) {
        insertion_sort(&mut self.by_volume, |a, b| volume(b).total_cmp(&volume(a)).then(a.cmp(&b)));
    }
}

/// Rows for the highest values of each minute, highest first: as many as there are places and one more, since what is
/// above that has a place however ties are broken.
fn rows_for(places: usize, rows: &mut Vec<[f64; BLOCK]>) {
    rows.clear();
    rows.resize(places + 1, [f64::NEG_INFINITY; BLOCK]);
}

/// A stable sort that is quick where little is out of order.
fn insertion_sort(list: &mut [usize], order: impl Fn(usize, usize) -> Ordering) {
    for end in 1..list.len() {
        let item = list[end];
        let mut at = end;
        while at > 0 && order(list[at - 1], item) == Ordering::Greater {
            list[at] = list[at - 1];
            at -= 1;
        }
        list[at] = item;
    }
}

impl Run<'_> {
    /// Keep of the flat coins that may enter those that may have a slot at some minute, and of their minutes those at
    /// which they may.
    pub(super) fn select<S: SideIndex>(&mut self) {
        let side = self.sides[S::INDEX];
        if self.coins.len() <= side.effective_slots || self.scratch.entering[S::INDEX].is_empty() {
            return;
        }
        self.rank_coins();
        let free = side.effective_slots - self.account.held[S::INDEX].len();
        let mut entering = std::mem::take(&mut self.scratch.entering[S::INDEX]);
        self.find_members::<S>();
        self.select_together::<S>(&mut entering, free);
        self.scratch.entering[S::INDEX] = entering;
    }

    /// Have what ranks the coins in each minute of the span.
    fn rank_coins(&mut self) {
        let (isa, start, columns) = (self.isa, self.span.start, self.columns());
        let living = self.coins.iter_mut().enumerate().filter(|(_, coin)| coin.valid(start));
        averages::rank(isa, living.map(|(i, coin)| (&mut coin.averages, columns(i, &coin.candles))));
        for coin in self.coins.iter_mut().filter(|coin| !coin.valid(start)) {
            coin.averages.rest();
        }
    }

    /// Find the coins that survive the volume filter in this span.
    fn find_members<S: SideIndex>(&mut self) {
        let (isa, coins, surviving) = (self.isa, &self.coins, self.sides[S::INDEX].by_volume);
        let volume = |i: usize| coins[i].averages.volume::<S>();
        let selection = &mut self.selection[S::INDEX];
        if selection.known {
            return;
        }
        selection.known = true;
        selection.open = 0;
        selection.members.clear();
        // Nearly always they are the same in all minutes.
        selection.sort_by_volume(|i| volume(i)[0]);
        let (first, others) = selection.by_volume.split_at(surviving.min(coins.len()));
        let mut most = [f64::NEG_INFINITY; BLOCK];
        for &i in others {
            masks::raise(isa, &mut most, volume(i));
        }
        let length = self.span.end - self.span.start;
        if first.iter().all(|&i| masks::is_above(isa, volume(i), &most, length)) {
            selection.members.extend(first.iter().map(|&i| (i, u64::MAX)));
            return;
        }
        let highest = &mut selection.highest;
        rows_for(surviving, highest);
        (0..coins.len()).for_each(|i| masks::insert(isa, highest, volume(i)));
        for i in 0..coins.len() {
            let minutes = masks::reaches(isa, volume(i), &highest[surviving - 1]);
            selection.open |= minutes & !masks::exceeds(isa, volume(i), &highest[surviving]);
            if minutes != 0 {
                selection.members.push((i, minutes));
            }
        }
    }

    /// Select in all minutes at once: a flat coin that survives the volume filter has one of the free slots if it is among
    /// as many of the highest log range. Ties are left open.
    fn select_together<S: SideIndex>(&mut self, entering: &mut Vec<Entering>, free: usize) {
        let (isa, coins) = (self.isa, &self.coins);
        let log_range = |i: usize| coins[i].averages.log_range::<S>();
        let Selection { members, highest, open, .. } = &mut self.selection[S::INDEX];
        let flat = members.iter().filter(|(i, _)| self.account.positions[*i][S::INDEX].is_none());
        let few = flat.clone().count() <= free;
        if !few {
            rows_for(free, highest);
            for &(i, minutes) in flat {
                if minutes == u64::MAX {
                    masks::insert(isa, highest, log_range(i));
                } else {
                    masks::insert(isa, highest, &masks::only(isa, log_range(i), minutes));
                }
            }
        }
        entering.retain_mut(|entering| {
            let member = members.iter().find(|(i, _)| *i == entering.coin);
            entering.minutes &= member.map_or(0, |(_, minutes)| *minutes);
            entering.certain = !*open;
            if !few && entering.minutes != 0 {
                // Where it is open who survives, there may be too many to compare with.
                let log_range = log_range(entering.coin);
                entering.minutes &= masks::reaches(isa, log_range, &highest[free - 1]) | *open;
                entering.certain &= masks::exceeds(isa, log_range, &highest[free]);
            }
            entering.minutes != 0
        });
    }

    /// Select minute by minute where it is not certain.
    pub(super) fn settle<S: SideIndex>(&mut self) {
        let uncertain = |entering: &Entering| entering.minutes & !entering.certain;
        let mut left =
            self.scratch.entering[S::INDEX].iter().fold(0, |all, entering| all | uncertain(entering));
        if left == 0 {
            return;
        }
        let side = self.sides[S::INDEX];
        let free = side.effective_slots - self.account.held[S::INDEX].len();
        let (coins, positions) = (&self.coins, &self.account.positions);
        while left != 0 {
            let n = left.trailing_zeros() as usize;
            left &= left - 1;
            let ranked = self.selection[S::INDEX].rank(
                side.by_volume,
                |i| coins[i].averages.volume::<S>()[n],
                |i| coins[i].averages.log_range::<S>()[n],
            );
            let selected = ranked.iter().filter(|&&i| positions[i][S::INDEX].is_none()).take(free);
            let asking = self.scratch.entering[S::INDEX].iter_mut();
            for entering in asking.filter(|entering| (uncertain(entering) >> n) & 1 != 0) {
                if !selected.clone().any(|&selected| selected == entering.coin) {
                    entering.minutes &= !(1 << n);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranking_is_that_of_two_stable_sorts() {
        let mut state = 7_u64;
        // Small numbers with many ties.
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 61) as f64
        };
        for coins in 1..20 {
            let mut selection = Selection::new(coins);
            for turn in 0..200 {
                let surviving = 1 + turn % coins;
                let (volume, log_range): (Vec<_>, Vec<_>) = (0..coins).map(|_| (next(), next())).unzip();
                let mut expected: Vec<_> = (0..coins).collect();
                expected.sort_by(|&a, &b| volume[b].total_cmp(&volume[a]));
                expected.truncate(surviving);
                expected.sort_by(|&a, &b| log_range[b].total_cmp(&log_range[a]));
                assert_eq!(selection.rank(surviving, |i| volume[i], |i| log_range[i]), expected);
            }
        }
    }
}
