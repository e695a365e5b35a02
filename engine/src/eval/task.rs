//! Questions with known answers, and the file that holds them: one JSON object a line.
//!
//! ```text
//! {"task": "sums", "prompt": "What is 12 + 30?", "answer": "42"}
//! {"task": "colours", "prompt": "Name a primary colour.", "regex": "(?i)^(red|blue|yellow)\\b"}
//! ```
//!
//! `prompt` and one of `answer` and `regex` are needed; other keys (an `id`, a source) are nobody's business here.
//! Blank lines are skipped. A file is read line by line and refused where it gets too long, whatever it is.

use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use std::io::{self, BufRead, Read};

/// Bytes of a line.
pub const LINE_LIMIT: usize = 1 << 20;
/// Bytes of a file of questions.
pub const FILE_LIMIT: usize = 64 << 20;
/// Bytes that a compiled expression may take: what is larger repeats large classes thousands of times.
const REGEX_LIMIT: usize = 1 << 20;

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The group that it is counted in; may be empty.
    pub group: String,
    /// What is asked, without a chat template.
    pub prompt: String,
    /// What a right answer is.
    pub want: Want,
}

/// What a right answer is. An answer is what comes after the reasoning, without white space at its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// This text and nothing else.
    Exact(String),
    /// A text in which this expression matches somewhere.
    Pattern(Pattern),
}

/// A regular expression in the syntax of the crate `regex` that is known to compile. It is kept as text and compiled
/// for each answer: compiled ones are large, and a file may hold many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Checks an expression.
    ///
    /// # Errors
    /// It is no expression, or a very large one.
    pub fn new(text: &str) -> Result<Self, regex::Error> {
        compile(text).map(|_| Self(text.to_owned()))
    }

    /// The expression.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn compile(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).size_limit(REGEX_LIMIT).build()
}

impl Want {
    /// Whether an answer is right.
    pub fn accepts(&self, answer: &str) -> bool {
        match self {
            Self::Exact(text) => answer.trim() == text.trim(),
            // What compiled once compiles again.
            Self::Pattern(p) => compile(&p.0).is_ok_and(|r| r.is_match(answer.trim())),
        }
    }

    /// The text or the expression, to be shown.
    pub fn text(&self) -> &str {
        match self {
            Self::Exact(text) => text,
            Self::Pattern(p) => p.as_str(),
        }
    }
}

/// Why a file of questions was refused.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct TaskError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: TaskFault,
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskFault {
    /// It cannot be read.
    #[error("{0}")]
    Read(io::Error),
    /// It is too long to be a question.
    #[error("longer than {} bytes", LINE_LIMIT)]
    LineLength,
    /// With it, the file is too long.
    #[error("the file is longer than {} MiB", FILE_LIMIT >> 20)]
    FileLength,
    /// It is no JSON object with these keys.
    #[error("{reason} (column {column})")]
    Json {
        /// The parser's word.
        reason: String,
        /// Where, in bytes from 1.
        column: usize,
    },
    /// It has both or neither of `answer` and `regex`.
    #[error("it must have one of `answer` and `regex`")]
    OneWant,
    /// A text of which something is expected has nothing in it.
    #[error("`{0}` is empty")]
    Empty(&'static str),
    /// Its expression does not compile.
    #[error("`regex`: {0}")]
    Regex(String),
    /// The file ends without a question.
    #[error("there is no question")]
    None,
}

#[derive(Deserialize)]
struct Line {
    prompt: String,
    answer: Option<String>,
    regex: Option<String>,
    #[serde(default)]
    task: String,
}

/// Reads a file of questions.
///
/// # Errors
/// The first line that is not one, reading, or more than a file of questions can be. At least one question.
pub fn read_tasks(mut input: impl BufRead) -> Result<Vec<Task>, TaskError> {
    let (mut tasks, mut bytes, mut total) = (Vec::new(), Vec::new(), 0);
    for line in 1.. {
        let fail = |fault| Err(TaskError { line, fault });
        bytes.clear();
        match (&mut input).take(LINE_LIMIT as u64 + 1).read_until(b'\n', &mut bytes) {
            Ok(0) if tasks.is_empty() => return fail(TaskFault::None),
            Ok(0) => break,
            Ok(n) => total += n,
            Err(e) => return fail(TaskFault::Read(e)),
        }
        if bytes.len() > LINE_LIMIT {
            return fail(TaskFault::LineLength);
        }
        if total > FILE_LIMIT {
            return fail(TaskFault::FileLength);
        }
        // Some editors put a mark in front of UTF-8.
        let text = if line == 1 { bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes) } else { &bytes[..] };
        if text.trim_ascii().is_empty() {
            continue;
        }
        match task(text) {
            Ok(task) => tasks.push(task),
            Err(fault) => return fail(fault),
        }
    }
    Ok(tasks)
}

fn task(text: &[u8]) -> Result<Task, TaskFault> {
    // The parser would take an array for the fields in their order.
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err(TaskFault::Json { reason: "expected a JSON object".to_owned(), column: 1 });
    }
    let line: Line = serde_json::from_slice(text).map_err(|e| {
        // The parser's own position counts from this line.
        let reason = e.to_string();
        let at = format!(" at line {} column {}", e.line(), e.column());
        TaskFault::Json { reason: reason.strip_suffix(&at).unwrap_or(&reason).to_owned(), column: e.column() }
    })?;
    if line.prompt.trim().is_empty() {
        return Err(TaskFault::Empty("prompt"));
    }
    let want = match (line.answer, line.regex) {
        // No answer at all would be right.
        (Some(answer), None) if answer.trim().is_empty() => return Err(TaskFault::Empty("answer")),
        (Some(answer), None) => Want::Exact(answer.trim().to_owned()),
        (None, Some(regex)) => Want::Pattern(Pattern::new(&regex).map_err(|e| TaskFault::Regex(e.to_string()))?),
        _ => return Err(TaskFault::OneWant),
    };
    Ok(Task { group: line.task, prompt: line.prompt, want })
}

/// Keeps the first `n` questions of each group.
pub fn limit(tasks: &mut Vec<Task>, n: usize) {
    let mut seen = std::collections::HashMap::<String, usize>::new();
    tasks.retain(|task| {
        let count = seen.entry(task.group.clone()).or_default();
        *count += 1;
        *count <= n
    });
}
