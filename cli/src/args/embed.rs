//! Vectors of texts.

use super::ModelArgs;
use clap::Args;
use hewn_engine::embed::TextPooling;
use std::path::PathBuf;

#[derive(Args)]
pub struct EmbedArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The texts; `-` reads them from standard input, one a line.
    #[arg(value_name = "TEXT", conflicts_with = "file")]
    pub texts: Vec<String>,
    /// Read the texts from a file, one a line (at most 64 MiB, as from standard input).
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    #[arg(long, value_name = "KIND", value_parser = pooling, help = pooling_help())]
    pub pooling: Option<TextPooling>,
    /// Leave vectors as long as they are, instead of dividing them by their length.
    #[arg(long)]
    pub no_normalize: bool,
    /// Print how similar texts are (the cosine of the angle between their vectors) instead of the vectors.
    #[arg(long, conflicts_with = "json")]
    pub compare: bool,
    /// Print the vectors as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct RerankArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// What documents should answer.
    #[arg(short = 'Q', long)]
    pub query: String,
    /// The documents; `-` reads them from standard input, one a line.
    #[arg(value_name = "DOC", conflicts_with = "file")]
    pub documents: Vec<String>,
    /// Read the documents from a file, one a line (at most 64 MiB, as from standard input).
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Print JSON, in the order of the documents.
    #[arg(long)]
    pub json: bool,
}

fn names() -> String {
    TextPooling::ALL.map(TextPooling::name).join(", ")
}

fn pooling_help() -> String {
    format!("What becomes of a text's rows: {} [default: as the file says]", names())
}

fn pooling(text: &str) -> Result<TextPooling, String> {
    TextPooling::from_name(text).ok_or_else(|| format!("it must be one of {}", names()))
}
