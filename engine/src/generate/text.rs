//! From tokens to text: whole characters, reasoning apart from the answer, stop strings, the budget of reasoning.

use super::{Event, FinishReason, GenerateOptions, Generation, Thinking, Timings};
use crate::chat::think::{Channel, ThinkParser};
use crate::text::{StopMatcher, Utf8Assembler};
use crate::tokenizer::{EncodeOptions, Tokenizer};
use std::collections::VecDeque;

/// The text and reasoning of tokens generated elsewhere, as [`generate`](super::generate) would have told them: without stop strings, an
/// end token at the end left out. The timings are empty.
pub(crate) fn assemble(tokenizer: &Tokenizer, think: Thinking, tokens: Vec<u32>, finish: FinishReason) -> Generation {
    let options = GenerateOptions { think: Thinking { budget: None, ..think }, ..GenerateOptions::default() };
    let mut on = |_: Event<'_>| {};
    let mut text = Text::new(tokenizer, &options, &mut on);
    let said = tokens.len() - usize::from(finish == FinishReason::Eog && !tokens.is_empty());
    for &token in &tokens[..said] {
        text.push(token);
    }
    text.finish(tokens, finish, Timings::default())
}

/// From tokens to the two channels of text.
pub(super) struct Text<'a> {
    pub(super) tokenizer: &'a Tokenizer,
    bytes: Utf8Assembler,
    think: Option<ThinkParser>,
    stop: StopMatcher,
    /// What the parser is shown even where the file makes it control tokens: whole markers, and parts of them, which are
    /// no text once the answer has begun.
    markers: Vec<(u32, bool)>,
    budget: Option<usize>,
    /// Tokens to be generated next whatever the model says.
    pub(super) forced: VecDeque<u32>,
    pub(super) on: &'a mut dyn FnMut(Event<'_>),
    answer: String,
    reasoning: String,
}

impl<'a> Text<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer, options: &GenerateOptions, on: &'a mut dyn FnMut(Event<'_>)) -> Self {
        Self {
            tokenizer,
            bytes: Utf8Assembler::new(),
            think: options.think.parse.then(|| ThinkParser::new(options.think.opened)),
            stop: StopMatcher::new(&options.stop),
            markers: ThinkParser::tokens()
                .filter(|_| options.think.parse)
                .filter_map(|(text, whole)| Some((tokenizer.token_id(text)?, whole)))
                .collect(),
            budget: options.think.budget,
            forced: VecDeque::new(),
            on,
            answer: String::new(),
            reasoning: String::new(),
        }
    }

    /// Takes a token; returns the stop string that it completed, if any.
    pub(super) fn push(&mut self, token: u32) -> Option<String> {
        (self.on)(Event::Token(token));
        let answers = self.think.as_ref().is_some_and(ThinkParser::answers);
        let shown = self.markers.iter().any(|(id, whole)| *id == token && (*whole || !answers));
        let piece = self.bytes.push(self.tokenizer.token_bytes(token, shown));
        let stop = self.text(&piece, false);
        self.spend();
        stop
    }

    /// Counts a token of reasoning; when the budget is spent, queues the closing marker.
    fn spend(&mut self) {
        let Some(think) = &mut self.think else { return };
        if !think.in_reasoning() || !self.forced.is_empty() {
            return;
        }
        match &mut self.budget {
            Some(0) => {
                self.budget = None;
                think.force();
                let options = EncodeOptions { add_special: false, parse_special: true };
                self.forced.extend(self.tokenizer.encode(&think.closing(), &options));
            }
            Some(left) => *left -= 1,
            None => {}
        }
    }

    fn text(&mut self, piece: &str, last: bool) -> Option<String> {
        let mut parts: Vec<(Channel, String)> = Vec::new();
        match &mut self.think {
            None => parts.push((Channel::Answer, piece.to_owned())),
            Some(think) => {
                let mut take = |channel, text: &str| parts.push((channel, text.to_owned()));
                think.push(piece, &mut take);
                if last {
                    think.finish(&mut take);
                }
            }
        }
        for (channel, part) in parts {
            if channel == Channel::Reasoning {
                self.emit(channel, &part);
                continue;
            }
            let (safe, stopped) = self.stop.push(&part);
            self.emit(channel, &safe);
            if stopped.is_some() {
                return stopped;
            }
        }
        None
    }

    fn emit(&mut self, channel: Channel, text: &str) {
        if text.is_empty() {
            return;
        }
        match channel {
            Channel::Reasoning => self.reasoning.push_str(text),
            Channel::Answer => self.answer.push_str(text),
        }
        (self.on)(Event::Text { channel, text });
    }

    pub(super) fn finish(mut self, tokens: Vec<u32>, mut finish: FinishReason, timings: Timings) -> Generation {
        if !matches!(finish, FinishReason::Stop(_)) {
            let rest = self.bytes.finish();
            match self.text(&rest, true) {
                Some(stop) => finish = FinishReason::Stop(stop),
                None => {
                    let held = self.stop.finish();
                    self.emit(Channel::Answer, &held);
                }
            }
        }
        Generation { text: self.answer, reasoning: self.reasoning, tokens, finish, timings }
    }
}
