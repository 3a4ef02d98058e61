//! Averages of several runs over the same coins side by side: all lanes of a register see the same candle.
//!
//! A *strand* is eight averages that see one column of one coin, whichever runs they are of. Where runs go side by side,
//! this is how averages go on from block to block. What is wanted of one coin and run inside a block starts from its lanes.

use std::ops::Range;

use super::averages::{self, Averages, BLOCK, COUNT, Lanes};
use super::prefetch::prefetch;
use super::prepared::{Block, Prepared};
use crate::candles::Panel;
use crate::isa::{Isa, dispatched};

/// Lanes of a strand.
const LANES: usize = 8;
/// Parts of a block at whose ends averages of ranking columns stay known, and the minutes of all of them but the last.
pub(super) const QUARTERS: usize = 4;
pub(super) const QUARTER: usize = 16;
/// Most strands that advance together: each is a chain of operations that wait for one another.
const TOGETHER: usize = 6;

/// What averages are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Close,
    Volume,
    LogRange,
}

/// Columns with the numbers of their averages.
const COLUMNS: [(Column, Range<usize>); 3] = [
    (Column::Close, averages::PRICES),
    (Column::Volume, averages::VOLUMES),
    (Column::LogRange, averages::LOG_RANGES),
];

/// The averages of runs side by side.
#[derive(Default)]
pub(super) struct Abreast {
    /// Columns of the strands of a coin: lanes that see the same one.
    columns: Vec<Column>,
    /// Strands of all coins, coin by coin.
    strands: Vec<Lanes<LANES>>,
    /// Their values at the start of the block and at its end.
    starts: Vec<[f64; LANES]>,
    ends: Vec<[f64; LANES]>,
    /// Values at the end of each quarter but the last, of strands that rank.
    inner: Vec<Inner>,
    /// Strands of a coin that do not.
    prices: usize,
    /// The lane of each average of each run, counted through the strands of a coin.
    places: Vec<[usize; COUNT]>,
    /// Averages of hourly log ranges, coin by coin, run by run, of both sides each.
    hourly: Vec<Lanes<LANES>>,
    coins: usize,
}

type Inner = [[f64; LANES]; QUARTERS - 1];

/// A strand in a block.
struct Moving<'a> {
    lanes: &'a Lanes<LANES>,
    start: &'a [f64; LANES],
    inner: Option<&'a mut Inner>,
    end: &'a mut [f64; LANES],
    column: &'a [f64],
}

impl Abreast {
    /// Averages as the coins are born with. Of each run it is given which of them somebody asks for.
    pub(super) fn new<'c>(
        wanted: &[[bool; COUNT]],
        coins: usize,
        averages: impl Fn(usize, usize) -> &'c Averages,
    ) -> Self {
        let mut columns = Vec::new();
        let mut places = vec![[0; COUNT]; wanted.len()];
        for (column, numbers) in COLUMNS {
            let mut free = 0..0;
            for (wanted, places) in wanted.iter().zip(&mut places) {
                for number in numbers.clone().filter(|&number| wanted[number]) {
                    places[number] = free.next().unwrap_or_else(|| {
                        let first = columns.len() * LANES;
                        columns.push(column);
                        free = first + 1..first + LANES;
                        first
                    });
                }
            }
        }
        let mut strands = vec![Lanes::idle(); coins * columns.len()];
        for (coin, strands) in strands.chunks_mut(columns.len().max(1)).enumerate() {
            for (run, (wanted, places)) in wanted.iter().zip(&places).enumerate() {
                for number in (0..COUNT).filter(|&number| wanted[number]) {
                    let place = places[number];
                    averages(run, coin).put(number, &mut strands[place / LANES], place % LANES);
                }
            }
        }
        let starts: Vec<_> = strands.iter().map(|lanes| lanes.value).collect();
        let prices = columns.iter().filter(|column| **column == Column::Close).count();
        let inner = vec![[[0.0; LANES]; QUARTERS - 1]; coins * (columns.len() - prices)];
        let hours = (2 * wanted.len()).div_ceil(LANES);
        let mut hourly = vec![Lanes::idle(); coins * hours];
        for (coin, strands) in hourly.chunks_mut(hours).enumerate() {
            for (run, side) in (0..wanted.len()).flat_map(|run| [(run, 0), (run, 1)]) {
                let place = 2 * run + side;
                strands[place / LANES].copy_lane(place % LANES, averages(run, coin).hourly(), side);
            }
        }
        Self { columns, strands, ends: starts.clone(), starts, inner, prices, places, hourly, coins }
    }

    /// Go through a block; what was at its start stays known.
    pub(super) fn advance(&mut self, isa: Isa, panel: &Panel<'_>, prepared: &Prepared<'_>, block: &Block) {
        let (count, together) = (self.columns.len(), isa.chains().min(TOGETHER));
        // Averages of closes need not stop at quarters. Where groups are small they go in a turn of their own, before those
        // that rank; a group of six is filled by both, in one turn.
        let apart = together < TOGETHER;
        let turns: &[bool] = if apart { &[false, true] } else { &[true] };
        for &ranks in turns {
            let mut group: [Option<Moving<'_>>; TOGETHER] = [const { None }; TOGETHER];
            let mut length = 0;
            let strands = self.strands.iter().zip(&self.starts).zip(&mut self.ends);
            let (mut strands, mut inner) = (strands, self.inner.iter_mut());
            for (coin, candles) in panel.coins().iter().enumerate() {
                let (first, last) = panel.life(coin);
                let lives = (first..=last).contains(&block.start);
                let minutes = block.start..block.end;
                if let Some(next) = panel.coins().get(coin + 1).filter(|_| apart) {
                    // Read in two turns, columns are more streams than a processor foresees by itself.
                    if !ranks {
                        prefetch(next.close, minutes.clone());
                    } else if count > self.prices {
                        prefetch(next.volume, minutes.clone());
                        prefetch(prepared.log_ranges(coin + 1), minutes.clone());
                    }
                }
                let closes = &candles.close[minutes.clone()];
                let volumes = &candles.volume[minutes.clone()];
                let log_ranges = &prepared.log_ranges(coin)[minutes];
                for (number, ((lanes, start), end)) in strands.by_ref().take(count).enumerate() {
                    if apart && (number < self.prices) == ranks {
                        continue;
                    }
                    let inner = if number < self.prices { None } else { inner.next() };
                    if !lives {
                        *end = *start;
                        if let Some(inner) = inner {
                            *inner = [*start; QUARTERS - 1];
                        }
                        continue;
                    }
                    let column = match self.columns[number] {
                        Column::Close => closes,
                        Column::Volume => volumes,
                        Column::LogRange => log_ranges,
                    };
                    group[length] = Some(Moving { lanes, start, inner, end, column });
                    length += 1;
                    if length == together {
                        advance(isa, &mut group, ranks);
                        group = [const { None }; TOGETHER];
                        length = 0;
                    }
                }
            }
            advance(isa, &mut group, ranks);
        }
    }

    /// The block is over.
    pub(super) fn arrive(&mut self) {
        std::mem::swap(&mut self.starts, &mut self.ends);
    }

    /// Average `number`, which ranks, of a coin of a run at the start of the block and at the ends of its quarters; those
    /// that a block is too short for end with it.
    #[inline(always)]
    pub(super) fn marks(&self, run: usize, number: usize, coin: usize) -> [f64; QUARTERS + 1] {
        let place = self.places[run][number];
        let (count, strand, lane) = (self.columns.len(), place / LANES, place % LANES);
        let (n, of_all) = (coin * (count - self.prices) + strand - self.prices, coin * count + strand);
        let [a, b, c] = self.inner[n].map(|values| values[lane]);
        [self.starts[of_all][lane], a, b, c, self.ends[of_all][lane]]
    }

    /// Average `number` of each coin of a run at the start of the block and at its end.
    #[inline(always)]
    pub(super) fn both(&self, run: usize, number: usize) -> impl Iterator<Item = (f64, f64)> {
        let (place, step) = (self.places[run][number], self.columns.len() * LANES);
        let (starts, ends) = (self.starts.as_flattened(), self.ends.as_flattened());
        starts[place..].iter().zip(&ends[place..]).step_by(step).map(|(start, end)| (*start, *end))
    }

    /// §6.5: absorb the log ranges of an hour.
    pub(super) fn absorb_hour(&mut self, isa: Isa, prepared: &Prepared<'_>, hour: usize) {
        absorb_hour(isa, &mut self.hourly, prepared, hour);
    }

    /// Averages of hourly log ranges of a coin of a run, by side.
    pub(super) fn hourly(&self, run: usize, coin: usize) -> [f64; 2] {
        let (place, strands) = (2 * run, self.hourly.len() / self.coins);
        let lanes = &self.hourly[coin * strands + place / LANES].value;
        [lanes[place % LANES], lanes[place % LANES + 1]]
    }

    /// The averages of a coin of a run at the start of the block, by number; of those that nobody asks for, some other.
    pub(super) fn at_start(&self, run: usize, coin: usize) -> [f64; COUNT] {
        let count = self.columns.len();
        let lanes = self.starts[coin * count..(coin + 1) * count].as_flattened();
        self.places[run].map(|place| lanes[place])
    }
}

dispatched! {
    fn absorb_hour(hourly: &mut [Lanes<LANES>], prepared: &Prepared<'_>, hour: usize) =
        |hourly: &mut [Lanes<LANES>], prepared: &Prepared<'_>, hour: usize| {
            let strands = hourly.len() / prepared.coins().len();
            for (coin, lanes) in hourly.chunks_exact_mut(strands).enumerate() {
                let range = prepared.hour_range(coin, hour);
                lanes.iter_mut().for_each(|lanes| lanes.absorb(range));
            }
        }
}

dispatched! {
    /// Advance a group, and know its values at quarters if some of them rank; of more than three some may.
    fn advance(group: &mut [Option<Moving<'_>>; TOGETHER], ranks: bool) =
        |group: &mut [Option<Moving<'_>>; TOGETHER], ranks: bool| match (group, ranks) {
            ([Some(a), Some(b), Some(c), Some(d), Some(e), Some(f)], _) => body::<_, QUARTERS>([a, b, c, d, e, f]),
            ([Some(a), Some(b), Some(c), Some(d), Some(e), _], _) => body::<_, QUARTERS>([a, b, c, d, e]),
            ([Some(a), Some(b), Some(c), Some(d), ..], _) => body::<_, QUARTERS>([a, b, c, d]),
            ([Some(a), Some(b), Some(c), ..], true) => body::<_, QUARTERS>([a, b, c]),
            ([Some(a), Some(b), Some(c), ..], false) => body::<_, 1>([a, b, c]),
            ([Some(a), Some(b), ..], true) => body::<_, QUARTERS>([a, b]),
            ([Some(a), Some(b), ..], false) => body::<_, 1>([a, b]),
            ([Some(a), ..], true) => body::<_, QUARTERS>([a]),
            ([Some(a), ..], false) => body::<_, 1>([a]),
            ([None, ..], _) => {}
        }
}

/// Advance strands, with a stop at the end of each quarter or none at all.
#[inline(always)]
fn body<const N: usize, const PARTS: usize>(strands: [&mut Moving<'_>; N]) {
    let minutes = strands[0].column.len().min(BLOCK);
    let columns = strands.each_ref().map(|strand| &strand.column[..minutes]);
    let lanes = strands.each_ref().map(|strand| *strand.lanes);
    let mut value = strands.each_ref().map(|strand| *strand.start);
    for part in 0..PARTS {
        let last = part == PARTS - 1;
        let end = if last { minutes } else { minutes.min((part + 1) * QUARTER) };
        #[expect(clippy::needless_range_loop, reason = "several columns at once")]
        for n in minutes.min(part * QUARTER)..end {
            for i in 0..N {
                value[i] = lanes[i].after(&value[i], &[columns[i][n]; LANES]);
            }
        }
        for i in 0..N {
            if last {
                *strands[i].end = value[i];
            } else if let Some(inner) = &mut strands[i].inner {
                inner[part] = value[i];
            }
        }
    }
}
