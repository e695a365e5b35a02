//! From a text or a conversation to the tokens that a model continues.

use super::template::{ChatTemplate, Message, RenderInput, TemplateError};
use super::think::{Marks, ThinkParser};
use crate::tokenizer::{EncodeOptions, Tokenizer};

/// A prompt ready to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// The marks of the reasoning inside which its template ended.
    pub opened: Option<&'static Marks>,
}

/// Plain text, with the begin token if the file asks for one. Control tokens in the text count as such.
pub fn plain(tokenizer: &Tokenizer, text: &str) -> Prompt {
    let mut tokens = tokenizer.encode(text, &EncodeOptions { add_special: false, parse_special: true });
    begin(tokenizer, &mut tokens);
    Prompt { tokens, opened: None }
}

/// A conversation, rendered for the assistant's next answer.
///
/// # Errors
/// The template refuses it, fails, or runs into a limit.
pub fn chat(tokenizer: &Tokenizer, template: &ChatTemplate, messages: &[Message]) -> Result<Prompt, TemplateError> {
    let text = |id: Option<u32>| id.and_then(|id| tokenizer.token_text(id)).unwrap_or_default();
    let rendered = template.render(&RenderInput {
        messages,
        add_generation_prompt: true,
        bos_token: &text(tokenizer.bos()),
        eos_token: &text(tokenizer.eos()),
        ..RenderInput::default()
    })?;
    let mut tokens = tokenizer.encode(&rendered, &EncodeOptions { add_special: false, parse_special: true });
    begin(tokenizer, &mut tokens);
    Ok(Prompt { tokens, opened: ThinkParser::opened_by(&rendered) })
}

/// Puts the begin token in front where the file asks for it and a template has not written it already.
fn begin(tokenizer: &Tokenizer, tokens: &mut Vec<u32>) {
    if let Some(bos) = tokenizer.bos()
        && tokenizer.add_bos()
        && tokens.first() != Some(&bos)
    {
        tokens.insert(0, bos);
    }
}
