//! What the commands that measure take.

use super::{ChangeArgs, Kv, isa_help};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// From where a benchmark reads the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// From the packed file, which is made if need be.
    Packed,
    /// From the GGUF file.
    File,
}

/// Lists are separated by commas; every combination is a test.
#[derive(Args)]
pub struct BenchArgs {
    /// The GGUF files.
    #[arg(value_name = "MODEL")]
    pub models: Vec<PathBuf>,
    /// Models with random weights in these well-known shapes, made for the run; --list-shapes lists them.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub shape: Vec<String>,
    /// Formats of their weights.
    #[arg(long, value_delimiter = ',', value_name = "MIX", default_value = "q4_k_m", requires = "shape")]
    pub quant: Vec<String>,
    /// List the shapes and the mixes.
    #[arg(long)]
    pub list_shapes: bool,
    /// Measure the kernels one by one instead: all, or those whose names contain this.
    #[arg(long, value_name = "FILTER", num_args = 0..=1, default_missing_value = "",
        conflicts_with_all = ["models", "shape", "prompt", "generate", "depth", "batch", "layout", "kv", "chunk", "seed",
            "lora", "lora_scaled"])]
    pub kernels: Option<String>,
    /// Prompts of so many tokens [default: 512, unless -n is given].
    #[arg(short, long, value_delimiter = ',', value_name = "TOKENS")]
    pub prompt: Vec<usize>,
    /// Generations of so many tokens [default: 128, unless -p is given].
    #[arg(short = 'n', long, value_delimiter = ',', value_name = "TOKENS")]
    pub generate: Vec<usize>,
    /// Tokens that are in the context before.
    #[arg(short, long, value_delimiter = ',', value_name = "TOKENS", default_value = "0")]
    pub depth: Vec<usize>,
    /// Sequences that generate at the same time.
    #[arg(short, long, value_delimiter = ',', value_name = "SEQUENCES", default_value = "1")]
    pub batch: Vec<usize>,
    /// Threads [default: physical cores that this process may use].
    #[arg(short, long, value_delimiter = ',')]
    pub threads: Vec<usize>,
    /// Repetitions of every test, after a warm-up.
    #[arg(short, long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub repetitions: u32,
    #[arg(long, env = "HEWN_ISA", value_delimiter = ',', value_name = "NAME", help = isa_help())]
    pub isa: Vec<String>,
    /// Layouts of the weights.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "packed")]
    pub layout: Vec<Layout>,
    /// Number format of the key/value cache.
    #[arg(long, value_enum, default_value = "f16")]
    pub kv: Kv,
    /// Prompt tokens computed at once.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub chunk: u32,
    /// Seed of the random tokens.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print JSON, which --compare can read.
    #[arg(long, conflicts_with_all = ["csv", "markdown"])]
    pub json: bool,
    /// Print comma-separated values.
    #[arg(long, conflicts_with = "markdown")]
    pub csv: bool,
    /// Print a Markdown table.
    #[arg(long)]
    pub markdown: bool,
    /// Write the result to this file, and the table to standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Show what changed between two results in JSON, and whether it is more than noise; runs nothing.
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"], exclusive = true)]
    pub compare: Vec<PathBuf>,
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// Where the time of a prompt and of an answer goes.
#[derive(Args)]
pub struct ProfileArgs {
    /// The GGUF file.
    #[arg(required_unless_present_any = ["shape", "list_shapes"])]
    pub model: Option<PathBuf>,
    /// A model with random weights in this well-known shape, made for the run.
    #[arg(long, value_name = "NAME", conflicts_with = "model")]
    pub shape: Option<String>,
    /// Formats of its weights.
    #[arg(long, value_name = "MIX", default_value = "q4_k_m", requires = "shape")]
    pub quant: String,
    /// List the shapes and the mixes.
    #[arg(long)]
    pub list_shapes: bool,
    /// A prompt to read.
    #[arg(short, long, value_name = "TEXT", conflicts_with = "pp")]
    pub prompt: Option<String>,
    /// A prompt of so many random tokens [default: 512, unless --tg is given].
    #[arg(long, value_name = "TOKENS")]
    pub pp: Option<usize>,
    /// Tokens to generate [default: 64, unless --pp is given].
    #[arg(long, value_name = "TOKENS")]
    pub tg: Option<usize>,
    /// Random tokens that are in the context before, which are not profiled.
    #[arg(short, long, value_name = "TOKENS", default_value_t = 0)]
    pub depth: usize,
    /// Threads [default: physical cores that this process may use].
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    #[arg(long, env = "HEWN_ISA", value_name = "NAME", help = isa_help())]
    pub isa: Option<String>,
    /// Layout of the weights.
    #[arg(long, value_enum, default_value = "packed")]
    pub layout: Layout,
    /// Number format of the key/value cache.
    #[arg(long, value_enum, default_value = "f16")]
    pub kv: Kv,
    /// Prompt tokens computed at once.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub chunk: u32,
    /// Seed of random tokens.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Write a page with plots to this file; it needs nothing else to be looked at.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write every event to this file, for Perfetto or chrome://tracing.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    #[command(flatten)]
    pub change: ChangeArgs,
}

#[derive(Args)]
pub struct SynthArgs {
    /// The shape; --list-shapes lists them.
    #[arg(long, value_name = "NAME", required_unless_present = "list_shapes")]
    pub shape: Option<String>,
    /// Formats of the weights.
    #[arg(long, value_name = "MIX", default_value = "q4_k_m")]
    pub quant: String,
    /// The file to write; `-` is standard output.
    #[arg(short, long, value_name = "FILE", required_unless_present = "list_shapes")]
    pub output: Option<PathBuf>,
    /// Seed of the weights.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// List the shapes and the mixes.
    #[arg(long)]
    pub list_shapes: bool,
}

#[derive(Args)]
pub struct RooflineArgs {
    /// The most threads to measure with [default: physical cores that this process may use].
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Measure again instead of showing the result kept in the cache folder.
    #[arg(long)]
    pub fresh: bool,
}

#[derive(Args)]
pub struct CpuArgs {
    #[arg(long, env = "HEWN_ISA", value_name = "NAME", help = isa_help())]
    pub isa: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
