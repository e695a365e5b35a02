//! Lines from a terminal, with editing and history, or from a pipe; several make one message on request.

use crate::bounded;
use crate::errors::CliError;
use crate::output::note;
use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// Nobody types a line in so short a time.
const PASTED: Duration = Duration::from_millis(50);

/// Where messages come from.
pub enum Input {
    Terminal(Box<DefaultEditor>),
    Pipe(io::StdinLock<'static>),
}

/// What came.
pub enum Line {
    /// A message or a command.
    Text(String),
    /// An empty line.
    Nothing,
    /// What was typed was given up with Ctrl-C.
    GivenUp,
    /// The end of the input.
    End,
}

impl Input {
    /// The terminal when standard input is one.
    pub fn open() -> Result<Self, CliError> {
        if !io::stdin().is_terminal() {
            return Ok(Self::Pipe(io::stdin().lock()));
        }
        let config = Config::builder().auto_add_history(true).build();
        let editor = DefaultEditor::with_config(config).map_err(failed)?;
        Ok(Self::Terminal(Box::new(editor)))
    }

    /// Whether a person is typing.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    /// The next message: one line, or several joined by `\` or between `"""`.
    pub fn next(&mut self) -> Result<Line, CliError> {
        let Some(first) = self.line("> ")? else { return Ok(Line::End) };
        let Some(first) = first else { return Ok(Line::GivenUp) };
        let mut text = String::new();
        if let Some(rest) = first.trim_start().strip_prefix("\"\"\"") {
            let mut line = rest.to_owned();
            loop {
                if let Some(last) = line.trim_end().strip_suffix("\"\"\"") {
                    text.push_str(last);
                    break;
                }
                join(&mut text, &line)?;
                match self.line("\"  ")? {
                    Some(Some(next)) => line = next,
                    Some(None) => return Ok(Line::GivenUp),
                    None => break,
                }
            }
        } else {
            let mut line = first;
            while let Some(part) = line.strip_suffix('\\') {
                join(&mut text, part)?;
                match self.line(".. ")? {
                    Some(Some(next)) => line = next,
                    Some(None) => return Ok(Line::GivenUp),
                    None => line = String::new(),
                }
            }
            text.push_str(&line);
        }
        let text = text.trim();
        Ok(if text.is_empty() { Line::Nothing } else { Line::Text(text.to_owned()) })
    }

    /// A line: `None` at the end, `Some(None)` when given up.
    fn line(&mut self, prompt: &str) -> Result<Option<Option<String>>, CliError> {
        match self {
            Self::Terminal(editor) => read(editor, prompt),
            Self::Pipe(input) => Ok(bounded::line(input)?.map(Some)),
        }
    }
}

/// A line from the terminal. One wrong byte, typed or pasted, costs its line and not the conversation.
fn read(editor: &mut DefaultEditor, prompt: &str) -> Result<Option<Option<String>>, CliError> {
    let mut left_out = false;
    loop {
        let asked = Instant::now();
        match editor.readline(prompt) {
            // The rest of a pasted line.
            Ok(_) if left_out && asked.elapsed() < PASTED => left_out = false,
            Ok(line) => return Ok(Some(Some(line))),
            Err(ReadlineError::Interrupted) => return Ok(Some(None)),
            Err(ReadlineError::Eof) => return Ok(None),
            Err(ReadlineError::Io(e)) if e.kind() == io::ErrorKind::InvalidData => {
                if !left_out {
                    note("that line is not UTF-8 text, and is left out");
                }
                left_out = true;
            }
            Err(e) => return Err(failed(e)),
        }
    }
}

/// Appends a line of a message.
fn join(text: &mut String, line: &str) -> Result<(), CliError> {
    if text.len() + line.len() >= bounded::LIMIT {
        return Err(bounded::too_long("a message"));
    }
    text.push_str(line);
    text.push('\n');
    Ok(())
}

fn failed(e: ReadlineError) -> CliError {
    CliError::failure(format!("cannot read from the terminal: {e}"), "pipe the messages in, one a line")
}
