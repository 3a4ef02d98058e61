//! Equity and exposure after each minute (§15).

use super::{SideIndex, TrailingGrid};
use crate::num;
use crate::planner::{Long, Short};

/// State of the account after a minute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Equity in USD.
    pub usd: f64,
    /// Equity in BTC; without BTC collateral only the unrealised profit, which means nothing.
    pub btc: f64,
    /// Exposure of all positions.
    pub exposure: f64,
}

impl TrailingGrid<'_> {
    /// Equity at the close of minute `k`.
    pub(super) fn sample(&self, k: usize) -> Sample {
        let mut sample = Sample {
            usd: self.balance.usd_total,
            btc: self.balance.btc_total,
            exposure: self.total_exposure(),
        };
        self.add_unrealised::<Long>(k, &mut sample);
        self.add_unrealised::<Short>(k, &mut sample);
        sample
    }

    fn add_unrealised<S: SideIndex>(&self, k: usize, sample: &mut Sample) {
        for &i in &self.held[S::INDEX] {
            let coin = &self.coins[i];
            let close = coin.candles.close[k];
            if let Some(position) = coin.sides[S::INDEX].position
                && coin.valid(k)
                && close.is_finite()
            {
                let pnl = S::pnl(position.price, close, position.size, self.market.rules[i].c_mult);
                sample.usd += pnl;
                sample.btc += pnl / self.btc_price(k);
            }
        }
    }

    /// Sum of the exposures of long, then short positions, each by coin.
    pub(super) fn total_exposure(&self) -> f64 {
        let mut total = 0.0;
        for (s, held) in self.held.iter().enumerate() {
            for &i in held {
                if let Some(position) = self.coins[i].sides[s].position {
                    let c_mult = self.market.rules[i].c_mult;
                    total += num::exposure(self.balance.usd_total, position.size, position.price, c_mult);
                }
            }
        }
        total
    }
}
