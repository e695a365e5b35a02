//! One vector of many rows. Sums run over the rows in their order, so that nothing else decides about rounding.

use crate::config::TextPooling;
use crate::error::EngineError;

/// What became of a text's rows so far.
pub(super) struct Pool {
    kind: TextPooling,
    width: usize,
    /// Of each channel, for a mean.
    sums: Vec<f64>,
    /// Rows that stay.
    kept: Vec<f32>,
    count: usize,
}

impl Pool {
    pub fn new(kind: TextPooling, width: usize) -> Self {
        let sums = if kind == TextPooling::Mean { vec![0.0; width] } else { Vec::new() };
        Self { kind, width, sums, kept: Vec::new(), count: 0 }
    }

    /// Takes the next rows that were asked for.
    pub fn add(&mut self, rows: &[f32]) -> Result<(), EngineError> {
        if self.kind != TextPooling::Mean {
            let bytes = size_of_val(rows);
            self.kept.try_reserve(rows.len()).map_err(|_| EngineError::Memory { what: "vectors", bytes })?;
            self.kept.extend_from_slice(rows);
            return Ok(());
        }
        for row in rows.chunks_exact(self.width) {
            self.sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v));
            self.count += 1;
        }
        Ok(())
    }

    /// What is left of them.
    pub fn finish(self) -> Vec<f32> {
        match self.kind {
            TextPooling::Mean => self.sums.iter().map(|sum| (sum / self.count.max(1) as f64) as f32).collect(),
            _ => self.kept,
        }
    }
}

/// Divides a vector by its length, unless that is 0.
pub(super) fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|v| *v = (f64::from(*v) / length) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_one_however_they_are_cut() {
        let rows = [1.0f32, 2.0, 3.0, -2.0, 0.5, 8.0];
        for cut in [0, 2, 4, 6] {
            let of = |kind| {
                let mut pool = Pool::new(kind, 2);
                pool.add(&rows[..cut]).unwrap();
                pool.add(&rows[cut..]).unwrap();
                pool.finish()
            };
            assert_eq!(of(TextPooling::Mean), [1.5, 8.0 / 3.0]);
            assert_eq!(of(TextPooling::None), rows);
        }
    }

    #[test]
    fn lengths_become_one() {
        let mut v = [3.0, -4.0];
        normalize(&mut v);
        assert_eq!(v, [0.6, -0.8]);
        let mut zero = [0.0; 3];
        normalize(&mut zero);
        assert_eq!(zero, [0.0; 3]);
    }
}
