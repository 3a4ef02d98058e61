//! Strategy parameters out of Python dictionaries.

use std::collections::BTreeMap;

use passivbot_core::params::{BotParams, SIDE_COMPONENTS, SIDE_NAMES, SideParams};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::refused;

const SIDES: [&str; 2] = ["long", "short"];
const ENFORCE: &str = "enforce_exposure_limit";

/// Replacements of one coin's parameters, checked once and applied to every candidate.
pub(crate) struct Override {
    coin: usize,
    long: bool,
    name: String,
    value: f64,
}

fn side_mut(bot: &mut BotParams, long: bool) -> &mut SideParams {
    if long { &mut bot.long } else { &mut bot.short }
}

fn number(value: &Bound<'_, PyAny>, key: &str) -> PyResult<f64> {
    let number: f64 =
        value.extract().map_err(|_| refused(format!("{key} is {}; allowed is a number", describe(value))))?;
    if number.is_finite() {
        Ok(number)
    } else {
        Err(refused(format!("{key} is {number}; allowed is a finite number")))
    }
}

fn describe(value: &Bound<'_, PyAny>) -> String {
    value.repr().map_or_else(|_| "unprintable".into(), |text| text.to_string())
}

fn set(params: &mut SideParams, name: &str, value: f64) -> bool {
    if name == ENFORCE {
        params.enforce_exposure_limit = value != 0.0;
        return true;
    }
    params.get_mut(name).map(|field| *field = value).is_some()
}

/// A bot: `{"long": {…}, "short": {…}}` with every parameter of both sides.
pub(crate) fn bot(value: &Bound<'_, PyAny>) -> PyResult<BotParams> {
    let sides: BTreeMap<String, Bound<'_, PyDict>> = value.extract().map_err(|_| {
        refused(format!("bot is {}; allowed is {{\"long\": {{…}}, \"short\": {{…}}}}", describe(value)))
    })?;
    if let Some(unknown) = sides.keys().find(|name| !SIDES.contains(&name.as_str())) {
        return Err(refused(format!("bot.{unknown} is not a side; allowed are long and short")));
    }
    let side = |name: &str| match sides.get(name) {
        Some(dict) => side_params(dict, name),
        None => Err(refused(format!("bot.{name} is missing"))),
    };
    Ok(BotParams { long: side("long")?, short: side("short")? })
}

fn side_params(dict: &Bound<'_, PyDict>, side: &str) -> PyResult<SideParams> {
    let mut params = SideParams::from_components(&[0.0; SIDE_COMPONENTS], false);
    for (name, value) in dict.iter() {
        let name: String = name.extract()?;
        let key = format!("bot.{side}.{name}");
        if !set(&mut params, &name, number(&value, &key)?) {
            return Err(refused(format!("{key} is not a parameter of the strategy")));
        }
    }
    for name in SIDE_NAMES.iter().chain([&ENFORCE]) {
        if !dict.contains(name)? {
            return Err(refused(format!("bot.{side}.{name} is missing")));
        }
    }
    check(&params, &format!("bot.{side}"))?;
    Ok(params)
}

/// Spans below zero have no meaning; every other finite value has one.
fn check(params: &SideParams, prefix: &str) -> PyResult<()> {
    let spans = [
        ("ema_span_0", params.ema_span_0),
        ("ema_span_1", params.ema_span_1),
        ("filter_volume_ema_span", params.filter_volume_ema_span),
        ("filter_log_range_ema_span", params.filter_log_range_ema_span),
    ];
    for (name, span) in spans {
        if span < 0.0 {
            return Err(refused(format!("{prefix}.{name} is {span}; allowed is a number >= 0")));
        }
    }
    Ok(())
}

/// A bot from the 58 components of a vector; what a vector does not hold comes from the template.
pub(crate) fn bot_from_vector(vector: &[f64], template: &BotParams, row: usize) -> PyResult<BotParams> {
    let (long, short) = vector.split_at(SIDE_COMPONENTS);
    let side = |components: &[f64], template: &SideParams, name: &str| {
        let components: &[f64; SIDE_COMPONENTS] =
            components.try_into().map_err(|_| refused("a vector has 58 components"))?;
        if let Some(bad) = components.iter().position(|x| !x.is_finite()) {
            return Err(refused(format!(
                "row {row} of the parameters: {name}_{} is {}; allowed is a finite number",
                SIDE_NAMES[bad], components[bad]
            )));
        }
        let mut params = SideParams::from_components(components, template.enforce_exposure_limit);
        params.wallet_exposure_limit = template.wallet_exposure_limit;
        check(&params, &format!("row {row} of the parameters: {name}"))?;
        Ok(params)
    };
    Ok(BotParams { long: side(long, &template.long, "long")?, short: side(short, &template.short, "short")? })
}

/// `coin_overrides`: coin → side → parameter → value.
pub(crate) fn overrides(value: Option<&Bound<'_, PyAny>>, coins: &[String]) -> PyResult<Vec<Override>> {
    let Some(value) = value.filter(|value| !value.is_none()) else { return Ok(Vec::new()) };
    let table: BTreeMap<String, BTreeMap<String, Bound<'_, PyDict>>> = value.extract().map_err(|_| {
        refused(format!("coin_overrides is {}; allowed is coin → side → parameter → value", describe(value)))
    })?;
    let mut found = Vec::new();
    for (coin, sides) in table {
        let index = coins
            .iter()
            .position(|known| *known == coin)
            .ok_or_else(|| refused(format!("coin_overrides.{coin} is not a coin of this run")))?;
        for (side, params) in sides {
            if !SIDES.contains(&side.as_str()) {
                return Err(refused(format!(
                    "coin_overrides.{coin}.{side} is not a side; allowed are long and short"
                )));
            }
            for (name, value) in params.iter() {
                let name: String = name.extract()?;
                let key = format!("coin_overrides.{coin}.{side}.{name}");
                let value = number(&value, &key)?;
                let mut probe = SideParams::from_components(&[0.0; SIDE_COMPONENTS], false);
                if !set(&mut probe, &name, value) {
                    return Err(refused(format!("{key} is not a parameter of the strategy")));
                }
                check(&probe, &format!("coin_overrides.{coin}.{side}"))?;
                found.push(Override { coin: index, long: side == "long", name, value });
            }
        }
    }
    Ok(found)
}

/// One copy of the parameters a coin, overrides applied.
pub(crate) fn per_coin(bot: &BotParams, overrides: &[Override], coins: usize) -> Vec<BotParams> {
    let mut params = vec![*bot; coins];
    for change in overrides {
        set(side_mut(&mut params[change.coin], change.long), &change.name, change.value);
    }
    params
}
