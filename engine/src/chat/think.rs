//! `<think>...</think>`: reasoning apart from the answer, as the text streams by.

/// Which part of the output a piece of text belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Between the markers.
    Reasoning,
    /// Everything else.
    Answer,
}

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing but white space so far: an opening marker may come.
    Start,
    /// The opening marker was just read: white space after it belongs to it.
    Opened,
    Reasoning,
    /// The closing marker was just read: white space after it belongs to it.
    Closed,
    Answer,
}

/// Splits streamed text. Only a `<think>` at the very start (after white space) opens reasoning, once; white space right
/// after either marker is dropped, so the answer begins with its first word. What may be part of a marker is held back
/// until it is decided, and nothing else.
#[derive(Clone, Debug)]
pub struct ThinkParser {
    state: State,
    held: String,
}

impl ThinkParser {
    /// What ends the reasoning when its budget is spent.
    pub const CLOSING: &'static str = "</think>\n\n";

    /// A parser; `opened` when the prompt already holds the opening marker.
    pub fn new(opened: bool) -> Self {
        Self { state: if opened { State::Opened } else { State::Start }, held: String::new() }
    }

    /// Whether a rendered prompt ends inside the reasoning: its last words are `<think>`, white space aside.
    pub fn opened_by(prompt: &str) -> bool {
        prompt.trim_end().ends_with(OPEN)
    }

    /// Whether the text so far ends inside the reasoning.
    pub fn in_reasoning(&self) -> bool {
        matches!(self.state, State::Opened | State::Reasoning)
    }

    /// Takes a piece and passes on what is decided.
    pub fn push(&mut self, piece: &str, out: &mut impl FnMut(Channel, &str)) {
        self.held.push_str(piece);
        while self.advance(out) {}
    }

    /// The end: what was held back is text of the current part.
    pub fn finish(&mut self, out: &mut impl FnMut(Channel, &str)) {
        let rest = std::mem::take(&mut self.held);
        if !rest.is_empty() {
            out(if self.in_reasoning() { Channel::Reasoning } else { Channel::Answer }, &rest);
        }
    }

    /// One step; whether another may follow.
    fn advance(&mut self, out: &mut impl FnMut(Channel, &str)) -> bool {
        match self.state {
            State::Start => {
                let text = self.held.trim_start();
                if let Some(after) = text.strip_prefix(OPEN) {
                    self.held = after.to_owned();
                    self.state = State::Opened;
                    return true;
                }
                // Still white space, or the beginning of the marker.
                if OPEN.starts_with(text) {
                    return false;
                }
                self.state = State::Answer;
                true
            }
            State::Opened | State::Closed => {
                self.held = self.held.trim_start().to_owned();
                if self.held.is_empty() {
                    return false;
                }
                self.state = if self.state == State::Opened { State::Reasoning } else { State::Answer };
                true
            }
            State::Reasoning => {
                if let Some(at) = self.held.find(CLOSE) {
                    if at > 0 {
                        out(Channel::Reasoning, &self.held[..at]);
                    }
                    self.held.drain(..at + CLOSE.len());
                    self.state = State::Closed;
                    return true;
                }
                let keep = (1..CLOSE.len()).rev().find(|n| self.held.ends_with(&CLOSE[..*n])).unwrap_or(0);
                let rest = self.held.split_off(self.held.len() - keep);
                if !self.held.is_empty() {
                    out(Channel::Reasoning, &self.held);
                }
                self.held = rest;
                false
            }
            State::Answer => {
                if !self.held.is_empty() {
                    out(Channel::Answer, &std::mem::take(&mut self.held));
                }
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::testing::Lcg;

    fn split(parser: &mut ThinkParser, pieces: &[&str]) -> (String, String) {
        let (mut reasoning, mut answer) = (String::new(), String::new());
        let mut take = |c, t: &str| if c == Channel::Reasoning { reasoning.push_str(t) } else { answer.push_str(t) };
        pieces.iter().for_each(|p| parser.push(p, &mut take));
        parser.finish(&mut take);
        (reasoning, answer)
    }

    #[test]
    fn any_cut_gives_the_same_parts() {
        let mut rng = Lcg(3);
        let cases = [
            (false, "<think>\nwhy é\n</think>\n\nyes", "why é\n", "yes"),
            (false, " \n<think>a</think>b<think>c</think>", "a", "b<think>c</think>"),
            (false, "plain <think>x</think>", "", "plain <think>x</think>"),
            (false, "<thin", "", "<thin"),
            (false, "  indented", "", "  indented"),
            (true, "so\n</think>\n42", "so\n", "42"),
            (true, "a </thin </think>", "a </thin ", ""),
            (true, "never ends </thi", "never ends </thi", ""),
            (false, "<think></think>z", "", "z"),
            (false, "<think>\n</think>\n \n", "", ""),
            (false, "<<think>a</think>", "", "<<think>a</think>"),
            (true, "a<</think>b", "a<", "b"),
            (true, "<think>a</think>b", "<think>a", "b"),
        ];
        for (opened, text, reasoning, answer) in cases {
            for _ in 0..40 {
                let (mut pieces, mut rest) = (Vec::new(), text);
                while !rest.is_empty() {
                    let mut n = 1 + rng.next() as usize % rest.len().min(4);
                    while !rest.is_char_boundary(n) {
                        n += 1;
                    }
                    pieces.push(&rest[..n]);
                    rest = &rest[n..];
                }
                let got = split(&mut ThinkParser::new(opened), &pieces);
                assert_eq!((&*got.0, &*got.1), (reasoning, answer), "{text:?} as {pieces:?}");
            }
        }
    }

    #[test]
    fn only_the_undecided_is_held() {
        let mut parser = ThinkParser::new(true);
        let mut text = String::new();
        for piece in ["a <", "b </th", "ink", "x </think>", "\n", "yes <th"] {
            parser.push(piece, &mut |_, t: &str| text.push_str(t));
            text.push('|');
        }
        assert_eq!(text, "a |<b ||</thinkx ||yes <th|");
        assert!(!parser.in_reasoning());
    }

    #[test]
    fn prompts_that_open() {
        assert!(ThinkParser::opened_by("<|Assistant|><think>\n"));
        assert!(!ThinkParser::opened_by("<think>\n</think>"));
    }
}
