//! How well documents answer a query, by models that read both together.

use super::{EmbedError, Embedder, Text};
use crate::config::TextPooling;
use crate::error::EngineError;
use crate::model::Model;
use crate::runner::Progress;
use crate::tokenizer::{EncodeOptions, Tokenizer};

/// A query and a document as the model reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The tokens of both, with what is around them.
    pub tokens: Vec<u32>,
    /// Where the document begins, of models that tell two texts apart.
    pub second_from: usize,
}

impl Embedder {
    /// A score for each document, the higher the better; those of different queries are not made to be compared. Needs a file with
    /// a classifier, and its [pooling](TextPooling::Rank).
    ///
    /// # Errors
    /// The pooling is another one; otherwise as [`embed`](Self::embed).
    pub fn rank(
        &mut self,
        tokenizer: &Tokenizer,
        query: &str,
        documents: &[impl AsRef<str>],
        progress: &mut Progress<'_>,
    ) -> Result<Vec<f32>, EmbedError> {
        let model = self.runner.model().clone();
        let template = Pair::template(&model)?;
        let pairs: Vec<Pair> = documents.iter().map(|d| Pair::new(tokenizer, template, query, d.as_ref())).collect();
        self.rank_pairs(&pairs, progress)
    }

    /// The same of pairs that are tokens already.
    ///
    /// # Errors
    /// As [`rank`](Self::rank).
    pub fn rank_pairs(&mut self, pairs: &[Pair], progress: &mut Progress<'_>) -> Result<Vec<f32>, EmbedError> {
        if self.pooling != TextPooling::Rank {
            return Err(EmbedError::NoScores { pooling: self.pooling.name() });
        }
        let texts: Vec<_> = pairs.iter().map(|p| Text { tokens: &p.tokens, second_from: p.second_from }).collect();
        let scores = self.run(&texts, progress)?;
        // The first score is the one of relevance.
        Ok(scores.iter().filter_map(|s| s.values.first().copied()).collect())
    }
}

impl Pair {
    /// The prompt into which a file's queries and documents go, where it has one.
    ///
    /// # Errors
    /// The file has something else under its name.
    pub fn template(model: &Model) -> Result<Option<&str>, EmbedError> {
        Ok(model.gguf().metadata().str("tokenizer.chat_template.rerank").map_err(EngineError::from)?)
    }

    /// A query and a document as the model reads them, with the file's template if it has one.
    pub fn new(tokenizer: &Tokenizer, template: Option<&str>, query: &str, document: &str) -> Self {
        match template {
            Some(template) => Self::by_template(tokenizer, template, query, document),
            None => Self::separated(tokenizer, query, document),
        }
    }

    /// As BERT and its kin read two texts: the separator is between them and behind the second; where it is RoBERTa's, there are two
    /// between them.
    fn separated(tokenizer: &Tokenizer, query: &str, document: &str) -> Self {
        let plain = |text| tokenizer.encode(text, &EncodeOptions::default());
        let mut tokens: Vec<u32> = tokenizer.bos().filter(|_| tokenizer.add_bos()).into_iter().collect();
        if tokens.is_empty() && tokenizer.model_name() == "t5" {
            // Files of XLM-RoBERTa name it, though other texts of such vocabularies have none.
            tokens.extend(tokenizer.bos());
        }
        tokens.extend(plain(query));
        tokens.extend(tokenizer.eos());
        let again = |id: &u32| tokenizer.token_text(*id).as_deref() == Some("</s>");
        tokens.extend(tokenizer.eos().filter(again));
        let second_from = tokens.len();
        tokens.extend(plain(document));
        tokens.extend(tokenizer.eos());
        Self { tokens, second_from }
    }

    /// As the file's template for this puts them into a prompt. Control tokens in it count as such.
    fn by_template(tokenizer: &Tokenizer, template: &str, query: &str, document: &str) -> Self {
        let mut text = String::with_capacity(template.len() + query.len() + document.len());
        let mut rest = template;
        // In one pass, so that a query that spells out the document's place keeps it.
        while let Some(at) = rest.find('{') {
            let (before, from) = rest.split_at(at);
            text.push_str(before);
            rest = match (from.strip_prefix("{query}"), from.strip_prefix("{document}")) {
                (Some(after), _) => {
                    text.push_str(query);
                    after
                }
                (_, Some(after)) => {
                    text.push_str(document);
                    after
                }
                _ => {
                    text.push('{');
                    &from[1..]
                }
            };
        }
        text.push_str(rest);
        let options = EncodeOptions { add_special: true, parse_special: true };
        Self { tokens: tokenizer.encode(&text, &options), second_from: usize::MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::VocabSource;

    /// The texts of a pair's tokens, and which of them is the document's first.
    fn read(t: &Tokenizer, pair: &Pair) -> (String, usize) {
        let texts: Vec<_> = pair.tokens.iter().filter_map(|id| t.token_text(*id)).collect();
        (texts.join(" "), pair.second_from)
    }

    #[test]
    fn separators_are_between_and_behind() {
        let tokens = |all: [&'static str; 5]| all.map(str::as_bytes).to_vec().into();
        let bert = VocabSource {
            model: "bert",
            tokens: tokens(["[UNK]", "[CLS]", "[SEP]", "▁a", "▁b"]),
            types: Some(vec![3, 3, 3, 1, 1]),
            unknown: Some(0),
            cls: Some(1),
            separator: Some(2),
            ..VocabSource::default()
        };
        let t = Tokenizer::new(bert).unwrap();
        assert_eq!(read(&t, &Pair::new(&t, None, "a", "b a")), ("[CLS] ▁a [SEP] ▁b ▁a [SEP]".into(), 3));
        let roberta = VocabSource {
            model: "t5",
            tokens: tokens(["<s>", "</s>", "<unk>", "▁a", "▁b"]),
            types: Some(vec![3, 3, 2, 1, 1]),
            scores: Some(vec![0.0, 0.0, 0.0, -1.0, -1.0]),
            bos: Some(0),
            eos: Some(1),
            unknown: Some(2),
            add_space_prefix: Some(true),
            ..VocabSource::default()
        };
        let t = Tokenizer::new(roberta).unwrap();
        assert_eq!(read(&t, &Pair::new(&t, None, "a", "b")), ("<s> ▁a </s> </s> ▁b </s>".into(), 4));
    }

    #[test]
    fn templates_take_each_text_once() {
        let source = VocabSource {
            model: "bert",
            tokens: vec![&b"[UNK]"[..], "▁q".as_bytes(), "▁d".as_bytes(), "▁{".as_bytes(), "▁}".as_bytes()].into(),
            unknown: Some(0),
            ..VocabSource::default()
        };
        let t = Tokenizer::new(source).unwrap();
        let template = Some("{query} {document} { }");
        assert_eq!(read(&t, &Pair::new(&t, template, "q", "d")), ("▁q ▁d ▁{ ▁}".into(), usize::MAX));
        // A query that names the other's place does not get it.
        assert_eq!(read(&t, &Pair::new(&t, template, "{document}", "d")).0, "▁{ [UNK] ▁} ▁d ▁{ ▁}");
    }
}
