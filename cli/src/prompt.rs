//! Where prompts come from.

use crate::bounded;
use crate::errors::CliError;
use std::io::{self, IsTerminal};
use std::path::Path;

pub use hewn_engine::chat::prompt::{chat, plain};

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
