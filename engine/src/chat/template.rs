//! The chat template of a file (Jinja, as published with the model), rendered within limits.
//!
//! Configured as the hub's Python reference is: `trim_blocks`, `lstrip_blocks`, loop controls, string methods, and the
//! functions `raise_exception` and `strftime_now`. A template sees its variables and nothing else; it is bounded in
//! steps, in output and in recursion.

use super::json;
use super::tags::neutralise_generation;
use chrono::NaiveDateTime;
use hewn_loader::{Gguf, LoadError};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::sync::Arc;

/// Instructions a rendering may take: thousands of times what a long conversation needs.
const FUEL: u64 = 20_000_000;
/// Nested calls, includes and macros.
const RECURSION: usize = 100;
/// Bytes a rendering may write.
const MAX_OUTPUT: usize = 64 << 20;
/// Bytes of a template.
const MAX_SOURCE: usize = 1 << 20;

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
}

impl ChatTemplate {
    /// Parses a template.
    ///
    /// # Errors
    /// It does not parse, or is longer than any real template.
    pub fn new(source: &str) -> Result<Self, TemplateError> {
        if source.len() > MAX_SOURCE {
            return Err(TemplateError::Limit("it is longer than 1 MiB"));
        }
        let source: Arc<str> = neutralise_generation(source).into();
        environment(None).and_then(|env| env.template_from_str(&source).map(|_| ())).map_err(|e| {
            let line = e.line().map_or(String::new(), |l| format!(" (line {l})"));
            TemplateError::Syntax { reason: format!("{}{line}", e.detail().unwrap_or("syntax error")) }
        })?;
        Ok(Self { source })
    }

    /// Renders a conversation.
    ///
    /// # Errors
    /// The template refuses it, fails, or runs into a limit.
    pub fn render(&self, input: &RenderInput<'_>) -> Result<String, TemplateError> {
        let mut out = Bounded { text: Vec::new(), full: false };
        let result = environment(input.now).and_then(|env| {
            let template = env.template_from_named_str("chat template", &self.source)?;
            template.render_captured_to(variables(input), &mut out).map(|_| ())
        });
        match result {
            Ok(()) => String::from_utf8(out.text).map_err(|e| TemplateError::Render { reason: e.to_string() }),
            Err(_) if out.full => Err(TemplateError::Limit("its output exceeds 64 MiB")),
            Err(e) => Err(explain(&e)),
        }
    }
}

/// The template that a file carries, if any.
///
/// # Errors
/// The key is not a string.
pub fn template_from_gguf(gguf: &Gguf) -> Result<Option<String>, LoadError> {
    Ok(gguf.metadata().str("tokenizer.chat_template")?.map(str::to_owned))
}

fn variables(input: &RenderInput<'_>) -> Value {
    let mut vars: Vec<(String, Value)> = vec![
        ("messages".into(), Value::from(Serde(input.messages))),
        ("add_generation_prompt".into(), input.add_generation_prompt.into()),
        ("bos_token".into(), input.bos_token.into()),
        ("eos_token".into(), input.eos_token.into()),
    ];
    // Templates ask `tools is not none` as well as `if tools`.
    vars.push(("tools".into(), input.tools.as_ref().map_or(Value::from(()), |t| Value::from(Serde(t)))));
    vars.extend(input.extra.iter().map(|(k, v)| (k.clone(), Value::from(Serde(v)))));
    Value::from_pairs(vars)
}

fn environment<'s>(now: Option<NaiveDateTime>) -> Result<Environment<'s>, Error> {
    let mut env = Environment::new();
    env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(RECURSION);
    env.set_formatter(format_like_python);
    env.add_filter("tojson", json::filter);
    env.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message).with_source(Raised))
    });
    env.add_function("strftime_now", move |format: String| -> Result<String, Error> {
        use std::fmt::Write as _;
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
        if cause.is::<Raised>() {
            return TemplateError::Raised(last.detail().unwrap_or_default().to_owned());
        }
        chain = cause.source();
    }
    let line = last.line().or(e.line()).map_or(String::new(), |l| format!(" (line {l})"));
    let detail = last.detail().map_or_else(|| last.kind().to_string(), |d| format!("{}: {d}", last.kind()));
    TemplateError::Render { reason: format!("{detail}{line}") }
}

/// Prints values as Python's `str` does where Jinja templates depend on it.
fn format_like_python(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let word = match value.kind() {
        ValueKind::None => "None",
        ValueKind::Bool if value.is_true() => "True",
        ValueKind::Bool => "False",
        _ => return minijinja::escape_formatter(out, state, value),
    };
    out.write_str(word).map_err(Error::from)
}

/// Output up to a limit.
struct Bounded {
    text: Vec<u8>,
    full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() > MAX_OUTPUT {
            self.full = true;
            return Err(io::Error::other("output limit"));
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str) -> Result<String, TemplateError> {
        let messages = [Message::new("user", "hi <b>"), Message::new("assistant", "yes")];
        let input = RenderInput { messages: &messages, bos_token: "<s>", ..RenderInput::default() };
        ChatTemplate::new(source)?.render(&input)
    }

    #[test]
    fn renders_like_the_reference() {
        assert_eq!(
            render("{{ bos_token }}{% for m in messages %}\n{{ m.role }}: {{ m['content'] }};{% endfor %}").unwrap(),
            "<s>user: hi <b>;assistant: yes;"
        );
        assert_eq!(render("{{ messages[0] | tojson }}").unwrap(), r#"{"role": "user", "content": "hi <b>"}"#);
        assert_eq!(render("{{ [1, true, none] | tojson(indent=2) }}").unwrap(), "[\n  1,\n  true,\n  null\n]");
        assert_eq!(render("{{ none }} {{ true }}").unwrap(), "None True");
        assert_eq!(render("{{ ' a '.strip() + 'b-c'.split('-')[1] }}").unwrap(), "ac");
        assert_eq!(
            render("{% generation %}x{% endgeneration %}{{ '{% generation %}' }}").unwrap(),
            "x{% generation %}"
        );
        assert_eq!(
            render("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}").unwrap(),
            "01"
        );
    }

    #[test]
    fn time_is_what_it_is_told() {
        let now = NaiveDateTime::parse_from_str("2026-01-02T03:04:05", "%Y-%m-%dT%H:%M:%S").ok();
        let t = ChatTemplate::new("{{ strftime_now('%d %b %Y') }}").unwrap();
        assert_eq!(t.render(&RenderInput { now, ..RenderInput::default() }).unwrap(), "02 Jan 2026");
        let bad = ChatTemplate::new("{{ strftime_now('%Q%') }}").unwrap();
        assert!(matches!(bad.render(&RenderInput::default()), Err(TemplateError::Render { .. })));
    }

    #[test]
    fn limits_hold() {
        let endless = "{% for a in range(10000) %}{% for b in range(10000) %}{% for c in range(10000) %}{% endfor %}{% endfor %}{% endfor %}";
        assert!(matches!(render(endless), Err(TemplateError::Limit(_))));
        let big = "{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(18) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{% for i in range(100) %}{{ ns.s }}{% endfor %}";
        assert_eq!(render(big), Err(TemplateError::Limit("its output exceeds 64 MiB")));
        let deep = "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}";
        assert!(matches!(render(deep), Err(TemplateError::Render { .. })));
        assert!(matches!(ChatTemplate::new(&"x".repeat(MAX_SOURCE + 1)), Err(TemplateError::Limit(_))));
    }

    #[test]
    fn errors_say_what_and_where() {
        assert_eq!(
            render("{{ raise_exception('no system role') }}"),
            Err(TemplateError::Raised("no system role".into()))
        );
        assert!(
            matches!(ChatTemplate::new("\n{% if %}"), Err(TemplateError::Syntax { reason }) if reason.contains("line 2"))
        );
        assert!(matches!(render("{{ nothing.at.all }}"), Err(TemplateError::Render { .. })));
        assert!(render("{% include '/etc/passwd' %}").is_err());
        assert!(render(&"{% if true %}".repeat(20_000)).is_err());
    }
}
