//! Failures as the user sees them: one line of cause, one line of hint, an exit code.

use crate::interrupt;
use crate::output::{harmless, tell};
use hewn_engine::EngineError;
use hewn_engine::chat::TemplateError;
use hewn_engine::embed::EmbedError;
use hewn_engine::eval::EvalError;
use hewn_engine::loader::{LoadError, SplitFault};
use hewn_engine::packed::PackError;
use hewn_engine::perplexity::PerplexityError;
use hewn_engine::quantize::QuantizeError;
use hewn_engine::tokenizer::TokenizerError;
use std::fmt::Display;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// A failure.
#[derive(Debug)]
pub struct CliError {
    cause: String,
    hint: String,
    code: u8,
}

impl CliError {
    /// Something went wrong: exit code 1.
    pub fn failure(cause: impl Display, hint: impl Into<String>) -> Self {
        Self { cause: cause.to_string(), hint: hint.into(), code: 1 }
    }

    /// It was called wrongly: exit code 2.
    pub fn usage(cause: impl Display, hint: impl Into<String>) -> Self {
        Self { code: 2, ..Self::failure(cause, hint) }
    }

    /// Ctrl-C: no failure to explain, but the shell's customary exit code.
    pub fn interrupted() -> Self {
        Self { code: interrupt::exit_code(), ..Self::failure("interrupted", "") }
    }

    /// A file that cannot be read or written.
    pub fn file(what: &str, path: &Path, e: &io::Error) -> Self {
        Self::failure(format!("cannot {what} {}: {e}", path.display()), remedy(e, "check the path and its permissions"))
    }

    /// The same with more to the hint.
    pub fn hint_also(self, more: &str) -> Self {
        Self { hint: format!("{}; {more}", self.hint), ..self }
    }

    /// The same for a command that has --layout where others have --pack.
    pub fn of_layouts(self) -> Self {
        Self { hint: self.hint.replace("--pack off", "--layout file"), ..self }
    }

    /// The same, with what it was about.
    pub fn about(self, what: impl Display) -> Self {
        Self { cause: format!("{what}: {}", self.cause), ..self }
    }

    /// Prints it. A reader that went away (`hewn ... | head`) is no failure.
    pub fn report(&self) -> ExitCode {
        // Nor is a signal one.
        if self.code == 0 || self.code > 128 {
            return ExitCode::from(self.code);
        }
        let style = anstyle::AnsiColor::Red.on_default().bold();
        let hint = anstyle::AnsiColor::Cyan.on_default();
        // One line each, whatever a library or a file put into its message.
        let line = |s: &str| harmless(&s.split_whitespace().collect::<Vec<_>>().join(" "));
        tell(format_args!("{style}error:{style:#} {}", line(&self.cause)));
        tell(format_args!("{hint}hint:{hint:#} {}", line(&self.hint)));
        ExitCode::from(self.code)
    }
}

/// What helps with an error of the system, where that tells; otherwise what usually does.
fn remedy(e: &io::Error, usual: &'static str) -> &'static str {
    match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on the disk, or choose another folder",
        io::ErrorKind::FileTooLarge => "choose another folder, or raise the limit on the size of files",
        io::ErrorKind::ReadOnlyFilesystem => "choose another folder",
        io::ErrorKind::OutOfMemory => "close other programs, or use a smaller file",
        _ => usual,
    }
}

impl From<io::Error> for CliError {
    fn from(e: io::Error) -> Self {
        let code = u8::from(e.kind() != io::ErrorKind::BrokenPipe);
        let hint = remedy(&e, "check where the output goes");
        Self { code, ..Self::failure(format!("cannot write the output: {e}"), hint) }
    }
}

impl From<LoadError> for CliError {
    fn from(e: LoadError) -> Self {
        let hint = match &e {
            LoadError::Io { source, .. } => remedy(source, "check the path and its permissions"),
            LoadError::Magic { .. } => "the model must be a GGUF file",
            LoadError::Truncated { .. } | LoadError::OutOfFile { .. } | LoadError::Count { .. } => {
                "the download may be incomplete; compare the file's size with its source"
            }
            LoadError::BigEndian(_) => "get the little-endian file",
            LoadError::Part { source, .. } if matches!(**source, LoadError::BigEndian(_)) => {
                "get the little-endian file"
            }
            LoadError::Split { fault: SplitFault::Missing { .. }, .. } => "all parts must be in the same folder",
            LoadError::Split { .. } => "get all parts again from the same source, and keep their names",
            _ => "the file is damaged or was written by a faulty tool; get it again from its source",
        };
        Self::failure(e, hint)
    }
}

impl From<EngineError> for CliError {
    fn from(e: EngineError) -> Self {
        let hint = match e {
            EngineError::Load(e) => return e.into(),
            // Where a model is opened, its packed file can be done without.
            EngineError::Pack(e) => {
                let avoidable = matches!(e, PackError::Space { .. } | PackError::Io { .. } | PackError::Limit { .. });
                let e = Self::from(e);
                return if avoidable { e.hint_also("or run with --pack off") } else { e };
            }
            EngineError::VocabularyOnly => "`hewn tokenize` takes such a file; to run the model, get its whole file",
            EngineError::Adapter { .. } => {
                "`hewn inspect ADAPTER` shows what it is for; the model must be the one it was made for"
            }
            EngineError::IsAdapter { .. } => {
                "name the model that it was made for, and give this file with --lora: `hewn run MODEL --lora FILE`"
            }
            EngineError::Cancelled => return Self::interrupted(),
            EngineError::Architecture { .. } | EngineError::UnexpectedTensor { .. } => {
                "`hewn inspect` shows what the file holds"
            }
            EngineError::TensorFormat { .. } => "get the model in one of these formats, for example Q4_K_M",
            EngineError::Context { .. } => "shorten the prompt or raise --ctx",
            EngineError::NoLogits { .. } => "`hewn embed MODEL TEXT...` makes vectors of texts",
            EngineError::WholeText { .. } => "shorten the text or raise --chunk",
            EngineError::Memory { .. } => "lower --ctx or --chunk, try --kv q8_0, or use a smaller model",
            EngineError::NonFinite { .. } => "try --kv f32; if that does not help, get the file again",
            EngineError::Isa(_) => "leave out --isa and HEWN_ISA to use the best one",
            EngineError::Option { .. } | EngineError::Sampler(_) => {
                return Self::usage(e, "give another value, or leave the option out for its default");
            }
            EngineError::Token { .. } => "`hewn inspect` shows the size of the vocabulary",
            EngineError::Team(_) => "try again with fewer --threads; if it stays, it is a bug in hewn",
            _ => "`hewn inspect` shows what the file holds; the file may be damaged",
        };
        Self::failure(e, hint)
    }
}

impl From<PackError> for CliError {
    fn from(e: PackError) -> Self {
        let hint = match &e {
            PackError::Cancelled => return Self::interrupted(),
            PackError::Space { .. } => "make room, or set HEWN_CACHE_DIR to another disk",
            PackError::Limit { .. } => "raise HEWN_CACHE_LIMIT, or pack beside the model with `hewn pack`",
            PackError::NotAPack(_) => "choose another file with -o, or remove this one",
            PackError::Nothing => "it runs as it is; only block formats such as Q4_K_M gain from packing",
            PackError::Io { source, .. } => remedy(source, "check the path and its permissions"),
            PackError::NoPlace => "set HEWN_CACHE_DIR to a folder, or pack beside the model with `hewn pack`",
            _ => "make it again with `hewn pack --force`",
        };
        Self::failure(e, hint)
    }
}

impl From<QuantizeError> for CliError {
    fn from(e: QuantizeError) -> Self {
        let hint = match e {
            QuantizeError::Load(e) => return e.into(),
            QuantizeError::Cancelled => return Self::interrupted(),
            QuantizeError::Quantized { .. } => "quantize the F16 or BF16 file, or allow it with --allow-requantize",
            QuantizeError::NonFinite { .. } => "get the file again from its source",
            QuantizeError::Range { .. } => "choose --type BF16 or F32",
            QuantizeError::Write(ref e) => remedy(e, "check that there is room on the disk"),
            QuantizeError::Team(_) => "try again with fewer --threads; if it stays, it is a bug in hewn",
            _ => "`hewn inspect` shows what the file holds",
        };
        Self::failure(e, hint)
    }
}

impl From<PerplexityError> for CliError {
    fn from(e: PerplexityError) -> Self {
        let hint = match e {
            PerplexityError::Engine(e) => return e.into(),
            PerplexityError::Window { .. } => return Self::usage(e, "raise --ctx"),
            PerplexityError::TooShort { .. } => "use a longer text or a smaller --ctx",
            PerplexityError::Mismatch(_) => "save them again with --save-logits, for this text and --ctx",
            PerplexityError::Damaged(_) => "save them again with --save-logits",
            _ => "check the path, its permissions, and the room on the disk",
        };
        Self::failure(e, hint)
    }
}

impl From<EvalError> for CliError {
    fn from(e: EvalError) -> Self {
        let hint = match e {
            EvalError::Engine(e) => return e.into(),
            EvalError::Prompt { .. } => "shorten the question or raise --ctx",
            _ => "the model's chat template does not take this question",
        };
        Self::failure(e, hint)
    }
}

impl From<EmbedError> for CliError {
    fn from(e: EmbedError) -> Self {
        let hint = match e {
            EmbedError::Engine(e) => return e.into(),
            EmbedError::Pooling { .. } => {
                "choose one with --pooling, as the model's authors say; decoders mostly take last"
            }
            EmbedError::NoClassifier { .. } => "`hewn embed` makes vectors of texts, which can be compared",
            EmbedError::TooLong { .. } => "cut the text into parts, and embed each",
            EmbedError::Empty { .. } => "leave it out",
            _ => "`hewn inspect` shows what the file holds",
        };
        Self::failure(e, hint)
    }
}

impl From<TokenizerError> for CliError {
    fn from(e: TokenizerError) -> Self {
        Self::failure(e, "`hewn inspect` shows the vocabulary's kind; `hewn logits` runs without one")
    }
}

impl From<TemplateError> for CliError {
    fn from(e: TemplateError) -> Self {
        let hint = match e {
            TemplateError::Raised(_) => "leave out what it refuses (often the system message), or use --raw",
            _ => "`hewn run --raw` works without the template",
        };
        Self::failure(e, hint)
    }
}
