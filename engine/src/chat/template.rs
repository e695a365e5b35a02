//! The chat template of a file (Jinja, as published with the model), rendered within limits.
//!
//! Configured as the hub's Python reference is: `trim_blocks`, `lstrip_blocks`, loop controls, string methods, and the
//! functions `raise_exception` and `strftime_now`. A template sees its variables and nothing else; it is bounded in
//! steps, in output and in recursion.

use super::bounds::{self, Bounded, Reached};
use super::guard::TEXT;
use super::prepare::{BOUND, BOUND_ATTR, prepare};
use super::{builtins, python};
use chrono::NaiveDateTime;
use hewn_loader::{Gguf, LoadError};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, Error, ErrorKind, State};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Steps of a rendering whatever the conversation, a step being an instruction or 64 bytes of data. Published templates
/// take 30 to 190, up to 100 a message more, up to 24 for each 64 bytes of text.
const FUEL: u64 = 1_000_000;
/// Steps more for each message.
const FUEL_MESSAGE: u64 = 1_000;
/// Steps more for each 64 bytes of text.
const FUEL_TEXT: u64 = 100;
/// Nested calls, includes and macros.
const RECURSION: usize = 100;
/// Bytes of a format for dates.
const MAX_DATE_FORMAT: usize = 1 << 10;
/// Bytes of a template: several times the longest published.
const MAX_SOURCE: usize = 128 << 10;
/// Stack for parsing and rendering. The engine recurses over chains of tags and over values; what the limits above and
/// in `bounds` and `prepare` let through needs a fraction of this (of which only the used part takes memory).
const STACK: usize = 128 << 20;

/// One message of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant`, `tool`, or whatever the template knows.
    pub role: String,
    /// The text.
    pub content: String,
    /// Further fields that templates look at, such as `tool_calls` or `reasoning_content`.
    #[serde(flatten)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl Message {
    /// A message without further fields.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into(), extra: serde_json::Map::new() }
    }
}

/// What a template is rendered with.
#[derive(Clone, Debug, Default)]
pub struct RenderInput<'a> {
    /// The conversation.
    pub messages: &'a [Message],
    /// Tools offered to the model, as JSON.
    pub tools: Option<serde_json::Value>,
    /// End with the beginning of the assistant's answer.
    pub add_generation_prompt: bool,
    /// Text of the beginning-of-text token.
    pub bos_token: &'a str,
    /// Text of the end-of-text token.
    pub eos_token: &'a str,
    /// Further variables, such as `enable_thinking`.
    pub extra: serde_json::Map<String, serde_json::Value>,
    /// The time that the template is told; the system's local time when not given.
    pub now: Option<NaiveDateTime>,
}

/// Why a template cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TemplateError {
    /// It is not a template.
    #[error("the chat template does not parse: {reason}")]
    Syntax {
        /// The parser's word, with the line.
        reason: String,
    },
    /// It asks for another template; a file carries one.
    #[error("the chat template uses `{0}`, but there is no other template")]
    OtherTemplates(&'static str),
    /// The template refuses the conversation (`raise_exception`).
    #[error("the chat template refuses this conversation: {0}")]
    Raised(String),
    /// It ran into a limit.
    #[error("the chat template was stopped: {0}")]
    Limit(&'static str),
    /// Anything else that went wrong while rendering.
    #[error("the chat template failed: {reason}")]
    Render {
        /// What and where.
        reason: String,
    },
}

/// A parsed template.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    source: Arc<str>,
    variables: serde_json::Map<String, serde_json::Value>,
}

impl ChatTemplate {
    /// Parses a template.
    ///
    /// # Errors
    /// It does not parse, or is longer than any real template.
    pub fn new(source: &str) -> Result<Self, TemplateError> {
        if source.len() > MAX_SOURCE {
            return Err(TemplateError::Limit("it is longer than 128 KiB"));
        }
        let source: Arc<str> = prepare(source)?.into();
        on_large_stack(|| {
            environment(None, 0).and_then(|env| env.template_from_str(&source).map(|_| ())).map_err(|e| {
                let line = e.line().map_or(String::new(), |l| format!(" (line {l})"));
                TemplateError::Syntax { reason: format!("{}{line}", e.detail().unwrap_or("syntax error")) }
            })
        })?;
        Ok(Self { source, variables: serde_json::Map::new() })
    }

    /// The same with variables that it sees in every rendering, such as `enable_thinking`; what a rendering itself is given
    /// counts before them.
    #[must_use]
    pub fn with_variables(self, variables: serde_json::Map<String, serde_json::Value>) -> Self {
        Self { variables, ..self }
    }

    /// Renders a conversation.
    ///
    /// # Errors
    /// The template refuses it, fails, or runs into a limit.
    pub fn render(&self, input: &RenderInput<'_>) -> Result<String, TemplateError> {
        on_large_stack(|| self.render_here(input))
    }

    fn render_here(&self, input: &RenderInput<'_>) -> Result<String, TemplateError> {
        let mut out = Bounded::default();
        let bytes: usize = input.messages.iter().map(|m| m.role.len() + m.content.len()).sum();
        let fuel = FUEL + FUEL_MESSAGE * input.messages.len() as u64 + FUEL_TEXT * (bytes / 64) as u64;
        let result = environment(input.now, fuel).and_then(|env| {
            let template = env.template_from_named_str("chat template", &self.source)?;
            template.render_captured_to(self.variables(input), &mut out).map(|_| ())
        });
        match result {
            Ok(()) => String::from_utf8(out.text).map_err(|e| TemplateError::Render { reason: e.to_string() }),
            Err(_) if out.full => Err(TemplateError::Limit("its output exceeds 64 MiB")),
            Err(e) => Err(explain(&e)),
        }
    }

    fn variables(&self, input: &RenderInput<'_>) -> Value {
        let value = |v: &serde_json::Value| Value::from(Serde(v));
        let mut vars: Vec<(String, Value)> = self.variables.iter().map(|(k, v)| (k.clone(), value(v))).collect();
        vars.extend([
            ("messages".into(), Value::from(Serde(input.messages))),
            ("add_generation_prompt".into(), input.add_generation_prompt.into()),
            ("bos_token".into(), input.bos_token.into()),
            ("eos_token".into(), input.eos_token.into()),
        ]);
        // Templates ask `tools is not none` as well as `if tools`.
        vars.push(("tools".into(), input.tools.as_ref().map_or(Value::from(()), value)));
        vars.extend(input.extra.iter().map(|(k, v)| (k.clone(), value(v))));
        // Of two with one name, the later.
        Value::from_pairs(vars)
    }
}

/// Runs `f` on a thread of its own with a stack of a known size; a panic there is an error here.
fn on_large_stack<T: Send>(f: impl FnOnce() -> Result<T, TemplateError> + Send) -> Result<T, TemplateError> {
    let failed = |reason: String| TemplateError::Render { reason };
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("chat template".into())
            .stack_size(STACK)
            .spawn_scoped(scope, f)
            .map_err(|e| failed(format!("no thread to render on: {e}")))?
            .join()
            .unwrap_or_else(|_| Err(failed("the template engine panicked".into())))
    })
}

/// The template that a file carries, if any.
///
/// # Errors
/// The key is not a string.
pub fn template_from_gguf(gguf: &Gguf) -> Result<Option<String>, LoadError> {
    // Converters of RWKV's models write that name where they have no template.
    let template = gguf.metadata().str("tokenizer.chat_template")?.filter(|t| *t != "rwkv-world");
    Ok(template.map(str::to_owned))
}

fn environment<'s>(now: Option<NaiveDateTime>, fuel: u64) -> Result<Environment<'s>, Error> {
    let mut env = Environment::new();
    env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    builtins::add(&mut env);
    env.set_fuel(Some(fuel));
    env.set_recursion_limit(RECURSION);
    env.set_formatter(python::format);
    env.add_filter(BOUND, |state: &State, value: Value| bounds::check(state, &value).map(|()| value));
    env.add_filter(BOUND_ATTR, |state: &State, value: Value| bounds::check_attr(state, &value).map(|()| value));
    env.add_filter(TEXT, python::text);
    env.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message).with_source(Raised))
    });
    env.add_function("strftime_now", move |format: String| -> Result<String, Error> {
        use std::fmt::Write as _;
        if format.len() > MAX_DATE_FORMAT {
            return Err(bounds::reached("the format of a date is longer than 1 KiB"));
        }
        let now = now.unwrap_or_else(|| chrono::Local::now().naive_local());
        let mut text = String::new();
        // An unknown directive is an error of the formatter, not of the process.
        write!(text, "{}", now.format(&format))
            .map_err(|_| Error::new(ErrorKind::InvalidOperation, format!("strftime_now: bad format `{format}`")))?;
        Ok(text)
    });
    Ok(env)
}

/// Marks an error as the template's own.
#[derive(Debug)]
struct Raised;

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("raised by the template")
    }
}

impl std::error::Error for Raised {}

fn explain(e: &Error) -> TemplateError {
    // The cause may sit below errors that only say where it happened.
    let mut chain: Option<&dyn std::error::Error> = Some(e);
    let mut last: &Error = e;
    while let Some(cause) = chain {
        if let Some(inner) = cause.downcast_ref::<Error>() {
            if inner.kind() == ErrorKind::OutOfFuel {
                return TemplateError::Limit("it takes too many steps");
            }
            last = inner;
        }
        if let Some(limit) = cause.downcast_ref::<Reached>() {
            return TemplateError::Limit(limit.0);
        }
        if cause.is::<Raised>() {
            return TemplateError::Raised(last.detail().unwrap_or_default().to_owned());
        }
        chain = cause.source();
    }
    let line = last.line().or(e.line()).map_or(String::new(), |l| format!(" (line {l})"));
    let detail = last.detail().map_or_else(|| last.kind().to_string(), |d| format!("{}: {d}", last.kind()));
    TemplateError::Render { reason: format!("{detail}{line}") }
}
