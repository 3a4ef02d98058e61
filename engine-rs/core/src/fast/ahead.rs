//! The price averages of a coin that runs alone, at the start of every block, before the run begins.
//!
//! An average waits for the one before it, so that a single chain of them leaves the processor idle. Here the axis is
//! cut in segments whose chains run side by side. An average forgets where it came from, after some spans to the last
//! bit: so a segment's chain begins that much earlier, from a guess, and nearly always arrives at the segment with the
//! bits that the chain before it ends with. Where it does not, blocks are walked again until it does. The values are
//! those of one chain, whatever is guessed.

use super::averages::{CHAINS, PRICE_LANES, PriceLanes, PriceValues, advance_chains, advance_one};
use super::prepared::Block;
use crate::isa::Isa;

/// Spans after which most averages have forgotten their start: 12 to 19 were seen on real candles.
const FORGOTTEN: f64 = 15.0;
/// Least length of an axis, in warm-ups, for which this is worth its trouble.
const WORTH: f64 = 3.0;

/// The averages at the start of each of `blocks`, which are those of a coin's life, given the averages that it is born
/// with; None where this would take longer than it saves. On the baseline it always does: a value takes four registers
/// there, and arithmetic as much time as waiting.
pub(super) fn in_segments(
    isa: Isa,
    lanes: &PriceLanes,
    close: &[f64],
    blocks: &[Block],
) -> Option<Vec<PriceValues>> {
    let minutes = blocks.last()?.end - blocks.first()?.start;
    let warmup = lanes.longest_span() * FORGOTTEN;
    let worth = isa != Isa::BASELINE && warmup * WORTH <= minutes as f64;
    worth.then(|| starts(isa, lanes, close, blocks, warmup as usize))
}

/// The averages at the start of each block.
fn starts(isa: Isa, lanes: &PriceLanes, close: &[f64], blocks: &[Block], warmup: usize) -> Vec<PriceValues> {
    let mut starts = vec![lanes.value; blocks.len()];
    let mut chains = segments(lanes, close, blocks, warmup);
    for chain in chains.iter().filter(|chain| chain.block == chain.first && chain.block < chain.end) {
        starts[chain.first] = chain.value;
    }
    // Side by side as far as the shortest goes.
    while chains.iter().all(|chain| chain.block < chain.end) {
        let minutes = chains.iter().map(|chain| blocks[chain.block].end - chain.minute).min().unwrap_or(0);
        let closes = chains.each_ref().map(|chain| &close[chain.minute..chain.minute + minutes]);
        let mut values = chains.each_ref().map(|chain| chain.value);
        advance_chains(isa, lanes, &mut values, &closes);
        for (chain, value) in chains.iter_mut().zip(values) {
            chain.move_on(value, minutes, blocks, &mut starts);
        }
    }
    // Then one by one: the rest, and what does not begin as the segment before ends.
    let mut ended: Option<PriceValues> = None;
    for chain in &mut chains {
        while chain.block < chain.end {
            let rest = chain.minute..blocks[chain.block].end;
            let value = advance_one(isa, lanes, &chain.value, &close[rest.clone()]);
            chain.move_on(value, rest.len(), blocks, &mut starts);
        }
        if let Some(mut value) = ended {
            let mut block = chain.first;
            while block < chain.end && !same_bits(&starts[block], &value) {
                starts[block] = value;
                value = advance_one(isa, lanes, &value, &close[blocks[block].start..blocks[block].end]);
                block += 1;
            }
            if block == chain.end {
                chain.value = value;
            }
        }
        ended = Some(chain.value);
    }
    starts
}

/// One segment, and how far its chain came.
struct Chain {
    /// Blocks of the segment: `first .. end`.
    first: usize,
    end: usize,
    block: usize,
    minute: usize,
    value: PriceValues,
}

impl Chain {
    /// So many minutes passed. A start is kept if it lies in the segment: its end belongs to the next one.
    fn move_on(&mut self, value: PriceValues, minutes: usize, blocks: &[Block], starts: &mut [PriceValues]) {
        self.value = value;
        self.minute += minutes;
        if self.minute == blocks[self.block].end {
            self.block += 1;
            if (self.first..self.end).contains(&self.block) {
                starts[self.block] = value;
            }
        }
    }
}

/// Segments whose chains are about equally long, warm-ups included; the first needs none. There are many more minutes
/// than those of a warm-up.
fn segments(lanes: &PriceLanes, close: &[f64], blocks: &[Block], warmup: usize) -> [Chain; CHAINS] {
    let (begin, last) = (blocks[0].start, blocks[blocks.len() - 1].end);
    let length = (last - begin + (CHAINS - 1) * warmup) / CHAINS;
    let cut = |n: usize| match n {
        0 => 0,
        CHAINS => blocks.len(),
        _ => blocks.partition_point(|block| block.start < begin + length + (n - 1) * (length - warmup)),
    };
    std::array::from_fn(|n| {
        let (first, end) = (cut(n), cut(n + 1));
        if n == 0 {
            return Chain { first, end, block: 0, minute: begin, value: lanes.value };
        }
        let start = blocks.get(first).map_or(last, |block| block.start);
        let early = start.saturating_sub(warmup).max(begin);
        let block = blocks.partition_point(|block| block.end <= early);
        let minute = blocks[block].start;
        Chain { first, end, block, minute, value: [close[minute]; PRICE_LANES] }
    })
}

fn same_bits(a: &PriceValues, b: &PriceValues) -> bool {
    a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

#[cfg(test)]
mod tests {
    use super::super::averages::Lanes;
    use super::*;

    /// Blocks of an hour with some cut in two.
    fn blocks(start: usize, hours: usize) -> Vec<Block> {
        let cuts = (0..=hours).flat_map(|hour| [start + 60 * hour, start + 60 * hour + [0, 7][hour % 2]]);
        let mut cuts: Vec<_> = cuts.collect();
        cuts.dedup();
        cuts.windows(2).map(|pair| Block { start: pair[0], end: pair[1], hour: None }).collect()
    }

    #[test]
    fn the_starts_are_those_of_one_chain() {
        let spans = [5.0, 30.0, 9.5, 20.0, 1.0, 25.0, 3.0, 3.0];
        let mut seed = 5_u64;
        let close = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            90.0 + (seed >> 60) as f64
        });
        let close: Vec<_> = close.take(9_000).collect();
        for (start, hours) in [(1, 140), (300, 120), (4, 6), (2, 13)] {
            let blocks = blocks(start, hours);
            let lanes = Lanes::new([close[start]; PRICE_LANES], spans);
            let mut value = lanes.value;
            let expected: Vec<_> = blocks
                .iter()
                .map(|block| {
                    let start = value;
                    value = advance_one(Isa::BASELINE, &lanes, &value, &close[block.start..block.end]);
                    start
                })
                .collect();
            let minutes = 60 * hours;
            // Enough to forget, far too little, nothing.
            for warmup in [18 * 30, 20, 1, 0] {
                for isa in Isa::available() {
                    let starts = starts(isa, &lanes, &close, &blocks, warmup.min(minutes / 3));
                    assert_eq!(starts.len(), expected.len());
                    let differ = starts.iter().zip(&expected).position(|(a, b)| !same_bits(a, b));
                    assert_eq!(differ, None, "{minutes} minutes, warm-up {warmup}, {}", isa.name());
                }
            }
        }
    }

    #[test]
    fn short_axes_and_endless_spans_are_not_worth_it() {
        let close = vec![100.0; 7_000];
        let of = |isa: Isa, span: f64, hours: usize| {
            let lanes = Lanes::new([100.0; PRICE_LANES], [span; PRICE_LANES]);
            in_segments(isa, &lanes, &close, &blocks(1, hours))
        };
        assert!(of(Isa::BASELINE, 50.0, 100).is_none());
        for isa in Isa::available().into_iter().skip(1) {
            assert!(of(isa, 50.0, 10).is_none());
            assert!(of(isa, 1e300, 100).is_none());
            assert_eq!(of(isa, 50.0, 100).unwrap()[0], [100.0; PRICE_LANES]);
        }
    }
}
