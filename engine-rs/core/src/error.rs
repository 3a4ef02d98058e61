//! Errors of the engine: input that no backtest can be made of.

use std::fmt;

/// Why the engine refused its input. The message names the offending part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineError {
    /// The candles are unusable.
    Candles(String),
    /// The market rules are unusable.
    Rules(String),
    /// A strategy parameter or another argument is unusable.
    Parameter(String),
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Candles(message) | Self::Rules(message) | Self::Parameter(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for EngineError {}

/// Result of everything that can refuse its input.
pub type Result<T> = std::result::Result<T, EngineError>;
