//! Python face of the engine: converts types and errors, releases the interpreter lock. No logic lives here.

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use passivbot_core::{num, params};
use pyo3::prelude::*;

/// Round each value to that many significant digits (trading-semantics §4).
#[pyfunction]
fn round_significant<'py>(py: Python<'py>, values: PyReadonlyArray1<'py, f64>, digits: i32) -> Bound<'py, PyArray1<f64>> {
    let rounded: Vec<f64> = values.as_array().iter().map(|&v| num::round_sig(v, digits)).collect();
    rounded.into_pyarray(py)
}

#[pymodule]
mod _engine {
    #[pymodule_export]
    use super::round_significant;

    use super::*;

    #[pymodule_init]
    fn init(m: &Bound<'_, PyModule>) -> PyResult<()> {
        m.add("__version__", env!("CARGO_PKG_VERSION"))?;
        m.add("SIDE_PARAMETERS", params::SIDE_NAMES.to_vec())
    }
}
