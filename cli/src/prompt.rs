//! Where prompts come from and how they become tokens.

use crate::bounded;
use crate::errors::CliError;
use hewn_engine::chat::{ChatTemplate, Message, RenderInput, ThinkParser};
use hewn_engine::tokenizer::{EncodeOptions, Tokenizer};
use std::io::{self, IsTerminal};
use std::path::Path;

/// The text given as an argument, a file, or standard input; the latter up to `bounded::LIMIT`.
pub fn read(text: Option<&str>, file: Option<&Path>) -> Result<String, CliError> {
    match (text, file) {
        (_, Some(path)) if path.as_os_str() != "-" => bounded::text_file(path),
        (Some(text), None) if text != "-" => Ok(text.to_owned()),
        (None, None) if io::stdin().is_terminal() => {
            Err(CliError::usage("there is no text", "give it as an argument, with -f FILE, or pipe it in"))
        }
        _ => bounded::standard_input(),
    }
}

/// A prompt ready to run.
pub struct Prompt {
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// Its template ended inside the reasoning.
    pub opened: bool,
}

/// Plain text, with the begin token if the file asks for one. Control tokens in the text count as such.
pub fn plain(tokenizer: &Tokenizer, text: &str) -> Prompt {
    let mut tokens = tokenizer.encode(text, &EncodeOptions { add_special: false, parse_special: true });
    begin(tokenizer, &mut tokens);
    Prompt { tokens, opened: false }
}

/// A conversation, rendered for the assistant's next answer.
pub fn chat(tokenizer: &Tokenizer, template: &ChatTemplate, messages: &[Message]) -> Result<Prompt, CliError> {
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
