//! Layers that lack something: attention, a feed-forward part, or both.

use super::reader::Reader;
use super::{LayerSet, Varied};
use crate::error::EngineError;

/// What the layers of such a model have.
pub(super) struct Sparse {
    /// Query heads, of the layers that have some.
    pub heads: usize,
    /// The most key/value heads that a layer has.
    pub kv_heads: usize,
    /// Likewise the channels of the feed-forward part.
    pub ff: usize,
    pub varied: Varied,
    /// Layers that attend.
    pub attending: LayerSet,
    /// Layers with a matrix in the place of attention.
    pub linear: LayerSet,
    /// Layers with a feed-forward part.
    pub feeding: LayerSet,
}

impl Reader<'_> {
    /// Reads what each of `layers` layers has.
    pub(super) fn sparse(&self, layers: usize) -> Result<Sparse, EngineError> {
        let [heads_key, kv_key, ff_key] = ["attention.head_count", "attention.head_count_kv", "feed_forward_length"];
        let (heads, with_heads) = self.size_of_some(heads_key, layers)?;
        let Some(heads) = heads else { return self.missing(heads_key) };
        let kv = self.each(kv_key, layers, Some(heads))?;
        let ff = self.each(ff_key, layers, None)?;
        if let Some(kv) = kv.iter().find(|kv| **kv > 0 && !heads.is_multiple_of(**kv)) {
            return self.bad(kv_key, format!("{kv} does not divide the {heads} query heads"));
        }
        if let Some(i) = (0..layers).find(|i| kv[*i] > 0 && !with_heads.has(*i)) {
            return self.bad(kv_key, format!("layer {i} has {} heads of keys and none of queries", kv[i]));
        }
        let most = |list: &[usize]| list.iter().copied().max().unwrap_or(0);
        let (kv_heads, widest) = (most(&kv), most(&ff));
        if kv_heads == 0 {
            return self.bad(kv_key, "it is 0 for all layers");
        }
        let some = |list: &[usize]| LayerSet::Listed(list.iter().map(|n| *n > 0).collect());
        let linear = (0..layers).map(|i| kv[i] == 0 && with_heads.has(i)).collect();
        Ok(Sparse {
            heads,
            kv_heads,
            ff: widest.max(1),
            attending: some(&kv),
            feeding: some(&ff),
            linear: LayerSet::Listed(linear),
            // Nobody asks for the heads of a layer that does not attend.
            varied: Varied { kv_heads: kv.iter().map(|n| (*n).max(1)).collect(), ff, ..Varied::default() },
        })
    }

    /// A size for each layer, of which 0 means that there is none: as the file lists them, or says for all.
    fn each(&self, key: &str, layers: usize, otherwise: Option<usize>) -> Result<Vec<usize>, EngineError> {
        let listed = self.listed_from(0, key, layers)?;
        if !listed.is_empty() {
            return Ok(listed);
        }
        match self.size(key)?.or(otherwise) {
            Some(n) => Ok(vec![n; layers]),
            None => self.missing(key),
        }
    }
}
