//! Random worlds that the tests and benches share: a case is its seed.
#![allow(dead_code, reason = "no test needs all of it")]

use passivbot_core::candles::{CoinCandles, Panel};
use passivbot_core::fast::{Blocks, CoinTables, Prepared};
use passivbot_core::grid::{Market, Warmup};
use passivbot_core::interval::Interval;
use passivbot_core::params::{BotParams, SIDE_COMPONENTS, SideParams};
use passivbot_core::run::Candidate;
use passivbot_core::types::MarketRules;

/// Columns of one coin: high, low, close, volume.
pub type Columns = [Vec<f64>; 4];

/// A small deterministic generator, so that a case is its seed.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.next()
    }

    /// One of some values, or a value of a range.
    pub fn mixed(&mut self, low: f64, high: f64, special: &[f64]) -> f64 {
        if self.next() < 0.2 {
            special[(self.next() * special.len() as f64) as usize]
        } else {
            self.between(low, high)
        }
    }
}

/// A walk on price steps with calm minutes and jumps; a third of the coins begin late, a third end early.
#[expect(clippy::needless_range_loop, reason = "four columns at once")]
pub fn coin(r: &mut Random, minutes: usize, step: f64) -> Columns {
    let volatility = 10f64.powf(r.between(-3.6, -2.2));
    let drift = r.between(-0.5, 0.5) * volatility * 0.2;
    let (mut first, mut last) = (0, minutes);
    if r.next() < 0.3 {
        first = (r.next() * minutes as f64 * 0.5) as usize;
    }
    if r.next() < 0.3 {
        last = first + 1 + (r.next() * (minutes - first - 1) as f64) as usize;
    }
    let on_step = |price: f64| ((price / step).round() * step).max(step);
    let mut price: f64 = r.between(50.0, 150.0);
    // Some are traded far more or less than others.
    let traded = if r.next() < 0.5 { 5000.0 } else { 10f64.powf(r.between(1.0, 6.0)) };
    let mut columns: Columns = std::array::from_fn(|_| vec![f64::NAN; minutes]);
    for k in first..last {
        let open = price;
        let calm = r.next() < 0.1;
        if !calm {
            price *= 1.0 + drift + volatility * (r.next() + r.next() + r.next() - 1.5) * 2.0;
            price = price.clamp(0.5, 1e5);
        }
        if r.next() < 0.0005 {
            price *= r.between(0.85, 1.12);
        }
        let wick = if calm { 0.0 } else { volatility };
        columns[0][k] = on_step(open.max(price) * (1.0 + wick * r.next()));
        columns[1][k] = on_step(open.min(price) * (1.0 - wick * r.next()));
        columns[2][k] = on_step(price).clamp(columns[1][k], columns[0][k]);
        columns[3][k] = if calm { 0.0 } else { price * r.between(0.0, traded) };
    }
    columns
}

/// Price spans are at least a bar long: shorter ones take the plain path.
fn side(r: &mut Random, coins: usize, bar: f64) -> SideParams {
    let ratios = [0.0, 1.0, -1.0];
    let components: [f64; SIDE_COMPONENTS] = [
        r.between(0.001, 0.03),
        r.between(0.001, 0.03),
        r.mixed(0.05, 1.0, &[1.0, -0.5, 0.01]),
        r.mixed(-1.0, 1.0, &ratios),
        r.between(0.05, 1.0),
        r.mixed(0.0, 0.02, &[0.0]),
        r.mixed(-0.01, 0.03, &[0.0]),
        r.between(bar, 400.0),
        r.between(bar, 400.0),
        r.between(0.01, 4.0),
        r.mixed(1.0, 100.0, &[0.0]),
        r.mixed(0.0, 50.0, &[0.0]),
        r.between(0.001, 0.04),
        r.between(0.0, 5.0),
        r.between(-0.05, 0.01),
        r.between(0.004, 0.2),
        r.between(0.01, 4.0),
        r.mixed(-1.0, 1.0, &ratios),
        r.mixed(0.0, 0.02, &[0.0]),
        r.mixed(-0.01, 0.03, &[0.0]),
        r.mixed(5.0, 200.0, &[0.3]),
        r.mixed(0.0, 1.0, &[0.0, 1.0]),
        r.mixed(5.0, 300.0, &[0.0]),
        r.mixed(0.0, coins as f64 + 1.0, &[1.0]),
        r.mixed(0.1, 3.0, &[0.0]),
        r.between(0.001, 0.2),
        r.between(-0.05, 0.01),
        r.mixed(0.001, 0.5, &[0.0]),
        r.between(0.2, 0.95),
    ];
    let mut side = SideParams::from_components(&components, r.next() < 0.7);
    if r.next() < 0.1 {
        side.wallet_exposure_limit = r.mixed(0.05, 1.0, &[0.0]);
    }
    side
}

/// A market with all that belongs to it.
pub struct World {
    pub columns: Vec<Columns>,
    pub rules: Vec<MarketRules>,
    pub interval: Interval,
    pub first_ms: i64,
    pub requested_ms: i64,
    pub fee: f64,
    pub balance: f64,
    pub btc_usd: Option<Vec<f64>>,
}

impl World {
    /// Up to seven coins and 6,000 bars, in half of all worlds of a minute.
    pub fn new(r: &mut Random) -> Self {
        let coins = 1 + (r.next() * r.next() * 7.0) as usize;
        let minutes = [1, 1, 1, 1, 2, 5, 15, 60][(r.next() * 8.0) as usize];
        let interval = Interval::of_minutes(minutes).unwrap();
        let bars = 3 + (r.next() * 6000.0) as usize;
        let mut rules: Vec<_> = (0..coins)
            .map(|_| MarketRules {
                qty_step: 10f64.powi((r.next() * 5.0) as i32 - 4),
                price_step: 10f64.powi((r.next() * 4.0) as i32 - 4),
                min_qty: r.mixed(0.0001, 0.5, &[0.0]),
                min_cost: r.mixed(1.0, 20.0, &[0.0]),
                c_mult: if r.next() < 0.8 { 1.0 } else { 0.01 },
            })
            .collect();
        let mut columns: Vec<_> = rules.iter().map(|rules| coin(r, bars, rules.price_step)).collect();
        for i in 1..coins {
            // Some coins are equal to the last bit: a tie wherever coins are ranked.
            if r.next() < 0.2 {
                (columns[i], rules[i]) = (columns[i - 1].clone(), rules[i - 1]);
            }
        }
        let first_ms = 1_599_998_400_000 + (r.next() * 3000.0) as i64 * interval.ms();
        let requested_ms = first_ms + (r.next() * 300.0) as i64 * 60_000;
        let btc_usd = (r.next() < 0.4).then(|| {
            let mut price = r.between(20_000.0, 60_000.0);
            (0..bars)
                .map(|_| {
                    price *= 1.0 + 0.003 * (r.next() - 0.5);
                    price
                })
                .collect()
        });
        Self {
            btc_usd,
            columns,
            rules,
            interval,
            first_ms,
            requested_ms,
            fee: r.mixed(0.0, 0.0006, &[-0.0001]),
            balance: r.mixed(100.0, 100_000.0, &[30.0]),
        }
    }

    pub fn panel(&self) -> Panel<'_> {
        let coins = self
            .columns
            .iter()
            .map(|[high, low, close, volume]| CoinCandles { high, low, close, volume })
            .collect();
        Panel::new(self.first_ms, coins, self.btc_usd.as_deref()).unwrap().with_interval(self.interval)
    }

    pub fn market<'a>(&'a self, panel: &'a Panel<'a>) -> Market<'a> {
        Market {
            panel,
            rules: &self.rules,
            starting_balance: self.balance,
            maker_fee: self.fee,
            requested_start_ms: self.requested_ms,
        }
    }

    /// Parameters that a search could meet, and some that it would not.
    pub fn candidate(&self, r: &mut Random) -> Candidate {
        let coins = self.rules.len();
        let bar = self.interval.minutes() as f64;
        let bot = BotParams { long: side(r, coins, bar), short: side(r, coins, bar) };
        let params = vec![bot; coins];
        let warmup = if r.next() < 0.3 {
            Warmup::from_spans(&params)
        } else {
            Warmup {
                global: (r.next() * 300.0) as usize,
                coins: (0..coins).map(|_| (r.next() * 300.0) as usize).collect(),
            }
        };
        let exposure_limits = [bot.long.total_wallet_exposure_limit, bot.short.total_wallet_exposure_limit];
        Candidate { params, warmup, exposure_limits, stop: None }
    }
}

/// The same numbers to the last bit, NaN included.
pub fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.to_bits() == y.to_bits())
}

/// The tables of a panel, to be borrowed by what reads them.
pub struct Tables {
    blocks: Blocks,
    coins: Vec<CoinTables>,
}

impl Tables {
    /// None if no run over these candles could use them.
    pub fn of(panel: &Panel<'_>) -> Option<Self> {
        let blocks = Blocks::of(panel)?;
        let coins = (0..panel.coins().len()).map(|i| CoinTables::compute(panel, &blocks, i)).collect();
        Some(Self { blocks, coins })
    }

    /// What runs over the panel are given.
    pub fn prepared(&self, panel: &Panel<'_>) -> Prepared<'_> {
        Prepared::new(panel, &self.blocks, self.coins.iter().map(CoinTables::view).collect()).unwrap()
    }
}
