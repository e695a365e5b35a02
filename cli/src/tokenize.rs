//! `hewn tokenize`: a text as token ids.

use crate::args::TokenizeArgs;
use crate::errors::CliError;
use crate::prompt;
use hewn_engine::loader::{Gguf, OpenOptions};
use hewn_engine::tokenizer::{EncodeOptions, Tokenizer};
use std::io::{BufWriter, Write, stdout};

/// Runs the subcommand.
pub fn run(a: &TokenizeArgs) -> Result<(), CliError> {
    let gguf = Gguf::open(&a.model, &OpenOptions::default())?;
    let tokenizer = Tokenizer::from_gguf(&gguf)?;
    let text = prompt::read(a.text.as_deref(), a.file.as_deref())?;
    let ids = tokenizer.encode(&text, &EncodeOptions { add_special: a.special, parse_special: a.special });
    let mut out = BufWriter::new(stdout().lock());
    if a.json {
        writeln!(out, "{}", serde_json::json!(ids))?;
    } else if a.ids {
        writeln!(out, "{}", ids.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))?;
    } else {
        for id in ids {
            let bytes = tokenizer.token_bytes(id, true);
            writeln!(out, "{id:>8}  {:?}", String::from_utf8_lossy(bytes))?;
        }
    }
    Ok(out.flush()?)
}
