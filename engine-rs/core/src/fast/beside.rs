//! The averages of one coin under several runs, at the start of every block, before the runs go through them.
//!
//! All runs see the same closes, so that their averages fill vector registers without a gap, and there are as many
//! chains as keep the processor busy. With the averages known each run goes its own way: past many blocks without
//! looking at a single minute.

use std::ops::Range;

use super::ahead::in_segments;
use super::averages::{Averages, Lanes, PRICE_LANES, PRICES};
use super::prepared::{Block, Prepared};
use crate::isa::{Isa, dispatched};
use crate::types::{higher, lower};

/// Lanes of a vector: as many as the widest registers have.
const WIDTH: usize = PRICE_LANES;
/// Blocks whose averages are made at a time: few enough to stay in the processor's caches.
const STRETCH: usize = 320;
/// Blocks that share bounds of the averages of hourly log ranges.
const GROUP: usize = 32;

type Vector = Lanes<WIDTH>;

/// The averages of some runs, and their values at the start of each of some blocks.
pub(super) struct Beside {
    prices: Bank,
    hourly: Bank,
    /// Least and largest averages of hourly log ranges, group by group.
    bounds: Vec<([f64; WIDTH], [f64; WIDTH])>,
    /// Blocks at which values are known.
    pub(super) known: Range<usize>,
    /// Where the blocks of the coin's life end.
    end: usize,
}

impl Beside {
    /// Nothing is known yet. Blocks are those of the coin's life.
    pub(super) fn new<'r>(runs: impl Iterator<Item = &'r Averages> + Clone, blocks: Range<usize>) -> Self {
        let prices = Bank::new(runs.clone().map(Averages::prices), PRICES.end);
        let hourly = Bank::new(runs.map(Averages::hourly), 2);
        Self { prices, hourly, bounds: Vec::new(), known: blocks.start..blocks.start, end: blocks.end }
    }

    /// Know the averages of the next blocks; false if there are none.
    pub(super) fn go_on(&mut self, isa: Isa, prepared: &Prepared<'_>, close: &[f64]) -> bool {
        let (blocks, first) = (prepared.blocks(), self.known.end);
        // Those of a single run fill no more than one vector: its chains run side by side in time.
        let alone = if self.prices.runs == 1 && first == self.known.start {
            let lanes = &self.prices.lanes[0];
            in_segments(isa, lanes, close, &blocks[first..self.end])
        } else {
            None
        };
        let end = if alone.is_some() { self.end } else { self.end.min(first + STRETCH) };
        self.known = first..end;
        if first == end {
            return false;
        }
        let blocks = &blocks[self.known.clone()];
        match alone {
            Some(starts) => self.prices.rows = starts,
            None => self.prices.advance(isa, close, blocks),
        }
        self.hourly.rows.clear();
        for block in blocks {
            if let Some(hour) = block.hour {
                self.hourly.lanes.iter_mut().for_each(|lanes| lanes.absorb(prepared.hour_range(0, hour)));
            }
            self.hourly.keep();
        }
        self.find_bounds();
        true
    }

    fn find_bounds(&mut self) {
        let vectors = self.hourly.lanes.len();
        self.bounds.clear();
        for group in self.hourly.rows.chunks(GROUP * vectors) {
            for v in 0..vectors {
                let (mut least, mut most) = ([f64::INFINITY; WIDTH], [f64::NEG_INFINITY; WIDTH]);
                for row in group.chunks(vectors) {
                    least = std::array::from_fn(|n| lower(least[n], row[v][n]));
                    most = std::array::from_fn(|n| higher(most[n], row[v][n]));
                }
                self.bounds.push((least, most));
            }
        }
    }

    /// Bounds of a run's averages of hourly log ranges by side, and the block up to which they hold.
    pub(super) fn log_ranges(&self, run: usize, block: usize) -> ([(f64, f64); 2], usize) {
        let group = (block - self.known.start) / GROUP;
        let side = |side: usize| {
            let lane = 2 * run + side;
            let (least, most) = &self.bounds[group * self.hourly.lanes.len() + lane / WIDTH];
            (least[lane % WIDTH], most[lane % WIDTH])
        };
        ([side(0), side(1)], self.known.start + (group + 1) * GROUP)
    }

    /// The averages of a run at the start of a block: of prices, and of hourly log ranges.
    pub(super) fn at(&self, run: usize, block: usize) -> (&[f64], &[f64]) {
        let row = block - self.known.start;
        (self.prices.of(row, run), self.hourly.of(row, run))
    }
}

/// Averages side by side, those of a run in a row.
struct Bank {
    lanes: Vec<Vector>,
    runs: usize,
    /// Lanes of a run.
    each: usize,
    /// Values of all lanes, block by block.
    rows: Vec<[f64; WIDTH]>,
}

impl Bank {
    fn new<'r, const N: usize>(runs: impl Iterator<Item = &'r Lanes<N>> + Clone, each: usize) -> Self {
        let count = runs.clone().count();
        let mut lanes = vec![Vector::idle(); (count * each).div_ceil(WIDTH)];
        // Lanes that are left over repeat others.
        let all = runs.flat_map(|run| (0..each).map(move |n| (run, n))).cycle();
        for (at, (run, n)) in all.take(lanes.len() * WIDTH).enumerate() {
            lanes[at / WIDTH].copy_lane(at % WIDTH, run, n);
        }
        Self { lanes, runs: count, each, rows: Vec::new() }
    }

    /// Keep the values as they are now.
    fn keep(&mut self) {
        self.rows.extend(self.lanes.iter().map(|lanes| lanes.value));
    }

    fn of(&self, row: usize, run: usize) -> &[f64] {
        let vectors = self.lanes.len();
        let row = self.rows[row * vectors..(row + 1) * vectors].as_flattened();
        &row[run * self.each..(run + 1) * self.each]
    }

    /// Advance through blocks and keep the values at the start of each.
    fn advance(&mut self, isa: Isa, close: &[f64], blocks: &[Block]) {
        let together = isa.chains();
        self.rows.clear();
        for block in blocks {
            self.keep();
            for group in self.lanes.chunks_mut(together) {
                advance(isa, group, &close[block.start..block.end]);
            }
        }
    }
}

/// Variables one by one, not an array: of more than five vectors the compiler makes something very slow.
macro_rules! advance_all {
    ($closes:ident, $($lanes:ident),*) => {{
        struct Values { $($lanes: [f64; WIDTH]),* }
        let mut value = Values { $($lanes: $lanes.value),* };
        for &close in $closes {
            $(value.$lanes = $lanes.after(&value.$lanes, &[close; WIDTH]);)*
        }
        $($lanes.value = value.$lanes;)*
    }};
}

dispatched! {
    /// Advance through the closes of a block.
    fn advance(lanes: &mut [Vector], closes: &[f64]) = |lanes: &mut [Vector], closes: &[f64]| match lanes {
        [a, b, c, d, e, f] => advance_all!(closes, a, b, c, d, e, f),
        [a, b, c, d, e] => advance_all!(closes, a, b, c, d, e),
        [a, b, c, d] => advance_all!(closes, a, b, c, d),
        [a, b, c] => advance_all!(closes, a, b, c),
        [a, b] => advance_all!(closes, a, b),
        [a] => advance_all!(closes, a),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::Interval;
    use crate::params::{SIDE_COMPONENTS, SideParams};

    /// Blocks of an hour, the first of them shorter.
    fn blocks(hours: usize) -> Vec<Block> {
        (0..hours).map(|n| Block { start: (60 * n).max(7), end: 60 * (n + 1), hour: None }).collect()
    }

    #[test]
    fn every_run_has_the_values_of_its_own_chain() {
        let close: Vec<_> = (0..600).map(|n| 100.0 + f64::from(n * 7919 % 101)).collect();
        let blocks = blocks(10);
        let averages: Vec<_> = (0..8)
            .map(|n| {
                let side = |span: f64| SideParams {
                    ema_span_0: span,
                    ema_span_1: 3.0 * span,
                    ..SideParams::from_components(&[20.0; SIDE_COMPONENTS], true)
                };
                let (long, short) = (side(5.0 + f64::from(n)), side(50.0 - f64::from(n)));
                Averages::new([&long, &short], 90.0, 1.0, Interval::MINUTE)
            })
            .collect();
        for count in 1..=averages.len() {
            for isa in Isa::available() {
                let mut bank = Bank::new(averages[..count].iter().map(Averages::prices), PRICES.end);
                bank.advance(isa, &close, &blocks);
                for (run, averages) in averages[..count].iter().enumerate() {
                    let mut value = averages.prices().value;
                    for (row, block) in blocks.iter().enumerate() {
                        assert_eq!(bank.of(row, run), &value[..PRICES.end], "{count} {}", isa.name());
                        for &close in &close[block.start..block.end] {
                            value = averages.prices().after(&value, &[close; PRICE_LANES]);
                        }
                    }
                }
            }
        }
    }
}
