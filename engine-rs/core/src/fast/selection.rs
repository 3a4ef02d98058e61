//! Coin selection (§14.2): the most volatile of the most traded coins get the slots that are free.

use std::cmp::Ordering;
use std::ops::Range;

use super::Run;
use super::abreast::{QUARTER, QUARTERS};
use super::apart::{self, Bounds, Told};
use super::averages::{self, BLOCK, LOG_RANGES, VOLUMES};
use super::coin::Coin;
use super::entering::Entering;
use super::masks;
use crate::grid::SideIndex;
use crate::isa::Isa;
use crate::types::{higher, lower};

/// What is left of averages after minutes that add nothing to them.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Left {
    /// Of those of volume and of log range after a quarter of a block.
    quarter: [f64; 2],
    /// Of that of volume after a block.
    volume: f64,
}

/// What one side knows of the order of the coins.
pub(super) struct Selection {
    /// By falling volume, as it was when somebody last asked: it changes little, so that sorting it again is little
    /// more than looking at it.
    by_volume: Vec<usize>,
    best: Vec<usize>,
    /// Flat coins that survive the volume filter at some minute of the span, and whether there are slots for all of them.
    flat: Vec<usize>,
    few: bool,
    /// What bounds tell of having a slot, by coin.
    told: Vec<Told>,
    /// The highest log ranges of the flat coins in each minute of a span, highest first.
    highest: Vec<[f64; BLOCK]>,
    /// Minutes of the span at which each coin survives the volume filter, one bit a minute.
    pub(super) members: Vec<u64>,
    /// Minutes at which equal volumes leave open who survives.
    open: u64,
    /// Some coin would have entered when it was last asked which.
    pub(super) asked: bool,
    /// `members` and `open` are those of the span at hand.
    known: bool,
    /// What is left of any coin's averages after minutes that add nothing to them; None: nothing is known of that.
    left: Option<Left>,
    /// As many coins survived in all minutes of the span in which it was last asked for.
    steady: Option<usize>,
    /// Lists that are kept to save allocations: coins that bounds leave in doubt, bounds of coins that are compared, the
    /// highest of them, and what these tell of each.
    doubtful: Vec<usize>,
    bounds: Vec<Bounds>,
    rows: Vec<Bounds>,
    told_apart: Vec<Told>,
}

impl Selection {
    fn new(coins: usize, left: Option<Left>) -> Self {
        Self {
            by_volume: (0..coins).collect(),
            best: Vec::with_capacity(coins),
            flat: Vec::with_capacity(coins),
            few: false,
            told: Vec::with_capacity(coins),
            highest: Vec::new(),
            members: Vec::with_capacity(coins),
            open: 0,
            asked: true,
            known: false,
            left,
            steady: None,
            doubtful: Vec::with_capacity(coins),
            bounds: Vec::with_capacity(coins),
            rows: Vec::with_capacity(coins + 1),
            told_apart: Vec::with_capacity(coins),
        }
    }

    /// What a side has to know of these coins.
    pub(super) fn of(coins: &[Coin<'_>], side: usize) -> Self {
        let left = |coin: &Coin<'_>| {
            let of = |number: usize, minutes| coin.averages.left(number + side, minutes);
            let quarter = [of(VOLUMES.start, QUARTER)?, of(LOG_RANGES.start, QUARTER)?];
            Some(Left { quarter, volume: of(VOLUMES.start, BLOCK)? })
        };
        let first = coins.first().and_then(left);
        Self::new(coins.len(), first.filter(|_| coins.iter().all(|coin| left(coin) == first)))
    }

    /// A new span begins.
    pub(super) fn forget(&mut self) {
        self.known = false;
    }

    /// What the bounds at hand tell of each if there are so many places.
    fn tell(&mut self, isa: Isa, places: usize) -> &[Told] {
        rows_for(places, &mut self.rows);
        apart::tell(isa, &self.bounds, &mut self.rows, &mut self.told_apart);
        &self.told_apart
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

/// Rows for the highest values of each column, highest first: as many as there are places and one more, since what is
/// above that has a place however ties are broken.
fn rows_for<const N: usize>(places: usize, rows: &mut Vec<[f64; N]>) {
    rows.clear();
    rows.resize(places + 1, [f64::NEG_INFINITY; N]);
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

/// True if averages of members are above all others from start to end, given what is left of them.
#[inline(always)]
fn remain(members: &[u64], averages: impl Iterator<Item = (f64, f64)>, left: f64) -> bool {
    let (mut least, mut most, mut known) = (f64::INFINITY, f64::NEG_INFINITY, true);
    for (member, (start, end)) in members.iter().zip(averages) {
        if *member != 0 {
            least = lower(least, start);
        } else {
            most = higher(most, end);
            known &= !end.is_nan();
        }
    }
    known && apart::is_above(least * left, most)
}

impl Run<'_> {
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
        let coins = self.coins.iter_mut().zip(&mut self.walks).enumerate();
        let living = coins.filter(|(i, (coin, _))| coin.valid(start) && wanted.contains(i));
        let moving = living.map(|(i, (c, walk))| (&mut c.averages, walk, columns(i, &c.candles)));
        averages::rank(isa, moving);
        for &i in wanted {
            if !self.coins[i].valid(start) {
                self.coins[i].averages.rest(&mut self.walks[i]);
            }
        }
    }

    /// True if bounds tell of averages without looking at each minute.
    pub(super) fn foresees<S: SideIndex>(&self) -> bool {
        self.ranked
            && (self.span.whole || self.looks_ahead())
            && self.selection[S::INDEX].left.is_some()
            && self.prepared.ordered()
    }

    /// Bounds of average `number` of some coins, if they are foreseen.
    fn bound<S: SideIndex>(&mut self, numbers: &Range<usize>, coins: impl Iterator<Item = usize>) {
        let selection = &mut self.selection[S::INDEX];
        selection.bounds.clear();
        let Some(left) = selection.left else { return };
        let left = left.quarter[usize::from(*numbers == LOG_RANGES)];
        let number = numbers.start + S::INDEX;
        if let Some((abreast, run)) = self.abreast {
            let abreast = abreast.borrow();
            selection.bounds.extend(coins.map(|i| apart::bounds(&abreast.marks(run, number, i), left)));
        } else {
            let marks = |i: usize| self.coins[i].averages.marks(number);
            selection.bounds.extend(coins.map(|i| apart::bounds(&marks(i), left)));
        }
    }

    /// Find the coins that survive the volume filter in this span.
    pub(super) fn find_members<S: SideIndex>(&mut self) {
        if std::mem::replace(&mut self.selection[S::INDEX].known, true) {
            return;
        }
        let (isa, span, count) = (self.isa, self.span.minutes(), self.coins.len());
        let surviving = self.sides[S::INDEX].by_volume.min(count);
        let foreseen = self.foresees::<S>();
        if foreseen {
            if self.members_remain::<S>(surviving) {
                return;
            }
            self.bound::<S>(&VOLUMES, 0..count);
        }
        let selection = &mut self.selection[S::INDEX];
        selection.open = 0;
        selection.steady = None;
        selection.members.clear();
        selection.members.resize(count, 0);
        selection.doubtful.clear();
        let (mut places, mut minutes) = (surviving, span);
        if foreseen {
            let told = selection.tell(isa, surviving);
            minutes = told.iter().fold(0, |all, told| all | told.doubt()) & span;
            let steady = told.iter().all(|told| told.sure == u64::MAX || told.never == u64::MAX);
            selection.steady = steady.then_some(surviving);
            for (member, told) in selection.members.iter_mut().zip(&selection.told_apart) {
                *member = told.sure;
            }
            if minutes == 0 {
                return;
            }
            for (i, told) in selection.told_apart.iter().enumerate() {
                if minutes & !told.sure == 0 {
                    places -= 1;
                } else if minutes & !told.never != 0 {
                    selection.doubtful.push(i);
                }
            }
        } else {
            selection.doubtful.extend_from_slice(&selection.by_volume);
        }
        self.find_doubtful_members::<S>(places, minutes, foreseen);
    }

    /// True if the coins that survive are for certain those of the span before, in all minutes, as nearly always.
    fn members_remain<S: SideIndex>(&self, surviving: usize) -> bool {
        let selection = &self.selection[S::INDEX];
        let Some(left) = selection.left.filter(|_| selection.steady == Some(surviving)) else { return false };
        let number = VOLUMES.start + S::INDEX;
        if let Some((abreast, run)) = self.abreast {
            let abreast = abreast.borrow();
            remain(&selection.members, abreast.both(run, number), left.volume)
        } else {
            let both = self.coins.iter().map(|coin| coin.averages.both(number));
            remain(&selection.members, both, left.volume)
        }
    }

    /// Of the coins that are in doubt those of most volume are members, in the minutes in which some are.
    fn find_doubtful_members<S: SideIndex>(&mut self, places: usize, minutes: u64, foreseen: bool) {
        let mut doubtful = std::mem::take(&mut self.selection[S::INDEX].doubtful);
        self.rank_coins(&doubtful);
        let (isa, walks) = (self.isa, &self.walks);
        let volume = |i: usize| walks[i].volume::<S>();
        let selection = &mut self.selection[S::INDEX];
        sort_by_volume(&mut doubtful, |i| volume(i)[0]);
        if !foreseen {
            selection.by_volume.clone_from(&doubtful);
        }
        let (first, others) = doubtful.split_at(places.min(doubtful.len()));
        let mut most = [f64::NEG_INFINITY; BLOCK];
        for &i in others {
            masks::raise(isa, &mut most, volume(i));
        }
        let length = self.span.end - self.span.start;
        if first.iter().all(|&i| masks::is_above(isa, volume(i), &most, length)) {
            let all = if foreseen { minutes } else { u64::MAX };
            first.iter().for_each(|&i| selection.members[i] |= all);
        } else {
            let highest = &mut selection.highest;
            rows_for(places, highest);
            doubtful.iter().for_each(|&i| masks::insert(isa, highest, volume(i)));
            for &i in &doubtful {
                let reached = masks::reaches(isa, volume(i), &highest[places - 1]) & minutes;
                selection.open |= reached & !masks::exceeds(isa, volume(i), &highest[places]);
                selection.members[i] |= reached;
            }
        }
        selection.doubtful = doubtful;
    }

    /// Find the flat coins that survive the volume filter, and what bounds tell of which of them have a slot: those that
    /// are among as many of the highest log range as there are free ones.
    pub(super) fn find_flat<S: SideIndex>(&mut self) {
        self.find_members::<S>();
        let free = self.free_slots::<S>();
        let mut flat = std::mem::take(&mut self.selection[S::INDEX].flat);
        let (positions, members) = (&self.account.positions, &self.selection[S::INDEX].members);
        flat.clear();
        flat.extend((0..members.len()).filter(|&i| members[i] != 0 && positions[i][S::INDEX].is_none()));
        let few = flat.len() <= free;
        let foreseen = !few && self.foresees::<S>();
        if foreseen {
            self.bound::<S>(&LOG_RANGES, flat.iter().copied());
        }
        let (isa, count) = (self.isa, self.coins.len());
        let selection = &mut self.selection[S::INDEX];
        selection.told.clear();
        selection.told.resize(count, Told::default());
        if foreseen {
            for (bounds, &i) in selection.bounds.iter_mut().zip(&flat) {
                if selection.members[i] != u64::MAX {
                    bounds[..QUARTERS].fill(f64::NEG_INFINITY);
                }
            }
            selection.tell(isa, free);
            // Where it is open who survives, there may be too many to compare with.
            let closed = !selection.open;
            for (told, &i) in selection.told_apart.iter().zip(&flat) {
                selection.told[i] = Told { sure: told.sure & closed, never: told.never & closed };
            }
        }
        (selection.flat, selection.few) = (flat, few);
    }

    /// Slots that are free for first entries.
    fn free_slots<S: SideIndex>(&self) -> usize {
        self.sides[S::INDEX].effective_slots - self.account.held[S::INDEX].len()
    }

    /// Minutes at which a flat coin may have a slot, as far as volumes and bounds tell.
    pub(super) fn may_have_slot<S: SideIndex>(&self, i: usize) -> u64 {
        let Selection { members, told, .. } = &self.selection[S::INDEX];
        members[i] & !told[i].never
    }

    /// Keep of the minutes at which flat coins may enter those at which they have a slot, in all minutes at once. Ties are
    /// left open.
    pub(super) fn select<S: SideIndex>(&mut self, foreseen: bool) {
        if !self.chooses::<S>() || self.scratch.entering[S::INDEX].is_empty() {
            return;
        }
        if !foreseen {
            self.find_flat::<S>();
        }
        let mut entering = std::mem::take(&mut self.scratch.entering[S::INDEX]);
        let selection = &mut self.selection[S::INDEX];
        let (open, few) = (selection.open, selection.few);
        let mut doubt = 0;
        for entering in &mut entering {
            let told = selection.told[entering.coin];
            entering.minutes &= selection.members[entering.coin] & !told.never;
            entering.certain = !open;
            if !few {
                entering.certain &= told.sure;
                doubt |= entering.minutes & told.doubt() & !open;
            }
        }
        doubt &= self.span.minutes();
        if doubt != 0 {
            self.select_doubtful::<S>(doubt, &mut entering);
        }
        entering.retain(|entering| entering.minutes != 0);
        self.scratch.entering[S::INDEX] = entering;
    }

    /// Select in minutes at which bounds leave some coin in doubt.
    fn select_doubtful<S: SideIndex>(&mut self, minutes: u64, entering: &mut [Entering]) {
        let mut places = self.free_slots::<S>();
        let selection = &mut self.selection[S::INDEX];
        let mut doubtful = std::mem::take(&mut selection.doubtful);
        doubtful.clear();
        for &i in &selection.flat {
            let told = selection.told[i];
            if minutes & !told.sure == 0 {
                places -= 1;
            } else if minutes & !told.never != 0 {
                doubtful.push(i);
            }
        }
        self.rank_coins(&doubtful);
        let (isa, walks) = (self.isa, &self.walks);
        let log_range = |i: usize| walks[i].log_range::<S>();
        let Selection { members, highest, told, .. } = &mut self.selection[S::INDEX];
        rows_for(places, highest);
        for &i in &doubtful {
            if members[i] == u64::MAX {
                masks::insert(isa, highest, log_range(i));
            } else {
                masks::insert(isa, highest, &masks::only(isa, log_range(i), members[i]));
            }
        }
        for entering in entering {
            let asked = minutes & told[entering.coin].doubt();
            if entering.minutes & asked != 0 {
                let log_range = log_range(entering.coin);
                entering.minutes &= masks::reaches(isa, log_range, &highest[places - 1]) | !asked;
                entering.certain |= masks::exceeds(isa, log_range, &highest[places]) & asked;
            }
        }
        self.selection[S::INDEX].doubtful = doubtful;
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
        let free = self.free_slots::<S>();
        let (walks, positions) = (&self.walks, &self.account.positions);
        while left != 0 {
            let n = left.trailing_zeros() as usize;
            left &= left - 1;
            let ranked = self.selection[S::INDEX].rank(
                side.by_volume,
                |i| walks[i].volume::<S>()[n],
                |i| walks[i].log_range::<S>()[n],
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
