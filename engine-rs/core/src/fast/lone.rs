//! Runs over a single coin: each passes over the blocks in which nothing can happen and walks through the others.

use std::ops::Range;

use super::Run;
use super::beside::Beside;
use super::calm::Calm;
use super::keep::Keep;
use super::prepared::Prepared;
use crate::isa::Isa;

/// Go through all blocks with all runs that are not stopped.
pub(super) fn run_lone<K: Keep>(isa: Isa, prepared: &Prepared<'_>, runs: &mut [(Run<'_>, K)]) {
    let blocks = prepared.blocks();
    let Some((run, _)) = runs.first() else { return };
    let (first, last, close) = (run.coins[0].first, run.coins[0].last, run.coins[0].candles.close);
    let begin = blocks.partition_point(|block| block.start < first);
    let end = blocks.partition_point(|block| block.start <= last);
    let averages = runs.iter().map(|(run, _)| &run.coins[0].averages);
    let mut beside = Beside::new(averages, begin..end);
    walk_lifeless(0..begin, runs);
    while beside.go_on(isa, prepared, close) {
        for (n, (run, keep)) in runs.iter_mut().enumerate() {
            run.walk_stretch(&beside, n, keep);
        }
        if runs.iter().all(|(_, keep)| keep.stopped()) {
            return;
        }
    }
    walk_lifeless(end..blocks.len(), runs);
}

/// Walk through blocks outside the coin's life.
fn walk_lifeless<K: Keep>(blocks: Range<usize>, runs: &mut [(Run<'_>, K)]) {
    for (run, keep) in runs {
        for block in blocks.clone() {
            if keep.stopped() {
                break;
            }
            run.walk_lone(block, keep);
        }
    }
}

impl Run<'_> {
    /// Go through the blocks at whose starts the averages are known; `n`: which of the runs this is.
    fn walk_stretch<K: Keep>(&mut self, beside: &Beside, n: usize, keep: &mut K) {
        let Range { start, end } = beside.known;
        let even = self.even_blocks();
        let mut block = start;
        while block < end && !keep.stopped() {
            if even.contains(&block) {
                block = self.pass(block..end.min(even.end), beside, n, keep);
                if block == end || keep.stopped() {
                    return;
                }
            }
            self.know(beside, n, block);
            self.walk_lone(block, keep);
            block += 1;
        }
    }

    /// Blocks in which the coin trades from the first minute to the last, and balances move by fills alone.
    fn even_blocks(&self) -> Range<usize> {
        if self.account.market.panel.btc_usd().is_some() {
            return 0..0;
        }
        let (blocks, coin) = (self.prepared.blocks(), &self.coins[0]);
        let begin = coin.start.max(self.first_order_minute);
        // Who trades is found out in the first block of all.
        blocks.partition_point(|block| block.start <= begin)
            ..blocks.partition_point(|block| block.end <= coin.last + 1)
    }

    /// Pass over blocks in which nothing happens; returns the first that has to be walked through.
    fn pass<K: Keep>(&mut self, blocks: Range<usize>, beside: &Beside, n: usize, keep: &mut K) -> usize {
        let prepared = self.prepared;
        let (mut block, mut calm) = (blocks.start, Calm::ANY);
        while block < blocks.end {
            self.know(beside, n, block);
            let (log_ranges, until) = beside.log_ranges(n, block);
            if self.calm(&mut calm, block, log_ranges).is_none() {
                break;
            }
            let (mut next, end) = (block, blocks.end.min(until));
            while next < end && calm.pass(&prepared.extremes(0, next), &prepared.turns(0, next)) {
                next += 1;
            }
            if next == block {
                break;
            }
            self.passed(&calm, block..next);
            let closes = |n: usize| prepared.extremes(0, block + n).close;
            let passed = keep.pass(&self.account, &prepared.blocks()[block..next], closes);
            block += passed;
            self.kept = prepared.blocks()[block - 1].end;
            if next < end || keep.stopped() {
                break;
            }
        }
        block
    }

    /// Take what is known of the averages at the start of a block.
    fn know(&mut self, beside: &Beside, n: usize, block: usize) {
        let (prices, hourly) = beside.at(n, block);
        self.coins[0].averages.begin_with(prices, hourly);
    }

    fn walk_lone<K: Keep>(&mut self, index: usize, keep: &mut K) {
        let block = self.prepared.blocks()[index];
        self.walk_block(index, &block, keep);
        keep.block_ends(block.end);
    }
}
