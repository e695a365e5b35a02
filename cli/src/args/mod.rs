//! The command line.

mod change;
mod embed;
mod measure;
mod template;

pub use change::ChangeArgs;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
pub use embed::{EmbedArgs, RerankArgs};
use hewn_engine::quantize::QuantType;
use hewn_engine::sampler::SamplerOptions;
use hewn_engine::speculate::USUAL;
use hewn_engine::{IsaKind, KvType, PackMode};
pub use measure::*;
use std::path::PathBuf;
pub use template::TemplateArgs;

/// What is true of all subcommands.
const ENVIRONMENT: &str = "\
Environment:
  HEWN_ISA          instruction set, as --isa
  HEWN_CACHE_DIR    folder of packed files [default: hewn in $XDG_CACHE_HOME, or in ~/.cache]
  HEWN_CACHE_LIMIT  the most that it may hold [default: 32G]
  TMPDIR            where `--shape` of bench and profile makes its models
  NO_COLOR          no colours

Exit codes: 0 success, 1 failure, 2 wrong usage, 130 after Ctrl-C (129 SIGHUP, 143 SIGTERM).
An answer that -n or the context cuts off is a success; `run --json` has `finish`.";

/// Run quantized language models (GGUF) on the CPU.
#[derive(Parser)]
#[command(name = "hewn", version, max_term_width = 100, args_override_self = true, after_help = ENVIRONMENT)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Answer one prompt.
    Run(RunArgs),
    /// Talk with a model.
    Chat(ChatArgs),
    /// Show how a text is cut into tokens.
    Tokenize(TokenizeArgs),
    /// Make vectors of texts, to compare them by.
    Embed(EmbedArgs),
    /// Order documents by how well they answer a query.
    Rerank(RerankArgs),
    /// Write the logits of every position of a token sequence to a file.
    Logits(LogitsArgs),
    /// Measure how well a model predicts a text, and how far it is from another model.
    Perplexity(PerplexityArgs),
    /// Ask a model questions with known answers, and count the right ones.
    Eval(EvalArgs),
    /// Show what a GGUF file holds and how much memory it needs.
    Inspect(InspectArgs),
    /// Make a smaller file of a model, with its weights in another number format.
    Quantize(QuantizeArgs),
    /// Make the packed file of a model, with which it runs faster.
    Pack(PackArgs),
    /// Show or empty the folder of packed files.
    Cache(CacheArgs),
    /// Measure how fast models run on this machine, beside how fast they could.
    Bench(BenchArgs),
    /// Show where the time goes, operation by operation.
    Profile(ProfileArgs),
    /// Write a model file with random weights in the shape of a well-known model.
    Synth(SynthArgs),
    /// Show the CPU, and what Hewn makes of it: instruction set, threads, memory.
    Cpu(CpuArgs),
    /// Measure how fast this machine can read memory and compute: the ceilings of every model on it.
    Roofline(RooflineArgs),
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
    /// Print the manual page.
    Man(ManArgs),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kv {
    /// Half floats.
    F16,
    /// Floats of 32 bits.
    F32,
    /// 8-bit integers, 32 of which share a scale: half the memory of f16, and long contexts are read sooner.
    #[value(name = "q8_0")]
    Q8_0,
}

impl From<Kv> for KvType {
    fn from(kv: Kv) -> Self {
        match kv {
            Kv::F16 => Self::F16,
            Kv::F32 => Self::F32,
            Kv::Q8_0 => Self::Q8_0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pack {
    /// Use it if there is one; otherwise make it in the background, in the cache (not for small models).
    Auto,
    /// Make or check it before the model runs.
    Wait,
    /// Neither use nor make it.
    Off,
}

impl From<Pack> for PackMode {
    fn from(p: Pack) -> Self {
        match p {
            Pack::Auto => Self::Auto,
            Pack::Wait => Self::Wait,
            Pack::Off => Self::Off,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Think {
    /// Print reasoning like the answer.
    Show,
    /// Print reasoning dimmed.
    Dim,
    /// Print the answer only.
    Hide,
}

/// Which model, and how it computes.
#[derive(Args)]
pub struct ModelArgs {
    /// The GGUF file [default: the model in the program].
    // An empty argument of `hewn run` is an empty prompt, which a path could not be.
    #[arg(value_parser = OsStringValueParser::new().map(PathBuf::from), value_hint = ValueHint::FilePath)]
    pub model: Option<PathBuf>,
    /// Threads [default: physical cores that this process may use].
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    #[arg(long, env = "HEWN_ISA", value_name = "NAME", help = isa_help())]
    pub isa: Option<String>,
    /// Number format of the key/value cache.
    #[arg(long, value_enum, default_value = "f16")]
    pub kv: Kv,
    /// Read the file into memory instead of mapping it (for files that may change or shrink while in use).
    #[arg(long)]
    pub no_mmap: bool,
    /// What to do about the model's packed file, with which it runs faster. `auto` does nothing with --no-mmap.
    #[arg(long, value_enum, default_value = "auto")]
    pub pack: Pack,
    /// Prompt tokens computed at once, which Ctrl-C waits for.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub chunk: u32,
    #[command(flatten)]
    pub change: ChangeArgs,
}

fn isa_help() -> String {
    let names = IsaKind::ALL.map(IsaKind::name).join(", ");
    format!("Instruction set: one of {names} [default: the best that the CPU has]")
}

/// How text is generated.
#[derive(Args)]
pub struct GenerateArgs {
    /// Generate at most so many tokens [default: until the model ends or the context is full].
    #[arg(short = 'n', long, visible_alias = "n-predict")]
    pub max_tokens: Option<usize>,
    /// Positions of the context [default: what the model was trained for].
    #[arg(short, long, value_name = "TOKENS")]
    pub ctx: Option<usize>,
    /// Seed of the random choice [default: from the clock].
    #[arg(short, long)]
    pub seed: Option<u64>,
    /// Temperature; 0 always takes the most likely token.
    #[arg(long, default_value_t = 0.8, allow_negative_numbers = true)]
    pub temp: f32,
    /// Choose among the best so many tokens; 0 for all.
    #[arg(long, default_value_t = 40)]
    pub top_k: usize,
    /// Choose among the best tokens that together have this probability.
    #[arg(long, default_value_t = 0.95, allow_negative_numbers = true)]
    pub top_p: f32,
    /// Choose among tokens with at least this share of the best one's probability.
    #[arg(long, default_value_t = 0.05, allow_negative_numbers = true)]
    pub min_p: f32,
    /// Penalty on tokens that occurred lately; 1 for none.
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    pub repeat_penalty: f32,
    /// How many of the last tokens the penalties look at.
    #[arg(long, default_value_t = 64, value_name = "TOKENS")]
    pub repeat_last_n: usize,
    /// Penalty for every occurrence of a token.
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    pub frequency_penalty: f32,
    /// Penalty for tokens that occurred at all.
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    pub presence_penalty: f32,
    /// Raise or lower one token's logit: `15043+1.5`, `15043-inf`; may be repeated.
    #[arg(long, value_name = "TOKEN_ID(+|-)BIAS", value_parser = logit_bias)]
    pub logit_bias: Vec<(u32, f32)>,
    /// End the answer before this text; may be repeated.
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
    /// Go on after the model's end token.
    #[arg(long)]
    pub ignore_eos: bool,
    /// The system message.
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    #[command(flatten)]
    pub template: TemplateArgs,
    /// What to do with the reasoning of a model that thinks before it answers.
    #[arg(long, value_enum, default_value = "dim")]
    pub think: Think,
    /// End the reasoning after so many tokens.
    #[arg(long, value_name = "TOKENS")]
    pub think_budget: Option<usize>,
    /// Tokens guessed ahead at most, and checked in one step; 0 for none. It changes no token, only the speed.
    #[arg(long, value_name = "TOKENS", default_value_t = USUAL as u8, value_parser = clap::value_parser!(u8).range(0..=64))]
    pub speculate: u8,
    /// A smaller model with the same vocabulary that guesses too; otherwise guesses come from what the text repeats.
    #[arg(long, value_name = "FILE")]
    pub draft: Option<PathBuf>,
    /// No notes about the model, and no closing line with speed and memory.
    #[arg(short, long)]
    pub quiet: bool,
}

impl GenerateArgs {
    /// The sampler's settings.
    pub fn sampler(&self) -> SamplerOptions {
        SamplerOptions {
            temperature: self.temp,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repeat_penalty: self.repeat_penalty,
            frequency_penalty: self.frequency_penalty,
            presence_penalty: self.presence_penalty,
            repeat_last_n: self.repeat_last_n,
            seed: self.seed,
            logit_bias: self.logit_bias.clone(),
        }
    }
}

#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The prompt; `-` reads it from standard input, as does leaving it out in a pipe. Of one argument alone, what is a
    /// file or reads like a path is the model, anything else the prompt.
    #[arg(conflicts_with = "file")]
    pub prompt: Option<String>,
    /// The prompt, whatever it reads like.
    #[arg(short = 'p', long = "prompt", value_name = "TEXT", conflicts_with_all = ["prompt", "file"])]
    pub ask: Option<String>,
    /// Read the prompt from a file (at most 64 MiB, as from standard input).
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Continue the prompt as plain text, without the chat template. Prints the prompt first.
    #[arg(long, conflicts_with_all = ["system", "think", "think_budget", "chat_template_kwargs"])]
    pub raw: bool,
    /// With --raw (or a model without a template), do not print the prompt.
    #[arg(long)]
    pub no_echo: bool,
    /// Print one JSON object at the end instead of streaming text.
    #[arg(long)]
    pub json: bool,
    /// Keep in this file what reading the prompt left behind; of the next prompt that begins alike only the rest is read.
    #[arg(long, value_name = "FILE")]
    pub prompt_cache: Option<PathBuf>,
    /// Leave the file of --prompt-cache as it is.
    #[arg(long, requires = "prompt_cache")]
    pub prompt_cache_ro: bool,
    #[command(flatten)]
    pub generate: GenerateArgs,
}

#[derive(Args)]
pub struct ChatArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub generate: GenerateArgs,
}

#[derive(Args)]
pub struct TokenizeArgs {
    /// The GGUF file; a vocabulary alone is enough.
    pub model: PathBuf,
    /// The text; `-` or nothing reads standard input.
    #[arg(conflicts_with = "file")]
    pub text: Option<String>,
    /// Read the text from a file (at most 64 MiB, as from standard input).
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Print the ids on one line.
    #[arg(long, conflicts_with = "json")]
    pub ids: bool,
    /// Print the ids as a JSON array.
    #[arg(long)]
    pub json: bool,
    /// Add the begin and end tokens that the file asks for, and read control tokens such as <|im_start|> as such.
    #[arg(long)]
    pub special: bool,
}

#[derive(Args)]
pub struct LogitsArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The token ids, separated by commas.
    #[arg(long, value_delimiter = ',', required = true)]
    pub tokens: Vec<u32>,
    /// Where to write little-endian f32, row-major [positions, vocab]; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// No notes about the model and the output.
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Args)]
pub struct PerplexityArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The text; `-` reads standard input. With --kl-base the saved tokens will do.
    #[arg(short, long, value_name = "FILE", required_unless_present = "kl_base")]
    pub file: Option<PathBuf>,
    /// Tokens in a window, of which the second half counts [default: 512, or that of --kl-base].
    #[arg(short, long, value_name = "TOKENS")]
    pub ctx: Option<usize>,
    /// Save the logits, for --kl-base: 4 bytes x vocabulary for each token that counts.
    #[arg(long, value_name = "FILE")]
    pub save_logits: Option<PathBuf>,
    /// Compare with the logits that another model (in F16, say) has saved for this text.
    #[arg(long, value_name = "FILE")]
    pub kl_base: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// No notes about the model and the speed.
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Args)]
pub struct EvalArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The questions: one JSON object a line, with `prompt` and either `answer` (a text) or `regex`, and perhaps
    /// `task`, the group to count it in. `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub tasks: PathBuf,
    /// Questions answered at the same time. It changes nothing but the time.
    #[arg(short, long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub batch: u16,
    /// Most tokens of an answer, reasoning included.
    #[arg(short = 'n', long, visible_alias = "n-predict", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_tokens: u32,
    /// Positions of the context [default: what the model was trained for].
    #[arg(short, long, value_name = "TOKENS")]
    pub ctx: Option<usize>,
    #[command(flatten)]
    pub template: TemplateArgs,
    /// Ask only the first so many questions of each group.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Show the questions that were answered wrong.
    #[arg(long)]
    pub show_wrong: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// No notes about the model and the speed.
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Args)]
pub struct QuantizeArgs {
    /// The GGUF file, in F32, F16 or BF16; of a split file any part.
    pub input: PathBuf,
    /// The file to be made; `-` is standard output.
    pub output: PathBuf,
    #[arg(long = "type", value_name = "TYPE", value_parser = quant_type, help = quant_help())]
    pub to: QuantType,
    /// Threads [default: physical cores that this process may use].
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    #[arg(long, env = "HEWN_ISA", value_name = "NAME", help = isa_help())]
    pub isa: Option<String>,
    /// Every matrix in the one format, without the mix's exceptions.
    #[arg(long)]
    pub pure: bool,
    /// Accept a file that is quantized already; the result is worse than from the original.
    #[arg(long)]
    pub allow_requantize: bool,
}

fn quant_help() -> String {
    let names = QuantType::all().map(QuantType::name).collect::<Vec<_>>().join(", ");
    format!("Number format or mix: {names}; Q4_K_M is the usual choice")
}

fn quant_type(text: &str) -> Result<QuantType, String> {
    let names = || QuantType::all().map(QuantType::name).collect::<Vec<_>>().join(", ");
    QuantType::from_name(text).ok_or_else(|| format!("it must be one of {}", names()))
}

#[derive(Args)]
pub struct InspectArgs {
    /// The GGUF file [default: the model in the program].
    pub model: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// List the tensors.
    #[arg(long)]
    pub tensors: bool,
    /// Context to compute the memory for [default: 4096, or what the model was trained for if that is less].
    #[arg(short, long, value_name = "TOKENS")]
    pub ctx: Option<usize>,
    /// Cache format to compute the memory for.
    #[arg(long, value_enum, default_value = "f16")]
    pub kv: Kv,
    /// Prompt tokens computed at once, for the memory of a step.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub chunk: u32,
    /// Read the file into memory instead of mapping it.
    #[arg(long)]
    pub no_mmap: bool,
    #[command(flatten)]
    pub change: ChangeArgs,
}

#[derive(Args)]
pub struct PackArgs {
    /// The GGUF file.
    pub model: PathBuf,
    /// Where to write it; beside the model it is found again [default: MODEL.hewnpack].
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Make it anew even if there is a valid one.
    #[arg(long)]
    pub force: bool,
}

#[derive(Args)]
pub struct CacheArgs {
    #[command(subcommand)]
    pub command: CacheCommand,
}

#[derive(Subcommand)]
pub enum CacheCommand {
    /// List the packed files, the least recently used first.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove packed files: all, or those of these names or model names.
    Clear {
        /// As `hewn cache list` shows them.
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
}

#[derive(Args)]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: Shell,
}

#[derive(Args)]
pub struct ManArgs {
    /// Write one page a subcommand into this folder instead.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `ID+BIAS` or `ID-BIAS`.
fn logit_bias(text: &str) -> Result<(u32, f32), String> {
    let at = text.find(['+', '-']).ok_or("expected TOKEN_ID+BIAS or TOKEN_ID-BIAS, such as 15043-1.5")?;
    let id = text[..at].parse().map_err(|_| format!("`{}` is not a token id", &text[..at]))?;
    let bias: f32 = text[at..].parse().map_err(|_| format!("`{}` is not a number", &text[at..]))?;
    Ok((id, bias))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn biases_parse() {
        assert_eq!(logit_bias("15+1.5"), Ok((15, 1.5)));
        assert_eq!(logit_bias("15-inf"), Ok((15, f32::NEG_INFINITY)));
        assert!(logit_bias("15").is_err() && logit_bias("a+1").is_err() && logit_bias("1+x").is_err());
    }
}
