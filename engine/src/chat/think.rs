//! Reasoning apart from the answer, as the text streams by: `<think>...</think>`, or what other models write.

/// Which part of the output a piece of text belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Between the markers.
    Reasoning,
    /// Everything else.
    Answer,
}

/// How a family of models marks its reasoning.
#[derive(Debug, PartialEq, Eq)]
pub struct Marks {
    open: &'static str,
    close: &'static str,
    /// What a model writes that does not reason first.
    skip: Option<&'static str>,
    /// The control tokens that the marks consist of, where they are not single tokens.
    parts: &'static [&'static str],
}

const fn pair(open: &'static str, close: &'static str) -> Marks {
    Marks { open, close, skip: None, parts: &[] }
}

/// All that are known. Where a text may begin with several, the first counts.
static MARKS: [Marks; 8] = [
    pair("<think>", "</think>"),
    // Mistral.
    pair("[THINK]", "[/THINK]"),
    // EXAONE Deep.
    pair("<thought>", "</thought>"),
    // Seed-OSS.
    pair("<seed:think>", "</seed:think>"),
    // Command A.
    pair("<|START_THINKING|>", "<|END_THINKING|>"),
    // gpt-oss.
    Marks {
        open: "<|channel|>analysis<|message|>",
        close: "<|end|><|start|>assistant<|channel|>final<|message|>",
        skip: Some("<|channel|>final<|message|>"),
        parts: &["<|channel|>", "<|message|>", "<|end|>", "<|start|>"],
    },
    // Gemma 4. An empty one comes before an answer without reasoning.
    Marks { open: "<|channel>thought", close: "<channel|>", skip: None, parts: &["<|channel>", "<channel|>"] },
    // MiniMax M3.
    Marks { open: "<mm:think>", close: "</mm:think>", skip: Some("</mm:think>"), parts: &[] },
];

/// How much of a text is held back where it may be the rest of reasoning that was cut off: some fifty tokens.
const DOUBT: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing but white space so far: an opening marker may come.
    Start,
    /// The opening marker was just read: white space after it belongs to it.
    Opened,
    Reasoning,
    /// The closing marker was just read: white space after it belongs to it.
    Closed,
    /// The model did not close the reasoning itself, and may go on with it: a closing marker may still come.
    Doubtful,
    Answer,
}

/// Splits streamed text. Only an opening marker at the very start (after white space) opens reasoning, once; white space
/// right after either marker is dropped, so the answer begins with its first word. What may be part of a marker is held
/// back until it is decided, and nothing else.
#[derive(Clone, Debug)]
pub struct ThinkParser {
    state: State,
    /// Whether the closing marker comes from somebody else than the model.
    forced: bool,
    held: String,
    marks: &'static Marks,
}

impl ThinkParser {
    /// A parser; `opened` are the marks whose opening one the prompt already holds.
    pub fn new(opened: Option<&'static Marks>) -> Self {
        let state = if opened.is_some() { State::Opened } else { State::Start };
        Self { state, forced: false, held: String::new(), marks: opened.unwrap_or(&MARKS[0]) }
    }

    /// The marks inside which a rendered prompt ends: its last words are the opening one, white space aside.
    pub fn opened_by(prompt: &str) -> Option<&'static Marks> {
        MARKS.iter().find(|m| prompt.trim_end().ends_with(m.open))
    }

    /// The texts that markers consist of, and whether each of them is a whole one. Where a file makes them control tokens,
    /// the parser must see them all the same; the others only until the answer has begun.
    pub fn tokens() -> impl Iterator<Item = (&'static str, bool)> {
        let whole = MARKS.iter().filter(|m| m.parts.is_empty()).flat_map(|m| [m.open, m.close]).map(|t| (t, true));
        whole.chain(MARKS.iter().flat_map(|m| m.parts).map(|t| (*t, false)))
    }

    /// What ends the reasoning when its budget is spent.
    pub fn closing(&self) -> String {
        format!("{}{}", self.marks.close, if self.marks.parts.is_empty() { "\n\n" } else { "" })
    }

    /// The reasoning is going to be closed without the model: what comes then, up to a closing marker of its own, is
    /// reasoning too. The next [`DOUBT`] bytes are held back until that is known.
    pub fn force(&mut self) {
        // Markers of several tokens are no text any more once the answer has begun.
        self.forced = self.marks.parts.is_empty();
    }

    /// Whether the answer has begun.
    pub fn answers(&self) -> bool {
        matches!(self.state, State::Closed | State::Doubtful | State::Answer)
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
                let skips = || MARKS.iter().filter_map(|m| m.skip);
                if let Some((marks, after)) = MARKS.iter().find_map(|m| Some((m, text.strip_prefix(m.open)?))) {
                    (self.held, self.marks, self.state) = (after.to_owned(), marks, State::Opened);
                    return true;
                }
                if let Some(after) = skips().find_map(|skip| text.strip_prefix(skip)) {
                    (self.held, self.state) = (after.to_owned(), State::Closed);
                    return true;
                }
                // Still white space, or the beginning of a marker.
                if MARKS.iter().map(|m| m.open).chain(skips()).any(|mark| mark.starts_with(text)) {
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
                self.state = match self.state {
                    State::Opened => State::Reasoning,
                    _ if self.forced => State::Doubtful,
                    _ => State::Answer,
                };
                true
            }
            State::Doubtful => {
                let close = self.marks.close;
                if let Some(at) = self.held.find(close) {
                    out(Channel::Reasoning, &self.held[..at]);
                    self.held.drain(..at + close.len());
                    (self.state, self.forced) = (State::Closed, false);
                    return true;
                }
                if self.held.len() <= DOUBT {
                    return false;
                }
                self.state = State::Answer;
                true
            }
            State::Reasoning => {
                let close = self.marks.close;
                if let Some(at) = self.held.find(close) {
                    if at > 0 {
                        out(Channel::Reasoning, &self.held[..at]);
                    }
                    self.held.drain(..at + close.len());
                    self.state = State::Closed;
                    return true;
                }
                let keep = (1..close.len()).rev().find(|n| self.held.ends_with(&close[..*n])).unwrap_or(0);
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
            (false, "[THINK]a[/THI</think>[/THINK]b", "a[/THI</think>", "b"),
            (false, "<thought>\na</thought>\nb", "a", "b"),
            (false, "<thoughts>", "", "<thoughts>"),
            (false, "<seed:think>a</seed:think>b", "a", "b"),
            (false, "<|START_THINKING|>a<|END_THINKING|>b", "a", "b"),
            (false, "<mm:think>a</think></mm:think>b", "a</think>", "b"),
            (false, "</mm:think>b", "", "b"),
            (false, "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b", "a", "b"),
            (false, "<|channel|>final<|message|>b", "", "b"),
            (false, "<|channel|>commentary", "", "<|channel|>commentary"),
            (false, "<|channel>thought\na\n<channel|>b", "a\n", "b"),
            (false, "<|channel>thought\n<channel|>b", "", "b"),
            (false, "<|channel>thought<channel|>b", "", "b"),
            (false, "<|channel>other", "", "<|channel>other"),
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
                let got = split(&mut ThinkParser::new(opened.then_some(&MARKS[0])), &pieces);
                assert_eq!((&*got.0, &*got.1), (reasoning, answer), "{text:?} as {pieces:?}");
            }
        }
    }

    #[test]
    fn only_the_undecided_is_held() {
        let mut parser = ThinkParser::new(Some(&MARKS[0]));
        let mut text = String::new();
        for piece in ["a <", "b </th", "ink", "x </think>", "\n", "yes <th"] {
            parser.push(piece, &mut |_, t: &str| text.push_str(t));
            text.push('|');
        }
        assert_eq!(text, "a |<b ||</thinkx ||yes <th|");
        assert!(!parser.in_reasoning());
    }

    #[test]
    fn reasoning_may_go_on_behind_a_forced_end() {
        let forced = |pieces: &[&str]| {
            let mut parser = ThinkParser::new(Some(&MARKS[0]));
            parser.push("a", &mut |_, _| {});
            parser.force();
            split(&mut parser, pieces)
        };
        let of = |reasoning: &str, answer: &str| (reasoning.to_owned(), answer.to_owned());
        assert_eq!(forced(&["</think>\n\n", "b\n</th", "ink>\n\n", "c</think>"]), of("b\n", "c</think>"));
        assert_eq!(forced(&["</think>\n\n", "b ", "c"]), of("", "b c"));
        assert_eq!(forced(&["</think>"]), of("", ""));
        let long = "b".repeat(DOUBT + 1);
        assert_eq!(forced(&["</think>\n\n", &long, "</think>c"]), of("", &format!("{long}</think>c")));
    }

    #[test]
    fn what_closes_ends_what_opened() {
        for marks in &MARKS {
            let mut parser = ThinkParser::new(None);
            parser.push(marks.open, &mut |_, text: &str| panic!("{text:?} is a marker"));
            assert!(parser.in_reasoning());
            let closing = parser.closing();
            assert_eq!(split(&mut parser, &["a", &closing, "b"]), ("a".into(), "b".into()), "{marks:?}");
            assert!(parser.answers());
        }
    }

    #[test]
    fn prompts_that_open() {
        assert_eq!(ThinkParser::opened_by("<|Assistant|><think>\n"), Some(&MARKS[0]));
        assert_eq!(ThinkParser::opened_by("<think>\n</think>"), None);
        assert_eq!(ThinkParser::opened_by("<|turn>model\n<|channel>thought\n"), Some(&MARKS[6]));
        assert_eq!(ThinkParser::opened_by("<|turn>model\n<|channel>thought\n<channel|>"), None);
        let marks = ThinkParser::opened_by("[|assistant|]<thought>\n");
        let mut parser = ThinkParser::new(marks);
        assert_eq!(parser.closing(), "</thought>\n\n");
        assert_eq!(split(&mut parser, &["a</think></tho", "ught>b"]), ("a</think>".into(), "b".into()));
    }
}
