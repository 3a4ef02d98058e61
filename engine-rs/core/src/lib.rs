//! The engine: candles in, fills and metrics out; and the order planner that a live bot calls.
//!
//! Section numbers in the documentation are those of the specification: `trading-semantics` unless another text
//! is named. What the specification calls a minute is a bar of the panel ([`interval`]). Nothing here knows Python or
//! files, and nothing but the room for fills (`analysis::spare`) threads.

pub mod analysis;
pub mod candles;
pub mod error;
pub mod fast;
pub mod grid;
pub mod interval;
pub mod isa;
pub mod math;
pub mod num;
pub mod params;
pub mod planner;
pub mod run;
pub mod strategy;
pub mod trailing_flip;
pub mod types;
