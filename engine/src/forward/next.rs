//! What is read next, told before it is: waiting threads fetch weights, the leader what it reads by itself.

use super::{Forward, SPLIT};
use crate::model::Model;
use crate::weights::{FeedForward, MatrixRef, Norm};
use hewn_kernels::Crew;
use hewn_kernels::op::matmul::{Matrix, expect};

/// What is read after a product.
pub(super) struct Next<'m> {
    /// Of the next product.
    pub(super) weights: Vec<&'m MatrixRef>,
    /// Between the two, in their order.
    pub(super) norms: Vec<&'m Norm>,
}

impl<'m> Next<'m> {
    /// The same behind a norm.
    pub(super) fn behind(mut self, norm: Option<&'m Norm>) -> Self {
        self.norms.splice(..0, norm);
        self
    }
}

impl<'m> From<Vec<&'m MatrixRef>> for Next<'m> {
    fn from(weights: Vec<&'m MatrixRef>) -> Self {
        Self { weights, norms: Vec::new() }
    }
}

impl<'m> Forward<'m, '_> {
    /// What is read after the attention of layer `i`.
    pub(super) fn after_attention(&self, i: usize) -> Next<'m> {
        let layer = &self.model.weights().layers[i];
        let then = match &layer.feed_forward {
            Some(w) => Next { weights: w.first(), norms: layer.before_ff.iter().collect() },
            None => self.after_layer(i),
        };
        then.behind(layer.after_attention.as_ref())
    }

    /// What is read after the part of layer `i`'s feed-forward that all rows take.
    pub(super) fn after_ff(&self, i: usize) -> Next<'m> {
        let layer = &self.model.weights().layers[i];
        let then = match (&layer.feed_forward, &layer.input) {
            (Some(FeedForward::Beside(b)), _) => return Next::from(vec![&b.experts.router.w]),
            (_, Some(input)) => Next::from(vec![&input.gate]),
            (_, None) => self.after_layer(i),
        };
        then.behind(layer.after_ff.as_ref())
    }

    /// What is read after layer `i`.
    pub(super) fn after_layer(&self, i: usize) -> Next<'m> {
        let weights = self.model.weights();
        match weights.layers.get(i + 1) {
            Some(next) => Next { weights: next.first(), norms: next.before_attention.iter().collect() },
            None => Next { weights: weights.output.iter().collect(), norms: weights.out_norm.iter().collect() },
        }
    }
}

/// Says that the next product but one is with these weights.
pub(super) fn foresee(crew: &Crew<'_>, n: usize, model: &Model, weights: &[&MatrixRef]) {
    let views: Vec<Matrix<'_>> = weights.iter().map(|w| w.view(model.gguf())).collect();
    expect(crew, n, &views);
}

/// Says what the leader reads by itself between the next product and the one after it. With many rows all threads do that.
pub(super) fn foresee_alone<'a>(crew: &Crew<'_>, n: usize, numbers: impl Iterator<Item = &'a [f32]>) {
    if n < SPLIT {
        crew.expect_alone(numbers.map(bytemuck::cast_slice));
    }
}
