//! The state of a chat: messages, and the sequence that holds their keys and values.

use crate::args::{ChatArgs, Think};
use crate::errors::CliError;
use crate::outfile::{OutputFile, parts};
use crate::output::{Interrupt, Printer, closing_line, note};
use crate::{bounded, prompt, setup};
use hewn_engine::chat::{ChatTemplate, Message};
use hewn_engine::tokenizer::Tokenizer;
use hewn_engine::{EngineError, FinishReason, GenerateOptions, Runner, Sequence, Thinking, Timings, generate};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What helps where the conversation does not fit any more.
const ROOM: &str = "/forget drops its first message and answer, /undo the last ones, /reset all";

/// A conversation with everything that it needs.
pub struct Session<'a> {
    args: &'a ChatArgs,
    runner: Runner,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    seq: Sequence,
    interrupt: Interrupt,
    seed: u64,
    talk: Talk,
    last: Option<Timings>,
}

/// What is saved.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Talk {
    system: Option<String>,
    messages: Vec<Message>,
}

impl<'a> Session<'a> {
    /// Opens the model.
    pub fn open(args: &'a ChatArgs) -> Result<Self, CliError> {
        let interrupt = Interrupt::install()?;
        let mut runner = setup::runner(&args.model, args.generate.quiet)?;
        let tokenizer = setup::tokenizer(&runner)?;
        let Some(template) = setup::template(&runner, &tokenizer, &args.generate.template)? else {
            let hint = "`hewn run --raw` continues a text with any model";
            return Err(CliError::failure("the file has no chat template, nor marks of a known one", hint));
        };
        let seq = setup::sequence(&runner, &args.model, &args.generate)?;
        setup::speculate(&mut runner, &tokenizer, &args.model, &args.generate)?;
        let talk = Talk { system: args.generate.system.clone(), messages: Vec::new() };
        let seed = args.generate.seed.unwrap_or_else(setup::clock_seed);
        Ok(Self { args, runner, tokenizer, template, seq, interrupt, seed, talk, last: None })
    }

    /// Adds the user's message and answers it. A message that cannot be answered is taken back.
    pub fn say(&mut self, text: &str) -> Result<(), CliError> {
        self.talk.messages.push(Message::new("user", text));
        let answered = self.answer();
        if !matches!(answered, Ok(true)) {
            self.talk.messages.pop();
        }
        answered.map(drop)
    }

    /// Answers the last message once more.
    pub fn regenerate(&mut self) -> Result<(), CliError> {
        let Some(old) = self.talk.messages.pop_if(|m| m.role == "assistant") else {
            return Err(CliError::usage("there is no answer to replace", "say something first"));
        };
        self.seed = self.seed.wrapping_add(1);
        let answered = self.answer();
        if !matches!(answered, Ok(true)) {
            self.talk.messages.push(old);
        }
        answered.map(drop)
    }

    /// Whether there is an answer: there is none when it was stopped before its first word.
    fn answer(&mut self) -> Result<bool, CliError> {
        let g = &self.args.generate;
        let system = self.talk.system.iter().map(|s| Message::new("system", s));
        let messages: Vec<Message> = system.chain(self.talk.messages.iter().cloned()).collect();
        let prompt = prompt::chat(&self.tokenizer, &self.template, &messages)?;
        let options = GenerateOptions {
            max_tokens: g.max_tokens,
            // The seed moves on with every new answer to the same message.
            sampler: hewn_engine::sampler::SamplerOptions { seed: None, ..g.sampler() },
            seed: self.seed,
            stop: g.stop.clone(),
            think: Thinking { parse: true, opened: prompt.opened, budget: g.think_budget },
            ignore_eos: g.ignore_eos,
        };
        let mut printer = Printer::new(g, &self.interrupt.cancel);
        let (runner, tokenizer, seq) = (&mut self.runner, &self.tokenizer, &mut self.seq);
        let result = self.interrupt.guard(|cancel| {
            generate(runner, tokenizer, seq, &prompt.tokens, &options, cancel, &mut |e| printer.event(e))
        });
        printer.finish()?;
        let result = result.map_err(|e| match e {
            // Nothing can be given to a chat but commands.
            EngineError::Context { .. } => CliError::failure(e, format!("shorten the message, or make room: {ROOM}")),
            e => e.into(),
        })?;
        setup::tell_of_draft(&mut self.runner);
        self.last = Some(result.timings);
        if result.finish == FinishReason::Cancelled && result.text.is_empty() && result.reasoning.is_empty() {
            note("stopped before the answer began: nothing is added to the conversation");
            return Ok(false);
        }
        let mut message = Message::new("assistant", &result.text);
        if !result.reasoning.is_empty() {
            message.extra.insert("reasoning_content".into(), result.reasoning.clone().into());
        }
        self.talk.messages.push(message);
        match result.finish {
            FinishReason::ContextFull => note(&format!("the context is full: {ROOM}")),
            FinishReason::Cancelled => note("stopped"),
            _ if result.text.is_empty() && g.think == Think::Hide => note("there is reasoning, but no answer"),
            _ => {}
        }
        Ok(true)
    }

    /// Forgets everything but the system message.
    pub fn reset(&mut self) {
        self.talk.messages.clear();
        self.seq.truncate(0);
        note("the conversation is forgotten");
    }

    /// Takes back the last message of the user and what followed.
    pub fn undo(&mut self) -> Result<(), CliError> {
        let Some(last) = self.talk.messages.iter().rposition(|m| m.role == "user") else { return Err(nothing_said()) };
        self.talk.messages.truncate(last);
        note(&format!("{last} messages are left"));
        Ok(())
    }

    /// Forgets the first message of the user and what followed, up to the next one.
    pub fn forget(&mut self) -> Result<(), CliError> {
        let mut said = self.talk.messages.iter().enumerate().filter(|(_, m)| m.role == "user").map(|(i, _)| i);
        if said.next().is_none() {
            return Err(nothing_said());
        }
        let rest = said.next().unwrap_or(self.talk.messages.len());
        self.talk.messages.drain(..rest);
        note(&format!("{} messages are left", self.talk.messages.len()));
        Ok(())
    }

    /// Replaces the system message; it counts from the next answer on.
    pub fn set_system(&mut self, text: Option<String>) {
        note(if text.is_some() { "the system message is set" } else { "the system message is removed" });
        self.talk.system = text;
    }

    /// Speed and memory of the last answer.
    pub fn stats(&self) {
        match &self.last {
            Some(t) => {
                let used = format!("context {} of {} tokens", self.seq.len(), self.seq.ctx());
                note(&format!("{}; {used}; seed {}", closing_line(t), self.seed));
            }
            None => note("nothing was said yet"),
        }
    }

    /// Writes the conversation as JSON, whole or not at all.
    pub fn save(&self, path: &Path) -> Result<(), CliError> {
        let out = OutputFile::open(path, "where the conversation goes")?;
        out.must_not_be(parts(self.runner.model().gguf()).chain(self.args.generate.draft.as_deref()))?;
        let text = serde_json::to_string_pretty(&self.talk).map_err(|e| out.fail()(&e.into()))?;
        out.write_text(&(text + "\n"))?;
        note(&format!("{} messages saved to {}", self.talk.messages.len(), path.display()));
        Ok(())
    }

    /// Reads a conversation back; the present one stays when the file is not one.
    pub fn load(&mut self, path: &Path) -> Result<(), CliError> {
        let text = bounded::text_file(path)?;
        let talk: Talk = serde_json::from_str(&text).map_err(|e| {
            CliError::failure(format!("{} is no saved conversation: {e}", path.display()), "files are made with /save")
        })?;
        self.talk = talk;
        note(&format!("{} messages loaded from {}", self.talk.messages.len(), path.display()));
        Ok(())
    }
}

fn nothing_said() -> CliError {
    CliError::usage("there is no message to take back", "say something first")
}
