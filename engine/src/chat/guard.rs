//! Filters around whatever an expression hands on, so that no single expression builds a value without end.
//!
//! The engine makes lists lazily and by reference: `[s, s, s] * 1000000` is small, what is printed of it is not, and the
//! engine charges for text only once it is there. So every value is measured (`bounds::check`) where it goes on from the
//! expression that makes it: as an operand of `~`, as the left side of a comparison or `in`, as an argument, an index, a
//! key, the input of a filter, or what a loop runs over. (Assignments are `prepare`'s, printing is the formatter's.)
//!
//! This works on tokens, not on the grammar: an operand reaches as far as the next token that binds less tightly on the
//! same level of brackets. Whatever is not an expression stays an error of the engine's parser.

use super::prepare::BOUND;

/// Name of the filter around operands of `~`: measures, and writes containers as Python does.
pub(super) const TEXT: &str = "hewn_text";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Text,
    Number,
    Name,
    /// A name that is part of the grammar here.
    Keyword,
    Open,
    Close,
    Operator,
}

#[derive(Clone, Copy, Debug)]
struct Token<'a> {
    text: &'a str,
    /// Offset in the code.
    at: usize,
    kind: Kind,
    /// The token that opened the innermost bracket around it; [`TOP`] outside of all.
    open: usize,
}

const TOP: usize = usize::MAX;

const KEYWORDS: [&str; 8] = ["and", "or", "not", "in", "is", "if", "elif", "else"];
const COMPARISONS: [&str; 6] = ["==", "!=", "<", ">", "<=", ">="];
/// What can be in nobody's way: filters that do not look at more than one item, that charge for what they visit, or that
/// measure by themselves. Conversations go through some of these once a message.
const CHEAP: [&str; 8] = ["length", "count", "first", "last", "list", "default", "d", "tojson"];
/// Tests that look at the kind of a value only.
const CHEAP_TESTS: [&str; 15] = [
    "defined",
    "undefined",
    "none",
    "string",
    "mapping",
    "iterable",
    "sequence",
    "number",
    "boolean",
    "true",
    "false",
    "integer",
    "float",
    "odd",
    "even",
];

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Length of the token at the beginning of `code`, which is not empty and does not begin with white space.
fn token(code: &str, after_dot: bool) -> (usize, Kind) {
    let mut chars = code.chars();
    let c = chars.next().unwrap_or(' ');
    let two = code.get(..2).unwrap_or_default();
    match c {
        '"' | '\'' => {
            let mut escaped = false;
            let close = code.char_indices().skip(1).find(|(_, k)| {
                let end = *k == c && !escaped;
                escaped = *k == '\\' && !escaped;
                end
            });
            (close.map_or(code.len(), |(i, _)| i + 1), Kind::Text)
        }
        '0'..='9' if after_dot => (code.find(|c: char| !is_name(c)).unwrap_or(code.len()), Kind::Number),
        '0'..='9' => {
            let radix = code.get(1..2).is_some_and(|x| "xXoObB".contains(x));
            let mut before = c;
            let end = code.char_indices().find(|(_, c)| {
                let exponent = matches!(*c, '+' | '-') && matches!(before, 'e' | 'E') && !radix;
                before = *c;
                !(is_name(*c) || exponent)
            });
            (end.map_or(code.len(), |(i, _)| i), Kind::Number)
        }
        '(' | '[' | '{' => (1, Kind::Open),
        ')' | ']' | '}' => (1, Kind::Close),
        c if is_name(c) => (code.find(|c: char| !is_name(c)).unwrap_or(code.len()), Kind::Name),
        _ if COMPARISONS.contains(&two) || matches!(two, "**" | "//") => (2, Kind::Operator),
        c => (c.len_utf8(), Kind::Operator),
    }
}

/// The tokens of a tag's code. `block`: its first word says what the tag is.
fn tokens(code: &str, block: bool) -> Vec<Token<'_>> {
    let mut list: Vec<Token<'_>> = Vec::new();
    let mut brackets = Vec::new();
    let mut at = 0;
    while let Some(skip) = code[at..].find(|c: char| !c.is_whitespace()) {
        at += skip;
        let before = list.last().map_or("", |t| t.text);
        let (len, mut kind) = token(&code[at..], before == ".");
        let text = &code[at..at + len];
        if kind == Kind::Close {
            brackets.pop();
        }
        if kind == Kind::Name {
            // Behind a dot it is an attribute, behind `is` the name of a test.
            let test = before == "is" || before == "not" && list.len() > 1 && list[list.len() - 2].text == "is";
            let head = block && list.is_empty();
            if head || KEYWORDS.contains(&text) && before != "." && !test {
                kind = Kind::Keyword;
            }
        }
        list.push(Token { text, at, kind, open: brackets.last().copied().unwrap_or(TOP) });
        if kind == Kind::Open {
            brackets.push(list.len() - 1);
        }
        at += len;
    }
    list
}

/// How far an operand reaches.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    /// Of `is`: stops at every operator.
    Test,
    /// Of `~`: stops at `+` and `-`.
    Concat,
    /// Of a comparison.
    Compare,
    /// Whatever the tag or the bracket holds up to a comma, colon or equals sign.
    Item,
}

struct Guard<'a> {
    tokens: Vec<Token<'a>>,
    /// Ranges of tokens, and the filter behind each.
    wraps: Vec<(usize, usize, &'static str)>,
    /// Pipes that get a filter before them.
    pipes: Vec<usize>,
}

impl Guard<'_> {
    /// Whether an operand may end with token `i`.
    fn ends_operand(&self, i: usize) -> bool {
        matches!(self.tokens[i].kind, Kind::Text | Kind::Number | Kind::Name | Kind::Close)
    }

    /// Whether an operator stands between two operands here, rather than before one.
    fn is_infix(&self, i: usize) -> bool {
        i > 0 && self.ends_operand(i - 1)
    }

    /// Whether an operand of this level ends before token `i`, if that is on its level of brackets.
    fn bounds(&self, i: usize, level: Level) -> bool {
        let t = self.tokens[i];
        match (t.kind, t.text) {
            (Kind::Operator, "," | ":" | "=") => true,
            _ if level == Level::Item => false,
            (Kind::Keyword, "is") => false,
            (Kind::Keyword, _) => true,
            (Kind::Operator, op) if COMPARISONS.contains(&op) => true,
            (Kind::Operator, "~") => level != Level::Compare,
            (Kind::Operator, "+" | "-") => level != Level::Compare && self.is_infix(i),
            // Otherwise it unpacks what follows.
            (Kind::Operator, "*" | "**") => level == Level::Test || !self.is_infix(i),
            (Kind::Operator, "/" | "//" | "%") => level == Level::Test,
            _ => false,
        }
    }

    /// First token of the operand that ends before token `end`.
    fn left(&self, end: usize, open: usize, level: Level) -> usize {
        let first = if open == TOP { 0 } else { open + 1 };
        (first..end).rev().find(|i| self.tokens[*i].open == open && self.bounds(*i, level)).map_or(first, |i| i + 1)
    }

    /// End of the operand that begins with token `start`.
    fn right(&self, start: usize, open: usize, level: Level) -> usize {
        let outside = |t: &Token<'_>| t.kind == Kind::Close && open != TOP && t.open == self.tokens[open].open;
        let ends = |i: &usize| outside(&self.tokens[*i]) || self.tokens[*i].open == open && self.bounds(*i, level);
        (start..self.tokens.len()).find(ends).unwrap_or(self.tokens.len())
    }

    fn wrap(&mut self, start: usize, end: usize, filter: &'static str) {
        let simple = match self.tokens.get(start..end) {
            None | Some([]) => true,
            Some([t]) => {
                matches!(t.kind, Kind::Text | Kind::Number)
                    || matches!(t.text, "true" | "false" | "none" | "True" | "False" | "None")
            }
            Some([sign, n]) => sign.text == "-" && n.kind == Kind::Number,
            Some(_) => false,
        };
        if !simple {
            self.wraps.push((start, end, filter));
        }
    }

    /// The items of a bracket or of a tag, each with the end of what stands before its colon or equals sign, if any.
    fn items(&self, first: usize, open: usize) -> Vec<(usize, Option<usize>, usize)> {
        let mut items = Vec::new();
        let mut start = first;
        while start < self.tokens.len() {
            let mut end = self.right(start, open, Level::Item);
            let mut name = None;
            while self.tokens.get(end).is_some_and(|t| t.open == open && matches!(t.text, ":" | "=")) {
                name.get_or_insert(end);
                end = self.right(end + 1, open, Level::Item);
            }
            items.push((start, name, end));
            if self.tokens.get(end).is_none_or(|t| t.text != ",") {
                break;
            }
            start = end + 1;
        }
        items
    }

    /// What an argument or assignment hands over: behind `name =` and stars.
    fn value(&self, (start, name, end): (usize, Option<usize>, usize)) -> (usize, usize) {
        let start = name.map_or(start, |n| n + 1);
        let star = |t: &&Token<'_>| matches!(t.text, "*" | "**");
        (start + self.tokens[start.min(end)..end].iter().take_while(star).count(), end)
    }

    fn bracket(&mut self, i: usize) {
        let items = self.items(i + 1, i);
        let head = self.tokens[0].text;
        match self.tokens[i].text {
            "(" if self.is_infix(i) => {
                let parameters = head == "macro" && i == 2;
                for item in items {
                    if !parameters || item.1.is_some() {
                        let (start, end) = self.value(item);
                        self.wrap(start, end, BOUND);
                    }
                }
            }
            "[" if self.is_infix(i) => {
                // A slice is charged for by the engine.
                if let [(start, None, end)] = items[..] {
                    self.wrap(start, end, BOUND);
                }
            }
            "{" => {
                for (start, key, _) in items {
                    self.wrap(start, key.unwrap_or(start), BOUND);
                }
            }
            _ => {}
        }
    }

    fn operator(&mut self, i: usize) {
        let t = self.tokens[i];
        match t.text {
            "~" => {
                self.wrap(self.left(i, t.open, Level::Concat), i, TEXT);
                self.wrap(i + 1, self.right(i + 1, t.open, Level::Concat), TEXT);
            }
            "|" if self.tokens.get(i + 1).is_none_or(|t| !CHEAP.contains(&t.text)) => self.pipes.push(i),
            op if COMPARISONS.contains(&op) => self.wrap(self.left(i, t.open, Level::Compare), i, BOUND),
            _ => {}
        }
    }

    /// The tag as a whole: what loops run over, and what `with` assigns. The `in` of a loop, if it is one.
    fn head(&mut self, block: bool) -> Option<usize> {
        let head = self.tokens.first().filter(|_| block)?.text;
        if head == "with" {
            for item in self.items(1, TOP) {
                let (start, end) = self.value(item);
                self.wrap(start, if item.1.is_some() { end } else { start }, BOUND);
            }
        }
        if head != "for" {
            return None;
        }
        let top = |t: &Token<'_>, text: &str| t.open == TOP && t.text == text;
        let after = self.tokens.iter().position(|t| top(t, "in"))?;
        let len = self.tokens.len();
        let end = (after..len).find(|i| {
            let t = &self.tokens[*i];
            top(t, "if") && t.kind == Kind::Keyword || top(t, "recursive") && i + 1 == len
        });
        self.wrap(after + 1, end.unwrap_or(len), BOUND);
        Some(after)
    }

    fn scan(&mut self, block: bool) {
        let of_loop = self.head(block);
        for i in 0..self.tokens.len() {
            let t = self.tokens[i];
            match (t.kind, t.text) {
                (Kind::Open, _) => self.bracket(i),
                (Kind::Operator, _) => self.operator(i),
                (Kind::Keyword, "is") => {
                    let name = self.tokens[i + 1..].iter().find(|t| t.text != "not");
                    if name.is_none_or(|t| !CHEAP_TESTS.contains(&t.text)) {
                        self.wrap(self.left(i, t.open, Level::Test), i, BOUND);
                    }
                }
                (Kind::Keyword, "in") if of_loop != Some(i) && i > 0 => {
                    let end = if self.tokens[i - 1].text == "not" { i - 1 } else { i };
                    self.wrap(self.left(end, t.open, Level::Compare), end, BOUND);
                    self.wrap(i + 1, self.right(i + 1, t.open, Level::Compare), BOUND);
                }
                _ => {}
            }
        }
    }
}

/// Appends the code of a tag with its filters. `block`: of `{% %}`.
pub(super) fn guard(code: &str, block: bool, out: &mut String) {
    let mut guard = Guard { tokens: tokens(code, block), wraps: Vec::new(), pipes: Vec::new() };
    guard.scan(block);
    let Guard { tokens, mut wraps, pipes } = guard;
    wraps.sort_unstable();
    wraps.dedup();
    // Before a token, after a token: brackets and filters.
    let mut before = vec![0usize; tokens.len()];
    let mut after: Vec<Vec<&str>> = vec![Vec::new(); tokens.len()];
    // Inner ranges end first.
    for (start, end, filter) in wraps.iter().rev() {
        before[*start] += 1;
        after[end - 1].push(filter);
    }
    let mut at = 0;
    for (i, t) in tokens.iter().enumerate() {
        out.push_str(&code[at..t.at]);
        if pipes.contains(&i) {
            out.extend(["|", BOUND, " "]);
        }
        out.extend(std::iter::repeat_n('(', before[i]));
        out.push_str(t.text);
        for filter in &after[i] {
            out.extend([")|", filter]);
        }
        at = t.at + t.text.len();
    }
    out.push_str(&code[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guarded(code: &str, block: bool) -> String {
        let mut out = String::new();
        guard(code, block, &mut out);
        out.replace(BOUND, "B").replace(TEXT, "T")
    }

    #[test]
    fn operands_reach_as_far_as_they_bind() {
        let cases = [
            ("a ~ b", "(a)|T ~ (b)|T"),
            ("'a' ~ b.c[0](1) ~ 2", "'a' ~ (b.c[0](1))|T ~ 2"),
            ("x + a * 2 ~ -b ** c - 1", "x + (a * 2)|T ~ (-b ** c)|T - 1"),
            ("a ~ 1e-5 ~ b.1.if", "(a)|T ~ 1e-5 ~ (b.1.if)|T"),
            ("a ~ b is not none and c", "(a)|T ~ (b is not none)|T and c"),
            ("a ~ b in c if d else e ~ f", "((a)|T ~ (b)|T)|B in (c)|B if d else (e)|T ~ (f)|T"),
            ("a not in b.c or x is in(y)", "(a)|B not in (b.c)|B or (x)|B is in((y)|B)"),
            ("a + -b.c|e is not eq(d)", "a + (-b.c|B |e)|B is not eq((d)|B)"),
            ("not a == b != 'c'", "not (a)|B == (b)|B != 'c'"),
            ("f(a ~ b, c, *d, **e, k=[g] * 9)", "f(((a)|T ~ (b)|T)|B, (c)|B, *(d)|B, **(e)|B, k=([g] * 9)|B)"),
            ("a[b] ~ c[-1] ~ d['e'] ~ f[1:g]", "(a[(b)|B])|T ~ (c[-1])|T ~ (d['e'])|T ~ (f[1:g])|T"),
            ("{a: b, 'c': d}", "{(a)|B: b, 'c': d}"),
            ("[a ~ {b ~ c: d}]", "[(a)|T ~ ({((b)|T ~ (c)|T)|B: d})|T]"),
            ("a|upper|length|join(b)", "a|B |upper|length|B |join((b)|B)"),
            ("'~' ~ \"\\\"|\"", "'~' ~ \"\\\"|\""),
            ("x.in ~ y", "(x.in)|T ~ (y)|T"),
        ];
        for (code, want) in cases {
            assert_eq!(guarded(code, false), want, "{code}");
        }
    }

    #[test]
    fn tags() {
        let cases = [
            ("for a, b in c if a in d", "for a, b in (c)|B if (a)|B in (d)|B"),
            ("for a in b recursive", "for a in (b)|B recursive"),
            ("for a in [1] or b", "for a in ([1] or b)|B"),
            ("if a ~ b", "if (a)|T ~ (b)|T"),
            ("macro f(a, b=c)", "macro f(a, b=(c)|B)"),
            ("call(a) f(b)", "call(a) f((b)|B)"),
            ("with a = b, c = 1", "with a = (b)|B, c = 1"),
            ("set a = b ~ c", "set a = (b)|T ~ (c)|T"),
            ("set x", "set x"),
            ("filter upper|trim", "filter upper|B |trim"),
        ];
        for (code, want) in cases {
            assert_eq!(guarded(code, true), want, "{code}");
        }
    }

    #[test]
    fn nonsense_stays_nonsense() {
        for code in [
            "~", "a ~", "~ a", ")", "f(", "[", "a[", "{", "{:", "in", "not in", "==", "|", "'", "*", "for", "with",
            "a, = b",
        ] {
            for block in [false, true] {
                let out = guarded(code, block);
                let plain = out.replace("|B ", "").replace(")|B", "").replace(")|T", "");
                assert_eq!(plain.replace('(', ""), code.replace('(', ""), "{out}");
            }
        }
    }
}
