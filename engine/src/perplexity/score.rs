//! The sums over the vocabulary, rows spread over the team.

use hewn_kernels::{Team, TeamError};

/// What a row of logits says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Row {
    /// `log sum exp`.
    log_sum: f64,
    /// The logit of the token that came.
    target: f64,
    /// The likeliest token, the first of equals.
    pub top: u32,
}

impl Row {
    /// `-log p` of the token that came.
    pub fn loss(&self) -> f64 {
        self.log_sum - self.target
    }
}

/// Scores rows `[targets, vocab]`.
pub(super) fn score(team: &Team, logits: &[f32], vocab: usize, targets: &[u32]) -> Result<Vec<Row>, TeamError> {
    let mut out = vec![Row::default(); targets.len()];
    team.step(|crew| {
        crew.rows(&mut out, 1, true, |_, i, out| {
            let row = &logits[i * vocab..(i + 1) * vocab];
            let top = row.iter().enumerate().fold(0, |best, (i, v)| if *v > row[best] { i } else { best });
            let max = f64::from(row[top]);
            let sum: f64 = row.iter().map(|v| libm::exp(f64::from(*v) - max)).sum();
            let target = row.get(targets[i] as usize).map_or(f64::NEG_INFINITY, |v| f64::from(*v));
            out[0] = Row { log_sum: max + libm::log(sum), target, top: top as u32 };
        });
    })?;
    Ok(out)
}

/// `sum p (log p - log q)` of each row, p from `base`.
pub(super) fn divergence(
    team: &Team,
    base: &[f32],
    base_rows: &[Row],
    other: &[f32],
    other_rows: &[Row],
    vocab: usize,
) -> Result<Vec<f64>, TeamError> {
    let mut out = vec![0.0; base_rows.len()];
    team.step(|crew| {
        crew.rows(&mut out, 1, true, |_, i, out| {
            let at = i * vocab..(i + 1) * vocab;
            let sum: f64 = base[at.clone()]
                .iter()
                .zip(&other[at])
                .map(|(p, q)| {
                    let log_p = f64::from(*p) - base_rows[i].log_sum;
                    libm::exp(log_p) * (log_p - (f64::from(*q) - other_rows[i].log_sum))
                })
                .sum();
            // It cannot be negative but by rounding.
            out[0] = sum.max(0.0);
        });
    })?;
    Ok(out)
}
