//! The words of the engine: market rules, positions, orders, trailing extremes, bands.

use crate::error::{EngineError, Result};

/// What an exchange accepts for one coin (trading-semantics §2.4).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MarketRules {
    /// Quantity granularity.
    pub qty_step: f64,
    /// Price granularity.
    pub price_step: f64,
    /// Smallest order quantity.
    pub min_qty: f64,
    /// Smallest order cost, in quote currency.
    pub min_cost: f64,
    /// Contract multiplier.
    pub c_mult: f64,
}

impl MarketRules {
    /// Check that every rule is finite and positive (`min_qty` and `min_cost` may be 0).
    pub fn check(&self, coin: &str) -> Result<()> {
        let rules = [
            ("qty_step", self.qty_step, true),
            ("price_step", self.price_step, true),
            ("c_mult", self.c_mult, true),
            ("min_qty", self.min_qty, false),
            ("min_cost", self.min_cost, false),
        ];
        for (name, value, positive) in rules {
            if !value.is_finite() || value < 0.0 || (positive && value == 0.0) {
                let allowed = if positive { "a finite number > 0" } else { "a finite number >= 0" };
                return Err(EngineError::Rules(format!(
                    "market rules of {coin}: {name} is {value}; allowed is {allowed}"
                )));
            }
        }
        Ok(())
    }
}

/// A position: signed size (negative for short, 0 = flat) and average entry price.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Position {
    /// Signed size.
    pub size: f64,
    /// Average entry price.
    pub price: f64,
}

/// Price bands: the largest and the smallest of the three price averages.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bands {
    /// Largest average.
    pub upper: f64,
    /// Smallest average.
    pub lower: f64,
}

/// Price extremes since a position was opened or last changed (trading-semantics §10).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trailing {
    /// Lowest low.
    pub min_since_open: f64,
    /// Highest high after the lowest low.
    pub max_since_min: f64,
    /// Highest high.
    pub max_since_open: f64,
    /// Lowest low after the highest high.
    pub min_since_max: f64,
}

impl Trailing {
    /// The value after any fill of the position.
    pub const RESET: Self =
        Self { min_since_open: f64::MAX, max_since_min: 0.0, max_since_open: 0.0, min_since_max: f64::MAX };

    /// Take in one candle; a NaN leaves no trace.
    #[inline]
    pub fn update(&mut self, high: f64, low: f64, close: f64) {
        if low < self.min_since_open {
            self.min_since_open = low;
            self.max_since_min = close;
        } else {
            self.max_since_min = higher(self.max_since_min, high);
        }
        if high > self.max_since_open {
            self.max_since_open = high;
            self.min_since_max = close;
        } else {
            self.min_since_max = lower(self.min_since_max, low);
        }
    }
}

/// The higher of a number and a price that may be NaN; one instruction, unlike `f64::max`.
#[inline(always)]
pub(crate) fn higher(known: f64, price: f64) -> f64 {
    if price > known { price } else { known }
}

/// The lower of a number and a price that may be NaN.
#[inline(always)]
pub(crate) fn lower(known: f64, price: f64) -> f64 {
    if price < known { price } else { known }
}

impl Trailing {
    /// The price came back up from its lowest.
    #[inline]
    pub fn rebounded(&self, retracement: f64) -> bool {
        self.max_since_min > self.min_since_open * (1.0 + retracement)
    }

    /// The price came back down from its highest.
    #[inline]
    pub fn fell_back(&self, retracement: f64) -> bool {
        self.min_since_max < self.max_since_open * (1.0 - retracement)
    }

    /// The price fell below `price` by the threshold.
    #[inline]
    pub fn dropped(&self, price: f64, threshold: f64) -> bool {
        self.min_since_open < price * (1.0 - threshold)
    }

    /// The price rose above `price` by the threshold.
    #[inline]
    pub fn rose(&self, price: f64, threshold: f64) -> bool {
        self.max_since_open > price * (1.0 + threshold)
    }
}

impl Default for Trailing {
    fn default() -> Self {
        Self::RESET
    }
}

macro_rules! order_types {
    ($($(#[$doc:meta])* $variant:ident = $id:literal, $name:literal;)*) => {
        /// Order types with their numeric ids (trading-semantics §2.5).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum OrderType {
            $($(#[$doc])* $variant = $id,)*
        }

        impl OrderType {
            /// Every type, in ascending order of id.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name as written in results.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

order_types! {
    /// First entry.
    EntryInitialNormalLong = 0, "entry_initial_normal_long";
    /// Rest of a first entry that filled in part.
    EntryInitialPartialLong = 1, "entry_initial_partial_long";
    /// Trailing re-entry.
    EntryTrailingNormalLong = 2, "entry_trailing_normal_long";
    /// Trailing re-entry cut to the exposure limit.
    EntryTrailingCroppedLong = 3, "entry_trailing_cropped_long";
    /// Grid re-entry.
    EntryGridNormalLong = 4, "entry_grid_normal_long";
    /// Grid re-entry cut to the exposure limit.
    EntryGridCroppedLong = 5, "entry_grid_cropped_long";
    /// Grid re-entry that absorbs the following one.
    EntryGridInflatedLong = 6, "entry_grid_inflated_long";
    /// Grid take profit.
    CloseGridLong = 7, "close_grid_long";
    /// Trailing take profit.
    CloseTrailingLong = 8, "close_trailing_long";
    /// Close of a stuck position at a small loss.
    CloseUnstuckLong = 9, "close_unstuck_long";
    /// Reduction of a position above its exposure limit.
    CloseAutoReduceLong = 10, "close_auto_reduce_long";
    /// First entry.
    EntryInitialNormalShort = 11, "entry_initial_normal_short";
    /// Rest of a first entry that filled in part.
    EntryInitialPartialShort = 12, "entry_initial_partial_short";
    /// Trailing re-entry.
    EntryTrailingNormalShort = 13, "entry_trailing_normal_short";
    /// Trailing re-entry cut to the exposure limit.
    EntryTrailingCroppedShort = 14, "entry_trailing_cropped_short";
    /// Grid re-entry.
    EntryGridNormalShort = 15, "entry_grid_normal_short";
    /// Grid re-entry cut to the exposure limit.
    EntryGridCroppedShort = 16, "entry_grid_cropped_short";
    /// Grid re-entry that absorbs the following one.
    EntryGridInflatedShort = 17, "entry_grid_inflated_short";
    /// Grid take profit.
    CloseGridShort = 18, "close_grid_short";
    /// Trailing take profit.
    CloseTrailingShort = 19, "close_trailing_short";
    /// Close of a stuck position at a small loss.
    CloseUnstuckShort = 20, "close_unstuck_short";
    /// Reduction of a position above its exposure limit.
    CloseAutoReduceShort = 21, "close_auto_reduce_short";
    /// Close at any price, live only.
    ClosePanicLong = 22, "close_panic_long";
    /// Close at any price, live only.
    ClosePanicShort = 23, "close_panic_short";
    /// No order.
    Empty = 65535, "empty";
}

impl OrderType {
    /// The short type that corresponds to a long one; any other type is returned as it is.
    pub fn mirrored(self) -> Self {
        match self as u16 {
            id @ 0..=10 => Self::ALL[id as usize + 11],
            22 => Self::ClosePanicShort,
            _ => self,
        }
    }

    /// True for orders of the long side.
    pub fn is_long(self) -> bool {
        matches!(self as u16, 0..=10 | 22)
    }
}

/// An order: positive quantity buys, negative sells, 0 is no order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Order {
    /// Signed quantity.
    pub qty: f64,
    /// Limit price.
    pub price: f64,
    /// Why the order exists.
    pub kind: OrderType,
}

impl Order {
    /// No order.
    pub const NONE: Self = Self { qty: 0.0, price: 0.0, kind: OrderType::Empty };

    /// True if this is no order.
    #[inline]
    pub fn is_none(&self) -> bool {
        self.qty == 0.0
    }

    /// The fill test (trading-semantics §12.1): strictly crossed by the candle.
    #[inline]
    pub fn crossed_by(&self, high: f64, low: f64) -> bool {
        (self.qty > 0.0 && low < self.price) || (self.qty < 0.0 && high > self.price)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrored_types_have_mirrored_names() {
        for kind in &OrderType::ALL[..11] {
            assert_eq!(kind.mirrored().name(), kind.name().replace("_long", "_short"));
            assert!(kind.is_long() && !kind.mirrored().is_long());
        }
        assert_eq!(OrderType::ClosePanicLong.mirrored(), OrderType::ClosePanicShort);
    }
}
