//! Coin selection (§14.2): the most volatile of the most traded coins get the slots that are free.

use std::cmp::Ordering;

use super::Run;
use super::averages::{self, BLOCK};
use super::coin::Coin;
use super::entering::Entering;
use super::masks;
use crate::grid::SideIndex;
use crate::types::{higher, lower};

/// What one side knows of the order of the coins.
pub(super) struct Selection {
    /// By falling volume, as it was when somebody last asked: it changes little, so that sorting it again is little
    /// more than looking at it.
    by_volume: Vec<usize>,
    best: Vec<usize>,
    /// The highest log ranges of the flat coins in each minute of a span, highest first.
    highest: Vec<[f64; BLOCK]>,
    /// Minutes of the span at which each coin survives the volume filter, one bit a minute.
    pub(super) members: Vec<u64>,
    /// Minutes at which equal volumes leave open who survives.
    open: u64,
    /// The two before are those of the span at hand.
    known: bool,
    /// What is left of any coin's volume average after a span without volume; None: nothing is known of that.
    left: Option<f64>,
    /// Bounds of the volume averages, and coins of which they do not tell whether they survive.
    bounds: Vec<(f64, f64)>,
    doubtful: Vec<usize>,
}

impl Selection {
    /// `left`: of volume averages after the longest span without volume, if it is the same of all coins.
    pub(super) fn new(coins: usize, left: Option<f64>) -> Self {
        Self {
            by_volume: (0..coins).collect(),
            best: Vec::with_capacity(coins),
            highest: Vec::new(),
            members: Vec::with_capacity(coins),
            open: 0,
            known: false,
            left,
            bounds: Vec::with_capacity(coins),
            doubtful: Vec::with_capacity(coins),
        }
    }

    /// What a side has to know of these coins.
    pub(super) fn of(coins: &[Coin<'_>], side: usize) -> Self {
        let mut left = coins.iter().map(|coin| coin.averages.volume_left(side));
        let first = left.next().flatten();
        Self::new(coins.len(), first.filter(|_| left.all(|other| other == first)))
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
        sort_by_volume(&mut self.by_volume, volume);
        self.best.clear();
        self.best.extend(&self.by_volume[..surviving.min(self.by_volume.len())]);
        insertion_sort(&mut self.best, |a, b| log_range(b).total_cmp(&log_range(a)));
        &self.best
    }
}

/// By falling volume, then in the order of the coins.
fn sort_by_volume(list: &mut [usize], volume: impl Fn(usize) -> f64) {
    insertion_sort(list, |a, b| volume(b).total_cmp(&volume(a)).then(a.cmp(&b)));
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
        if !self.chooses::<S>() || self.scratch.entering[S::INDEX].is_empty() {
            return;
        }
        let mut entering = std::mem::take(&mut self.scratch.entering[S::INDEX]);
        self.find_members::<S>();
        self.select_together::<S>(&mut entering);
        self.scratch.entering[S::INDEX] = entering;
    }

    /// True if there are more coins than slots.
    pub(super) fn chooses<S: SideIndex>(&self) -> bool {
        self.coins.len() > self.sides[S::INDEX].effective_slots
    }

    /// Have what ranks some coins in each minute of the span.
    fn rank_coins(&mut self, wanted: &[usize]) {
        let mut known = true;
        for &i in wanted {
            self.begin_coin(i);
            known &= self.coins[i].averages.is_ranked();
        }
        if known {
            return;
        }
        let (isa, start, columns) = (self.isa, self.span.start, self.columns());
        let living = |(i, coin): &(usize, &mut Coin<'_>)| coin.valid(start) && wanted.contains(i);
        let living = self.coins.iter_mut().enumerate().filter(living);
        averages::rank(isa, living.map(|(i, coin)| (&mut coin.averages, columns(i, &coin.candles))));
        for &i in wanted {
            if !self.coins[i].valid(start) {
                self.coins[i].averages.rest();
            }
        }
    }

    /// Bounds that tell of volumes without looking at each minute, if there are some: each coin's is above that of another
    /// in all of the span if its first bound is above the second of the other.
    ///
    /// Of averages of one weight each is at minute `n` at least its start × weightⁿ, and at most its end ÷ weight to
    /// the power of the minutes that are left.
    fn bound_volumes<S: SideIndex>(&mut self) -> bool {
        let selection = &mut self.selection[S::INDEX];
        let (Some((abreast, run)), Some(left), true) = (self.abreast, selection.left, self.span.whole) else {
            return false;
        };
        let abreast = abreast.borrow();
        selection.bounds.clear();
        selection.bounds.extend((0..self.coins.len()).map(|i| {
            let (start, end) = abreast.both(run, averages::VOLUMES.start + S::INDEX, i);
            // Room for rounding; next to zero there is not enough.
            let least = start * left * (1.0 - 1e-9);
            (
                if least > 1e-290 { least } else { f64::NEG_INFINITY },
                if end.is_nan() { f64::INFINITY } else { end },
            )
        }));
        true
    }

    /// True if it is cheap to know the coins that survive the volume filter.
    pub(super) fn foresees_members<S: SideIndex>(&self) -> bool {
        self.abreast.is_some() && self.span.whole && self.selection[S::INDEX].left.is_some()
    }

    /// Find the coins that survive the volume filter in this span.
    pub(super) fn find_members<S: SideIndex>(&mut self) {
        if std::mem::replace(&mut self.selection[S::INDEX].known, true) {
            return;
        }
        let surviving = self.sides[S::INDEX].by_volume.min(self.coins.len());
        let bounded = self.bound_volumes::<S>();
        let Selection { by_volume, members, bounds, doubtful, open, .. } = &mut self.selection[S::INDEX];
        *open = 0;
        members.clear();
        members.resize(self.coins.len(), 0);
        doubtful.clear();
        let mut places = surviving;
        if bounded {
            sort_by_volume(by_volume, |i| bounds[i].1);
            let (first, others) = by_volume.split_at(surviving);
            let least = first.iter().fold(f64::INFINITY, |least, &i| lower(least, bounds[i].0));
            let most = others.iter().fold(f64::NEG_INFINITY, |most, &i| higher(most, bounds[i].1));
            if least > most {
                first.iter().for_each(|&i| members[i] = u64::MAX);
                return;
            }
            for &i in by_volume.iter() {
                let (least, most) = bounds[i];
                let others = || bounds.iter().enumerate().filter(|(other, _)| *other != i);
                if others().filter(|(_, (_, other))| *other >= least).count() < surviving {
                    members[i] = u64::MAX;
                    places -= 1;
                } else if others().filter(|(_, (other, _))| *other > most).count() < surviving {
                    doubtful.push(i);
                }
            }
        } else {
            doubtful.extend_from_slice(by_volume);
        }
        if places > 0 {
            self.find_doubtful_members::<S>(places, bounded);
        }
    }

    /// Of the coins that are in doubt those of most volume are members.
    fn find_doubtful_members<S: SideIndex>(&mut self, places: usize, bounded: bool) {
        let mut doubtful = std::mem::take(&mut self.selection[S::INDEX].doubtful);
        self.rank_coins(&doubtful);
        let (isa, coins) = (self.isa, &self.coins);
        let volume = |i: usize| coins[i].averages.volume::<S>();
        let selection = &mut self.selection[S::INDEX];
        sort_by_volume(&mut doubtful, |i| volume(i)[0]);
        if !bounded {
            selection.by_volume.clone_from(&doubtful);
        }
        // Nearly always they are the same in all minutes.
        let (first, others) = doubtful.split_at(places.min(doubtful.len()));
        let mut most = [f64::NEG_INFINITY; BLOCK];
        for &i in others {
            masks::raise(isa, &mut most, volume(i));
        }
        let length = self.span.end - self.span.start;
        if first.iter().all(|&i| masks::is_above(isa, volume(i), &most, length)) {
            first.iter().for_each(|&i| selection.members[i] = u64::MAX);
        } else {
            let highest = &mut selection.highest;
            rows_for(places, highest);
            doubtful.iter().for_each(|&i| masks::insert(isa, highest, volume(i)));
            for &i in &doubtful {
                let minutes = masks::reaches(isa, volume(i), &highest[places - 1]);
                selection.open |= minutes & !masks::exceeds(isa, volume(i), &highest[places]);
                selection.members[i] = minutes;
            }
        }
        selection.doubtful = doubtful;
    }

    /// Select in all minutes at once: a flat coin that survives the volume filter has one of the free slots if it is among
    /// as many of the highest log range. Ties are left open.
    fn select_together<S: SideIndex>(&mut self, entering: &mut Vec<Entering>) {
        let free = self.sides[S::INDEX].effective_slots - self.account.held[S::INDEX].len();
        let mut flat = std::mem::take(&mut self.selection[S::INDEX].best);
        let (positions, members) = (&self.account.positions, &self.selection[S::INDEX].members);
        flat.clear();
        flat.extend((0..members.len()).filter(|&i| members[i] != 0 && positions[i][S::INDEX].is_none()));
        let few = flat.len() <= free;
        if !few {
            self.rank_coins(&flat);
        }
        let (isa, coins) = (self.isa, &self.coins);
        let log_range = |i: usize| coins[i].averages.log_range::<S>();
        let Selection { members, highest, open, best, .. } = &mut self.selection[S::INDEX];
        if !few {
            rows_for(free, highest);
            for &i in &flat {
                if members[i] == u64::MAX {
                    masks::insert(isa, highest, log_range(i));
                } else {
                    masks::insert(isa, highest, &masks::only(isa, log_range(i), members[i]));
                }
            }
        }
        *best = flat;
        entering.retain_mut(|entering| {
            entering.minutes &= members[entering.coin];
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
        let all: Vec<_> = (0..self.coins.len()).collect();
        self.rank_coins(&all);
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
            let mut selection = Selection::new(coins, None);
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
