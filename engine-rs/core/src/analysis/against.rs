//! Equity against balance (analysis-metrics §4.4).

use std::array::from_fn;

use super::{FillFacts, Metrics};
use crate::interval::Interval;
use crate::isa::{Isa, dispatched};
use crate::types::{higher, lower};

/// §4.4.
pub(super) fn equity_against_balance(
    isa: Isa,
    fills: &[FillFacts],
    equity: &[f64],
    interval: Interval,
    metrics: &mut Metrics,
) {
    let mut against = Against::new(isa);
    against.take(equity, |n| fills.get(n).map(|fill| (interval.bars(fill.minute), fill.balance)));
    metrics.equity_balance_diff_pos_max = against.above.max;
    metrics.equity_balance_diff_pos_mean = against.above.mean();
    metrics.equity_balance_diff_neg_max = against.below.max;
    metrics.equity_balance_diff_neg_mean = against.below.mean();
}

/// Equity against balance as far as a run has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Against {
    isa: Isa,
    samples: usize,
    fills: usize,
    balance: f64,
    above: Group,
    below: Group,
}

impl Against {
    pub(super) fn new(isa: Isa) -> Self {
        let none = Group::default();
        Self { isa, samples: 0, fills: 0, balance: 0.0, above: none, below: none }
    }

    /// Take in what is new of an equity series; `fill` gives sample and balance of fill `n`.
    ///
    /// Before the first fill the balance is that after the first fill: without any, nothing is taken in yet.
    pub(super) fn take(&mut self, equity: &[f64], fill: impl Fn(usize) -> Option<(usize, f64)>) {
        if self.fills == 0 {
            let Some((_, balance)) = fill(0) else { return };
            self.balance = balance;
        }
        while let Some((sample, balance)) = fill(self.fills)
            && sample < equity.len()
        {
            self.compare_up_to(sample, equity);
            self.balance = balance;
            self.fills += 1;
        }
        self.compare_up_to(equity.len(), equity);
    }

    /// Samples before `end` against the balance as it is.
    fn compare_up_to(&mut self, end: usize, equity: &[f64]) {
        for some in equity[self.samples..end].chunks(BLOCK) {
            compare(self.isa, some, self.balance, &mut self.above, &mut self.below);
        }
        self.samples = end;
    }

    /// Largest difference below, and above.
    pub(super) fn largest(&self) -> (f64, f64) {
        (self.below.max, self.above.max)
    }
}

/// Samples that are compared together.
const BLOCK: usize = 64;
const LANES: usize = 8;

/// Differences of one sign: their sum is that of adding one after the other in the order of time.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    max: f64,
    sum: f64,
    count: f64,
}

impl Group {
    fn mean(&self) -> f64 {
        if self.count == 0.0 { 0.0 } else { self.sum / self.count }
    }

    /// Take in those of these numbers that are positive.
    #[inline(always)]
    fn add(&mut self, numbers: &[[f64; LANES]]) {
        let (mut max, mut count) = ([0.0; LANES], [0.0; LANES]);
        for x in numbers {
            max = from_fn(|i| higher(max[i], x[i]));
            count = from_fn(|i| count[i] + if x[i] > 0.0 { 1.0 } else { 0.0 });
        }
        let max = max.iter().copied().fold(0.0, higher);
        if max == 0.0 {
            return; // A number that is not positive adds nothing.
        }
        self.max = higher(self.max, max);
        self.count += count.iter().sum::<f64>();
        self.sum = match sum_in_lanes(self.sum, numbers, max) {
            Some(sum) => sum,
            None => numbers.as_flattened().iter().fold(self.sum, |sum, &x| sum + higher(0.0, x)),
        };
    }
}

/// `sum` after adding the positive ones of these numbers, the largest of which is `max`, one after the other: the same
/// bits, but added in lanes. None if it can't be told so.
///
/// While a sum stays between two powers of two it lies on one grid, and what an addition adds to it is the number
/// rounded to that grid, wherever the sum stands; but for a number halfway between two points of it. Numbers that were
/// rounded first add up without any further rounding, in any order.
#[inline(always)]
fn sum_in_lanes(sum: f64, numbers: &[[f64; LANES]], max: f64) -> Option<f64> {
    let power = f64::from_bits(sum.to_bits() & !((1 << 52) - 1));
    // From the smallest powers on there is no grid a half step of which is a number.
    if !(power > 1e-250 && max < 0.25 * power) {
        return None;
    }
    // Between this power and the next one numbers lie on the same grid as the sums.
    let rounder = 1.5 * power;
    let half = power * (0.5 * f64::EPSILON);
    // A number is never further from a point than half a step.
    let (mut sums, mut room) = ([0.0; LANES], [half; LANES]);
    for x in numbers {
        let x: [f64; LANES] = from_fn(|i| higher(0.0, x[i]));
        let rounded: [f64; LANES] = from_fn(|i| (x[i] + rounder) - rounder);
        sums = from_fn(|i| sums[i] + rounded[i]);
        room = from_fn(|i| lower(room[i], half - (x[i] - rounded[i]).abs()));
    }
    let after = sum + sums.iter().sum::<f64>();
    (room.iter().copied().fold(half, lower) > 0.0 && after < 2.0 * power).then_some(after)
}

dispatched! {
    /// Equity of up to [`BLOCK`] samples against one balance.
    fn compare(equity: &[f64], balance: f64, above: &mut Group, below: &mut Group) =
        |equity: &[f64], balance: f64, above: &mut Group, below: &mut Group| {
            let (mut up, mut down) = ([0.0; BLOCK], [0.0; BLOCK]);
            let length = equity.len().min(BLOCK);
            for (up, equity) in up[..length].iter_mut().zip(&equity[..length]) {
                *up = (equity - balance) / balance;
            }
            for (down, up) in down[..length].iter_mut().zip(&up[..length]) {
                *down = -up;
            }
            for (group, numbers) in [(above, &up), (below, &down)] {
                let (lanes, _) = numbers[..length.next_multiple_of(LANES)].as_chunks();
                group.add(lanes);
            }
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// §4.4 as it reads.
    fn one_by_one(equity: &[f64], balance: f64) -> [Group; 2] {
        let mut groups = [Group::default(); 2];
        for e in equity {
            let difference = (e - balance) / balance;
            for (group, x) in groups.iter_mut().zip([difference, -difference]) {
                if x > 0.0 {
                    group.max = group.max.max(x);
                    group.sum += x;
                    group.count += 1.0;
                }
            }
        }
        groups
    }

    fn bits(group: &Group) -> [u64; 3] {
        [group.max, group.sum, group.count].map(f64::to_bits)
    }

    fn assert_same(equity: &[f64], balance: f64) {
        for isa in Isa::available() {
            let (mut above, mut below) = (Group::default(), Group::default());
            for some in equity.chunks(BLOCK) {
                compare(isa, some, balance, &mut above, &mut below);
            }
            let [expected_above, expected_below] = one_by_one(equity, balance);
            assert_eq!(bits(&above), bits(&expected_above));
            assert_eq!(bits(&below), bits(&expected_below));
        }
    }

    #[test]
    fn numbers_halfway_between_sums_and_those_that_are_none() {
        // Differences of one and of three eighths of a step of sums that grow through many powers of two.
        let step = f64::EPSILON;
        let odd: Vec<f64> =
            (0..1000).map(|n| 1.0 + step * f64::from(n % 7) + f64::from(n % 3) / 8.0).collect();
        assert_same(&odd, 1.0);
        let strange = [f64::NAN, 1.0, 2.0, f64::INFINITY, 1.5, -0.0, f64::NEG_INFINITY, 5e-324, 1e300];
        assert_same(&strange.repeat(40), 1.0);
        assert_same(&strange.repeat(40), 0.0);
        assert_same(&strange.repeat(40), -2.0);
    }

    proptest! {
        #[test]
        fn blocks_have_the_bits_of_the_loop(
            walk in prop::collection::vec(-1.0f64..1.0, 1..700),
            size in prop_oneof![Just(1e-12), Just(1e-5), Just(0.01), Just(1.0)],
            coarse in any::<bool>(),
        ) {
            let mut level = 1000.0;
            let equity: Vec<f64> = walk
                .iter()
                .map(|x| {
                    level += if coarse { (x * 16.0).round() / 16.0 } else { x * size };
                    level
                })
                .collect();
            assert_same(&equity, 1000.0);
            assert_same(&equity, 1024.0);
        }
    }
}
