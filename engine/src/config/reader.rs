//! Typed and bounded reading of an architecture's metadata keys.

use super::LayerSet;
use crate::error::EngineError;
use hewn_loader::{Metadata, Value};
use std::cell::RefCell;
use std::collections::HashSet;

/// Bounds far above any real model, so that products of hyperparameters cannot overflow.
pub(super) const MAX: usize = 1 << 24;

/// Keys that say what the tensors, the vocabulary or other keys say, too.
const SAID_ELSEWHERE: [&str; 2] = ["vocab_size", "tensor_data_layout"];

/// The keys of one architecture.
pub(super) struct Reader<'a> {
    pub meta: Metadata<'a>,
    prefix: &'static str,
    /// Whose values were asked for.
    asked: RefCell<HashSet<String>>,
}

impl<'a> Reader<'a> {
    pub fn new(meta: Metadata<'a>, prefix: &'static str) -> Self {
        let said = SAID_ELSEWHERE.map(|key| format!("{prefix}.{key}"));
        Self { meta, prefix, asked: RefCell::new(HashSet::from(said)) }
    }

    /// The whole name of a key that is about to be read.
    pub fn key(&self, key: &str) -> String {
        let name = format!("{}.{key}", self.prefix);
        self.asked.borrow_mut().insert(name.clone());
        name
    }

    /// The architecture's keys that the file has and nobody has asked for.
    pub fn unread(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        let own = |name: &str| name.strip_prefix(self.prefix).is_some_and(|rest| rest.starts_with('.'));
        let names = self.meta.iter().map(|(name, _)| name);
        names.filter(|name| own(name) && !asked.contains(*name)).map(str::to_owned).collect()
    }
}

impl Reader<'_> {
    pub fn bad<T>(&self, key: &str, reason: impl Into<String>) -> Result<T, EngineError> {
        Err(EngineError::Config { key: self.key(key), reason: reason.into() })
    }

    /// A whole number up to [`MAX`]. Where the file has one a layer, they must be the same.
    fn number(&self, key: &str) -> Result<Option<u32>, EngineError> {
        let name = self.key(key);
        let Some(Value::Array(a)) = self.meta.get(&name) else { return Ok(self.meta.u32(&name)?) };
        let mut all = a.iter().map(|v| v.as_int().and_then(|v| u32::try_from(v).ok()));
        match all.next().flatten() {
            Some(first) if all.all(|v| v == Some(first)) => Ok(Some(first)),
            _ => self.bad(key, "it differs from layer to layer, which is not supported"),
        }
    }

    /// A positive size for each of so many layers, where the file lists them and they differ; empty otherwise.
    pub fn listed(&self, key: &str, layers: usize) -> Result<Vec<usize>, EngineError> {
        self.listed_from(1, key, layers)
    }

    /// The same for sizes from `least` on.
    pub fn listed_from(&self, least: usize, key: &str, layers: usize) -> Result<Vec<usize>, EngineError> {
        let Some(Value::Array(a)) = self.meta.get(&self.key(key)) else { return Ok(Vec::new()) };
        if a.len() != layers {
            return self.bad(key, format!("it lists {} layers of {layers}", a.len()));
        }
        let size =
            |v: Value<'_>| v.as_int().and_then(|v| usize::try_from(v).ok()).filter(|v| (least..=MAX).contains(v));
        match a.iter().map(size).collect::<Option<Vec<usize>>>() {
            Some(list) if list.iter().all(|v| *v == list[0]) => Ok(Vec::new()),
            Some(list) => Ok(list),
            None => self.bad(key, format!("it is not a list of numbers within {least}..={MAX}")),
        }
    }

    /// As [`size`](Self::size); where a list that [`listed`](Self::listed) accepts says it for each layer, the most.
    pub fn most(&self, key: &str, layers: usize) -> Result<Option<usize>, EngineError> {
        match self.listed(key, layers)?.into_iter().max() {
            None => self.size(key),
            most => Ok(most),
        }
    }

    /// As [`size`](Self::size), and which layers it is the size of; where the file lists it for each of so many layers, those
    /// that do not say 0.
    pub fn size_of_some(&self, key: &str, layers: usize) -> Result<(Option<usize>, LayerSet), EngineError> {
        let Some(Value::Array(a)) = self.meta.get(&self.key(key)) else {
            return Ok((self.size(key)?, LayerSet::All));
        };
        if a.len() != layers {
            return self.bad(key, format!("it lists {} layers of {layers}", a.len()));
        }
        let size = |v: Value<'_>| v.as_int().and_then(|v| usize::try_from(v).ok()).filter(|v| *v <= MAX);
        let list = a.iter().map(size).collect::<Option<Vec<usize>>>();
        let Some(list) = list else { return self.bad(key, format!("it is not a list of numbers within 0..={MAX}")) };
        let Some(&first) = list.iter().find(|v| **v > 0) else { return self.bad(key, "it is 0 for all layers") };
        if list.iter().any(|v| ![0, first].contains(v)) {
            return self.bad(key, "it differs between layers that have it, which is not supported");
        }
        let all = !list.contains(&0);
        let layers = if all { LayerSet::All } else { LayerSet::Listed(list.iter().map(|v| *v > 0).collect()) };
        Ok((Some(first), layers))
    }

    /// A positive size.
    pub fn size(&self, key: &str) -> Result<Option<usize>, EngineError> {
        match self.number(key)? {
            None => Ok(None),
            Some(v) if (1..=MAX).contains(&(v as usize)) => Ok(Some(v as usize)),
            Some(v) => self.bad(key, format!("{v} is not within 1..={MAX}")),
        }
    }

    /// A size of which 0 means that there is none.
    pub fn size_or_none(&self, key: &str) -> Result<Option<usize>, EngineError> {
        if self.number(key)? == Some(0) { Ok(None) } else { self.size(key) }
    }

    pub fn need(&self, key: &str) -> Result<usize, EngineError> {
        match self.size(key)? {
            Some(v) => Ok(v),
            None => self.missing(key),
        }
    }

    pub fn missing<T>(&self, key: &str) -> Result<T, EngineError> {
        self.bad(key, "the key is missing")
    }

    pub fn positive(&self, key: &str) -> Result<Option<f32>, EngineError> {
        match self.meta.f32(&self.key(key))? {
            Some(v) if !(v.is_finite() && v > 0.0) => self.bad(key, format!("{v} is not a positive number")),
            v => Ok(v),
        }
    }

    /// A positive factor, of which 0 means that there is none.
    pub fn factor(&self, key: &str) -> Result<Option<f32>, EngineError> {
        if self.meta.f32(&self.key(key))? == Some(0.0) { Ok(None) } else { self.positive(key) }
    }

    /// A flag for each of the first `layers` layers; a list may go on for layers that are not read.
    pub fn flags(&self, key: &str, layers: usize) -> Result<Option<Vec<bool>>, EngineError> {
        let list: Option<Vec<bool>> = match self.meta.get(&self.key(key)) {
            None => return Ok(None),
            Some(Value::Array(a)) if a.len() >= layers => {
                let flag = |v: Value<'_>| match v {
                    Value::Bool(b) => Some(b),
                    // Some converters write numbers.
                    v => v.as_int().filter(|n| [0, 1].contains(n)).map(|n| n == 1),
                };
                a.iter().map(flag).take(layers).collect()
            }
            Some(_) => None,
        };
        list.map_or_else(|| self.bad(key, format!("it is not a list of {layers} booleans")), |list| Ok(Some(list)))
    }

    pub fn flag(&self, key: &str) -> Result<Option<bool>, EngineError> {
        Ok(self.meta.bool(&self.key(key))?)
    }
}
