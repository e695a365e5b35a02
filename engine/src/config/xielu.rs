//! The numbers of xIELU, which files list layer by layer, as they were learnt, under keys without an architecture's name.

use super::reader::Reader;
use crate::error::EngineError;
use hewn_kernels::op::xielu::Xielu;
use hewn_loader::Value;

impl Reader<'_> {
    /// The numbers of the first `layers` layers. Two of them were learnt as what the softplus function makes positive; the
    /// exponential's counts on top of the line's.
    pub(super) fn xielu(&self, layers: usize) -> Result<Vec<Xielu>, EngineError> {
        let [above, below, line, end] = ["alpha_p", "alpha_n", "beta", "eps"].map(|key| {
            let key = format!("xielu.{key}");
            self.floats_of_layers(&key, layers)
        });
        let (above, below, line, end) = (above?, below?, line?, end?);
        if let Some(end) = end.iter().find(|end| **end > 0.0) {
            return Err(EngineError::Config { key: "xielu.eps".into(), reason: format!("{end} is above 0") });
        }
        let numbers = above.into_iter().zip(below).zip(line).zip(end);
        let each = numbers.map(|(((above, below), line), end)| Xielu {
            above: softplus(above) as f32,
            below: (f64::from(line) + softplus(below)) as f32,
            line,
            end,
        });
        Ok(each.collect())
    }

    /// A number for each layer: listed, or one for all. The key is the whole name.
    fn floats_of_layers(&self, key: &str, layers: usize) -> Result<Vec<f32>, EngineError> {
        let bad = |reason: String| Err(EngineError::Config { key: key.into(), reason });
        let list: Option<Vec<f32>> = match self.meta.get(key) {
            None => return bad("the key is missing".into()),
            Some(Value::Array(a)) if a.len() != layers => {
                return bad(format!("it lists {} layers of {layers}", a.len()));
            }
            Some(Value::Array(a)) => a.iter().map(finite).collect(),
            Some(one) => finite(one).map(|v| vec![v; layers]),
        };
        list.map_or_else(|| bad("it is not of finite numbers".into()), Ok)
    }
}

fn finite(v: Value<'_>) -> Option<f32> {
    if let Value::F32(v) = v { Some(v).filter(|v| v.is_finite()) } else { None }
}

/// `ln(1 + e^x)`
fn softplus(x: f32) -> f64 {
    let x = f64::from(x);
    x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
}

#[cfg(test)]
mod tests {
    use super::softplus;

    #[test]
    fn softplus_is_right_at_both_ends() {
        assert!((softplus(0.0) - std::f64::consts::LN_2).abs() < 1e-15);
        assert_eq!(softplus(100.0), 100.0);
        assert!((softplus(-50.0) / libm::exp(-50.0) - 1.0).abs() < 1e-12);
    }
}
