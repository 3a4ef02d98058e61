//! The live strategy against the backtest: the same fills, bit for bit, if every planned order rests for one minute.

mod common;

use common::{Random, World};
use passivbot_core::grid::Warmup;
use passivbot_core::grid::live::{AccountNow, CoinNow, Live, Mode, SideNow};
use passivbot_core::interval::Interval;
use passivbot_core::isa::Isa;
use passivbot_core::num;
use passivbot_core::params::{BotParams, SideParams};
use passivbot_core::planner::{Long, Short, Side};
use passivbot_core::run::backtest;
use passivbot_core::types::{OrderType, Position};

const MINUTE: i64 = 60_000;

/// One fill: minute, coin, type, quantity, price, balance and position after it.
type Filled = (usize, usize, OrderType, [u64; 5]);

/// An exchange that knows one rule: strictly crossed orders fill, closes before entries, long before short.
struct Exchange<'a> {
    world: &'a World,
    balance: f64,
    realised: (f64, f64),
    positions: Vec<[Position; 2]>,
    changed: Vec<[i64; 2]>,
    fills: Vec<Filled>,
}

impl Exchange<'_> {
    fn fill(&mut self, k: usize, coin: usize, order: passivbot_core::types::Order) {
        let rules = &self.world.rules[coin];
        let s = usize::from(!order.kind.is_long());
        let before = self.positions[coin][s];
        let closes = order.kind.name().starts_with("close");
        if closes && before.size == 0.0 {
            return;
        }
        let (mut qty, after) = (order.qty, self.positions[coin][s]);
        let after = if closes {
            let mut size = num::round_near(after.size + qty, rules.qty_step);
            if (s == 0 && size < 0.0) || (s == 1 && size > 0.0) {
                (size, qty) = (0.0, -before.size);
            }
            Position { size, price: before.price }
        } else {
            let (size, price) = num::combine(before.size, before.price, qty, order.price, rules.qty_step);
            Position { size, price }
        };
        let fee = -num::qty_to_cost(qty, order.price, rules.c_mult) * self.world.fee;
        let mut pnl = 0.0;
        if closes {
            let of = if s == 0 { Long::pnl } else { Short::pnl };
            pnl = of(before.price, order.price, qty, rules.c_mult);
            self.realised.0 += pnl;
            self.realised.1 = self.realised.1.max(self.realised.0);
        }
        self.balance += pnl + fee;
        self.positions[coin][s] = if after.size == 0.0 { Position::default() } else { after };
        self.changed[coin][s] = self.world.first_ms + k as i64 * MINUTE + 1;
        let bits = [qty, order.price, self.balance, after.size, after.price].map(f64::to_bits);
        self.fills.push((k, coin, order.kind, bits));
    }
}

fn live_fills(world: &World, params: BotParams, warmup: usize) -> Vec<Filled> {
    let (count, bars) = (world.rules.len(), world.columns[0][0].len());
    let coins = world.rules.iter().map(|&rules| (rules, params)).collect();
    let mut live = Live::new(params, coins, world.first_ms, bars);
    let mut exchange = Exchange {
        world,
        balance: world.balance,
        realised: (0.0, 0.0),
        positions: vec![[Position::default(); 2]; count],
        changed: vec![[i64::MIN; 2]; count],
        fills: Vec::new(),
    };
    let mut resting = Vec::new();
    for k in 0..bars.saturating_sub(1) {
        for planned in std::mem::take(&mut resting) {
            let passivbot_core::grid::live::Planned { coin, order } = planned;
            let [high, low, ..] = &world.columns[coin];
            if order.crossed_by(high[k], low[k]) {
                exchange.fill(k, coin, order);
            }
        }
        let now_ms = world.first_ms + k as i64 * MINUTE;
        for (i, [high, low, close, volume]) in world.columns.iter().enumerate() {
            live.absorb(i, now_ms, [[high[k], low[k], close[k], volume[k]]]).unwrap();
        }
        if k <= warmup.max(1) || now_ms < world.requested_ms {
            continue;
        }
        let now: Vec<_> = (0..count)
            .map(|i| {
                let close = world.columns[i][2][k];
                let side = |s: usize| SideNow {
                    mode: Mode::Normal,
                    preferred: false,
                    tradeable: true,
                    position: exchange.positions[i][s],
                    changed_ms: exchange.changed[i][s],
                };
                CoinNow { bid: close, ask: close, sides: [side(0), side(1)] }
            })
            .collect();
        let account = AccountNow {
            balance: exchange.balance,
            realised_sum: exchange.realised.0,
            realised_peak: exchange.realised.1,
            may_unstuck: true,
        };
        resting = live.plan(&account, &now, 500).unwrap().orders;
    }
    exchange.fills
}

/// In the backtest a ladder exists only if its first order fills. Where a later order lies nearer to the market, a
/// live bot rests more than the backtest tests; these parameters leave no such ladder.
fn first_close_is_nearest(side: &mut SideParams) {
    side.close_trailing_grid_ratio = side.close_trailing_grid_ratio.max(0.0);
    if side.close_grid_markup_start < side.close_grid_markup_end {
        std::mem::swap(&mut side.close_grid_markup_start, &mut side.close_grid_markup_end);
    }
}

#[test]
fn every_planned_order_is_one_that_the_backtest_tests() {
    let (mut worlds, mut fills) = (0, 0);
    for seed in 0..400 {
        let mut r = Random(seed);
        let mut world = World::new(&mut r);
        world.interval = Interval::MINUTE;
        world.btc_usd = None;
        let whole = |columns: &[Vec<f64>; 4]| columns[2].iter().all(|close| close.is_finite());
        if world.columns[0][0].len() < 300 || !world.columns.iter().all(whole) {
            continue;
        }
        let mut candidate = world.candidate(&mut r);
        let warmup = candidate.warmup.global.min(200);
        // Of 0 the engine would make the longest span.
        candidate.warmup = Warmup { global: warmup.max(1), coins: vec![warmup; world.rules.len()] };
        for bot in &mut candidate.params {
            first_close_is_nearest(&mut bot.long);
            first_close_is_nearest(&mut bot.short);
        }
        let panel = world.panel();
        let recorded = backtest(world.market(&panel), None, &candidate, Isa::detect()).unwrap();
        let expected: Vec<Filled> = recorded
            .fills
            .iter()
            .map(|f| {
                let values = [f.qty, f.price, f.balance, f.position_size, f.position_price];
                (f.minute, f.coin, f.kind, values.map(f64::to_bits))
            })
            .collect();
        let found = live_fills(&world, candidate.params[0], warmup.max(1));
        for (a, b) in expected.iter().zip(&found) {
            assert_eq!(a, b, "seed {seed}: {:?} and {:?}", a.3.map(f64::from_bits), b.3.map(f64::from_bits));
        }
        assert_eq!(expected.len(), found.len(), "seed {seed}");
        worlds += 1;
        fills += found.len();
    }
    assert!(worlds > 50 && fills > 10_000, "only {fills} fills in {worlds} worlds");
}

fn one_coin(mode: Mode, size: f64) -> Vec<OrderType> {
    let seed = (0..).find(|&seed| World::new(&mut Random(seed)).rules.len() == 1).unwrap();
    let mut r = Random(seed);
    let world = World::new(&mut r);
    let mut bot = world.candidate(&mut r).params[0];
    for side in [&mut bot.long, &mut bot.short] {
        side.n_positions = 1.0;
        side.total_wallet_exposure_limit = 1.0;
        side.wallet_exposure_limit = -1.0;
        side.entry_trailing_grid_ratio = 0.0;
        side.close_trailing_grid_ratio = 0.0;
        side.unstuck_loss_allowance_pct = 0.0;
    }
    let rules = passivbot_core::types::MarketRules {
        qty_step: 0.001,
        price_step: 0.01,
        min_qty: 0.001,
        min_cost: 1.0,
        c_mult: 1.0,
    };
    let mut live = Live::new(bot, vec![(rules, bot)], 0, 100);
    live.absorb(0, 0, vec![[101.0, 99.0, 100.0, 1000.0]; 90]).unwrap();
    let side = SideNow {
        mode,
        preferred: false,
        tradeable: true,
        position: Position { size, price: if size == 0.0 { 0.0 } else { 100.0 } },
        changed_ms: i64::MIN,
    };
    let idle = SideNow { mode: Mode::Manual, position: Position::default(), ..side };
    let now = [CoinNow { bid: 100.0, ask: 100.1, sides: [side, idle] }];
    let account = AccountNow { balance: 1000.0, realised_sum: 0.0, realised_peak: 0.0, may_unstuck: true };
    let plan = live.plan(&account, &now, 500).unwrap();
    if mode == Mode::Panic && size != 0.0 {
        assert_eq!((plan.orders[0].order.qty, plan.orders[0].order.price), (-size, 100.0));
    }
    plan.orders.iter().map(|planned| planned.order.kind).collect()
}

#[test]
fn modes_say_what_is_planned() {
    let kinds = |mode, size, start: &str| {
        one_coin(mode, size).iter().filter(|kind| kind.name().starts_with(start)).count()
    };
    for size in [0.0, 1.0] {
        assert!(one_coin(Mode::Manual, size).is_empty());
    }
    assert!(kinds(Mode::Normal, 0.0, "entry_initial") > 0);
    assert!(kinds(Mode::Normal, 1.0, "entry") > 0 && kinds(Mode::Normal, 1.0, "close") > 0);
    assert!(one_coin(Mode::GracefulStop, 0.0).is_empty());
    assert!(kinds(Mode::GracefulStop, 1.0, "entry") > 0 && kinds(Mode::GracefulStop, 1.0, "close") > 0);
    assert!(one_coin(Mode::TpOnly, 0.0).is_empty());
    assert!(kinds(Mode::TpOnly, 1.0, "entry") == 0 && kinds(Mode::TpOnly, 1.0, "close") > 0);
    assert!(one_coin(Mode::Panic, 0.0).is_empty());
    assert_eq!(one_coin(Mode::Panic, 1.0), [OrderType::ClosePanicLong]);
}

#[test]
fn candles_that_do_not_follow_are_refused() {
    let mut r = Random(1);
    let world = World::new(&mut r);
    let bot = world.candidate(&mut r).params[0];
    let mut live = Live::new(bot, vec![(world.rules[0], bot)], 0, 100);
    let row = [101.0, 99.0, 100.0, 1000.0];
    live.absorb(0, 0, [row, row]).unwrap();
    assert_eq!(live.next_ms(0), Some(2 * MINUTE));
    for start in [MINUTE, 3 * MINUTE, 2 * MINUTE + 1] {
        assert!(live.absorb(0, start, [row]).is_err());
    }
    live.absorb(0, 2 * MINUTE, [row]).unwrap();
}

#[test]
fn any_number_of_minutes_may_be_kept() {
    let mut r = Random(1);
    let world = World::new(&mut r);
    let bot = world.candidate(&mut r).params[0];
    for kept in [0, 1, usize::MAX / 2 + 1, usize::MAX] {
        let mut live = Live::new(bot, vec![(world.rules[0], bot)], 0, kept);
        for start in 0..5 {
            live.absorb(0, start * MINUTE, [[101.0, 99.0, 100.0, 1000.0]]).unwrap();
            assert_eq!(live.next_ms(0), Some((start + 1) * MINUTE));
        }
    }
}
