//! The engine: candles in, fills and metrics out; and the order planner that a live bot calls.
//!
//! Section numbers in the documentation are those of the specification: `trading-semantics` unless another text
//! is named. Nothing here knows Python, files or threads.

pub mod error;
pub mod math;
pub mod num;
pub mod params;
