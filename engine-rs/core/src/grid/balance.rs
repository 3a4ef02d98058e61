//! The account's balance (§5, §13).

use crate::num;

/// Share of a profit that the conversion to BTC leaves.
const BTC_CONVERSION: f64 = 0.999;

/// Balance in USD, or in BTC with USD as the rest.
#[derive(Clone, Copy, Debug)]
pub struct Balance {
    /// USD held; a debt if negative.
    pub usd: f64,
    /// BTC held; 0 without BTC collateral.
    pub btc: f64,
    /// Everything, in USD.
    pub usd_total: f64,
    /// Everything, in USD, as orders see it.
    pub usd_total_rounded: f64,
    /// Everything, in BTC; 0 without BTC collateral.
    pub btc_total: f64,
    collateral: bool,
    /// Rounding the rounded total again leaves it as it is.
    settled: bool,
}

impl Balance {
    /// Balance at minute 0; `btc_price` is given with BTC collateral only.
    pub fn new(starting_balance: f64, btc_price: Option<f64>) -> Self {
        Self {
            usd: if btc_price.is_some() { 0.0 } else { starting_balance },
            btc: btc_price.map_or(0.0, |price| starting_balance / price),
            usd_total: starting_balance,
            usd_total_rounded: starting_balance,
            btc_total: 0.0,
            collateral: btc_price.is_some(),
            settled: num::round_sig(starting_balance, num::STICKY_DIGITS) == starting_balance,
        }
    }

    /// Book a fill's profit and (negative) fee.
    pub fn book(&mut self, mut pnl: f64, fee: f64, btc_price: f64) {
        if !self.collateral {
            self.usd += pnl + fee;
            self.usd_total = self.usd;
            self.usd_total_rounded = self.usd;
            return;
        }
        self.usd += fee;
        if pnl > 0.0 {
            if self.usd < 0.0 {
                let repaid = pnl.min(-self.usd);
                self.usd += repaid;
                pnl -= repaid;
            }
            if pnl > 0.0 {
                self.btc += (pnl / btc_price) * BTC_CONVERSION;
            }
        } else if pnl < 0.0 {
            self.usd += pnl;
        }
        self.value(btc_price);
    }

    /// The minute's revaluation with BTC collateral: orders see the balance move in steps.
    pub fn revalue(&mut self, btc_price: f64) {
        self.value(btc_price);
        self.usd_total_rounded = num::sticky(self.usd_total, self.usd_total_rounded);
        self.settled = num::round_sig(self.usd_total_rounded, num::STICKY_DIGITS) == self.usd_total_rounded;
    }

    /// True if a revaluation at this price may change what orders see; false if it does not.
    #[inline]
    pub fn moves(&self, btc_price: f64) -> bool {
        let (total, last) = (self.usd_total_at(btc_price), self.usd_total_rounded);
        let threshold = num::sticky_threshold(last);
        !self.settled || total > last + threshold || total < last - threshold
    }

    /// Everything, in USD, at a price of BTC.
    #[inline]
    pub fn usd_total_at(&self, btc_price: f64) -> f64 {
        self.btc * btc_price + self.usd
    }

    fn value(&mut self, btc_price: f64) {
        self.usd_total = self.usd_total_at(btc_price);
        self.btc_total = self.usd_total / btc_price;
    }
}
