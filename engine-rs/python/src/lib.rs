//! Python face of the engine: converts types and errors, releases the interpreter lock. No logic lives here.

mod bots;
mod candles;
mod engine;
mod flip;
mod metrics;
mod planner;
mod results;
mod tables;

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use passivbot_core::error::EngineError;
use passivbot_core::{analysis, num, params, types};
use pyo3::prelude::*;

/// The Python class of the engine's errors.
mod errors {
    pyo3::import_exception!(passivbot.errors, EngineError);
}

/// The one conversion of the engine's errors.
fn to_py(error: EngineError) -> PyErr {
    errors::EngineError::new_err(error.to_string())
}

/// An error about an argument, found before the engine saw it.
fn refused(message: impl Into<String>) -> PyErr {
    errors::EngineError::new_err(message.into())
}

/// Round each value to that many significant digits (trading-semantics §4).
#[pyfunction]
fn round_significant<'py>(
    py: Python<'py>,
    values: PyReadonlyArray1<'py, f64>,
    digits: i32,
) -> Bound<'py, PyArray1<f64>> {
    let rounded: Vec<f64> = values.as_array().iter().map(|&v| num::round_sig(v, digits)).collect();
    rounded.into_pyarray(py)
}

#[pymodule]
mod _engine {
    #[pymodule_export]
    use super::engine::Engine;
    #[pymodule_export]
    use super::flip::trailing_flip;
    #[pymodule_export]
    use super::planner::Planner;
    #[pymodule_export]
    use super::round_significant;

    use super::*;

    #[pymodule_init]
    fn init(m: &Bound<'_, PyModule>) -> PyResult<()> {
        m.add("__version__", env!("CARGO_PKG_VERSION"))?;
        m.add("SIDE_PARAMETERS", params::SIDE_NAMES.to_vec())?;
        m.add("METRICS", analysis::METRIC_NAMES.to_vec())?;
        m.add("WATCHED_METRICS", analysis::WATCHED_METRICS.to_vec())?;
        m.add("STOPPED_MINUTE", metrics::STOPPED_MINUTE)?;
        m.add("INSTRUCTION_SETS", engine::names())?;
        let types: Vec<_> = types::OrderType::ALL.iter().map(|kind| kind.name()).collect();
        m.add("ORDER_TYPES", types)
    }
}
