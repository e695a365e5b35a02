//! Bounds of the activation, which files list layer by layer.

use super::reader::Reader;
use crate::error::EngineError;
use hewn_loader::Value;

/// Bounds of each layer's activation, where it has some; empty where no layer has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bounds {
    /// Of the experts.
    pub experts: Vec<Option<f32>>,
    /// Of what takes every row: the dense part, or the expert that does.
    pub all: Vec<Option<f32>>,
}

/// Bounds up to this are none, as other engines have it.
const NONE: f32 = 1e-6;

impl Reader<'_> {
    /// The bounds of so many layers; perhaps those of the experts are the others', too, where there are none.
    pub(super) fn bounds(&self, layers: usize, one_for_all: bool) -> Result<Bounds, EngineError> {
        let read = |key: &str| {
            let bound = |v: Value<'_>| match v {
                Value::F32(v) if v.is_finite() && v >= 0.0 => Some(Some(v).filter(|v| *v > NONE)),
                _ => None,
            };
            let list: Option<Vec<_>> = match self.meta.get(&self.key(key)) {
                None => return Ok(Vec::new()),
                Some(Value::Array(a)) if a.len() == layers => a.iter().map(bound).collect(),
                Some(Value::Array(_)) => None,
                Some(one) => bound(one).map(|v| vec![v; layers]),
            };
            list.map_or_else(|| self.bad(key, format!("it is not a list of {layers} numbers from 0 on")), Ok)
        };
        let [experts, all] = [read("swiglu_clamp_exp")?, read("swiglu_clamp_shexp")?];
        // One bound for both, where only that is said.
        let said = !one_for_all || self.meta.contains(&self.key("swiglu_clamp_shexp"));
        Ok(Bounds { all: if said { all } else { experts.clone() }, experts })
    }
}
