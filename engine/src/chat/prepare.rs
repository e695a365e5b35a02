//! What is done to a template's text before the engine sees it.
//!
//! `{% generation %}` marks, for training tools, which part the assistant wrote. Rendering has no use for it, but
//! removing the tag would change how the lines around it are trimmed: it becomes `{% with %}`, which has a scope of its
//! own as the original has.
//!
//! `{% set x = EXPR %}` becomes `{% set x = (EXPR)|bound %}`. Assignment is how a loop carries a value to its next
//! round, so a filter at this place is what keeps a template from building values nested without end (see `bounds`);
//! `guard` puts more of them inside of expressions. The scanner follows the engine's lexer exactly, lest a tag hide from
//! it.

use super::guard::guard;
use super::template::TemplateError;

/// Name of the filter around what is assigned to a variable.
pub(super) const BOUND: &str = "hewn_bound";
/// Name of the filter around what is assigned to an attribute of a namespace.
pub(super) const BOUND_ATTR: &str = "hewn_bound_attr";
/// Bytes of one tag outside its strings. The parser recurses over chains of operators, and folds them in square time.
const MAX_TAG: usize = 4 << 10;
/// Tags that need other templates. A file carries one.
const OTHER_TEMPLATES: [&str; 4] = ["include", "import", "from", "extends"];

/// Rewrites the tags outside strings, comments, expressions and raw blocks.
pub(super) fn prepare(source: &str) -> Result<String, TemplateError> {
    let mut out = String::with_capacity(source.len() + source.len() / 8);
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        let (before, here) = rest.split_at(at);
        out.push_str(before);
        let end = match here.as_bytes().get(1) {
            Some(b'{') => end_of(here, "}}"),
            Some(b'%') => raw_block(here).or_else(|| end_of(here, "%}")),
            Some(b'#') => here.find("#}").map(|n| n + 2),
            _ => Some(1),
        };
        // An unclosed tag: the engine's error for it is better than ours.
        let (tag, after) = here.split_at(end.unwrap_or(here.len()));
        rest = after;
        let is_code = tag.starts_with("{{") || tag.starts_with("{%") && basic_tag(tag, "raw").is_none();
        if is_code && code(tag).nth(MAX_TAG).is_some() {
            return Err(TemplateError::Limit("one of its tags has more than 4 KiB of code"));
        }
        if !is_code {
            out.push_str(tag);
        } else if tag.starts_with("{{") {
            guarded(tag, &mut out);
        } else if basic_tag(tag, "generation") == Some(tag.len()) {
            out.push_str(&tag.replacen("generation", "with", 1));
        } else if basic_tag(tag, "endgeneration") == Some(tag.len()) {
            out.push_str(&tag.replacen("endgeneration", "endwith", 1));
        } else {
            if let Some(name) = OTHER_TEMPLATES.into_iter().find(|n| word(tag) == *n) {
                return Err(TemplateError::OtherTemplates(name));
            }
            let mut tag_out = String::with_capacity(tag.len() * 2);
            guarded(tag, &mut tag_out);
            match assignment(&tag_out) {
                Some((target, expr, close)) => {
                    let filter = if target.contains('.') { BOUND_ATTR } else { BOUND };
                    out.extend([target, "=(", expr, ")|", filter, " ", close]);
                }
                None => out.push_str(&tag_out),
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Appends a tag, guarded if it is closed.
fn guarded(tag: &str, out: &mut String) {
    let close = if tag.starts_with("{{") { "}}" } else { "%}" };
    let control = |b: Option<&u8>| usize::from(matches!(b, Some(b'-' | b'+')));
    let start = 2 + control(tag.as_bytes().get(2));
    let end = tag.strip_suffix(close).map_or(0, |t| t.len() - control(t.as_bytes().last()));
    if start > end {
        return out.push_str(tag);
    }
    out.push_str(&tag[..start]);
    guard(&tag[start..end], close == "%}", out);
    out.push_str(&tag[end..]);
}

/// The first word of a block tag.
fn word(tag: &str) -> &str {
    let inner = tag.get(2..).unwrap_or_default();
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner).trim_start();
    &inner[..inner.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(inner.len())]
}

/// Length of the tag `{% name %}` that `text` starts with.
fn basic_tag(text: &str, name: &str) -> Option<usize> {
    let space = |c: char| c.is_ascii_whitespace();
    let inner = text.strip_prefix("{%")?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner).trim_start_matches(space);
    let inner = inner.strip_prefix(name)?.trim_start_matches(space);
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    Some(text.len() - inner.strip_prefix("%}")?.len())
}

/// Length of the raw block that `text` starts with, up to the end of its `{% endraw %}`.
fn raw_block(text: &str) -> Option<usize> {
    let mut at = basic_tag(text, "raw")?;
    while let Some(n) = text[at..].find("{%") {
        at += n;
        if let Some(n) = basic_tag(&text[at..], "endraw") {
            return Some(at + n);
        }
        at += 2;
    }
    None
}

/// Walks the code of a tag: every byte outside strings, with the balance of brackets before it.
fn code(text: &str) -> impl Iterator<Item = (usize, u8, isize)> + '_ {
    let (mut quote, mut escaped, mut balance) = (None, false, 0);
    text.bytes().enumerate().skip(2).filter_map(move |(i, b)| {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if b == b'\\' => escaped = true,
            Some(q) => {
                if b == q {
                    quote = None;
                }
            }
            None => {
                let before = balance;
                match b {
                    b'"' | b'\'' => quote = Some(b),
                    b'(' | b'[' | b'{' => balance += 1,
                    b')' | b']' | b'}' => balance -= 1,
                    _ => {}
                }
                return Some((i, b, before));
            }
        }
        None
    })
}

/// Length of the tag that `text` starts with, its closing mark included.
fn end_of(text: &str, close: &str) -> Option<usize> {
    code(text).find(|&(i, _, balance)| balance == 0 && text[i..].starts_with(close)).map(|(i, ..)| i + close.len())
}

/// `{% set target = expr %}` as `{% set target `, ` expr `, `%}`.
fn assignment(tag: &str) -> Option<(&str, &str, &str)> {
    let inner = tag.strip_prefix("{%")?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner).trim_start();
    if !inner.strip_prefix("set")?.starts_with(|c: char| c.is_ascii_whitespace() || c == '(') {
        return None;
    }
    let (eq, ..) = code(tag).find(|&(_, b, balance)| b == b'=' && balance == 0)?;
    let body = tag.strip_suffix("%}")?;
    let body = body.strip_suffix(['-', '+']).unwrap_or(body);
    let expr = body.get(eq + 1..)?;
    (!expr.trim().is_empty() && !expr.starts_with('=')).then(|| (&tag[..eq], expr, &tag[body.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_tags_change() {
        let cases = [
            ("{%- generation -%}a{% endgeneration %}", "{%- with -%}a{% endwith %}"),
            ("{{ '{% generation %}' }}", "{{ '{% generation %}' }}"),
            ("{# {% generation %} #}", "{# {% generation %} #}"),
            ("{% raw %}{% generation %}{% don't %}{% endraw %}", "{% raw %}{% generation %}{% don't %}{% endraw %}"),
            ("{% raw %}{{{% endraw %}{%generation%}", "{% raw %}{{{% endraw %}{%with%}"),
            ("{% if generation %}{ {% unclosed", "{% if generation %}{ {% unclosed"),
            ("{% if x == '%}' %}é{%generation%}", "{% if (x)|hewn_bound == '%}' %}é{%with%}"),
            ("{{ {'a': {'b': '{#'}} }}{% generation %}", "{{ {'a': {'b': '{#'}} }}{% with %}"),
            ("{% set generation = 1 -%}", "{% set generation =( 1 )|hewn_bound -%}"),
            ("{%- set ns.a='=' ~ \"%}\" %}x", "{%- set ns.a=('=' ~ \"%}\" )|hewn_bound_attr %}x"),
            ("{% set (a, b) = 1, 2 %}", "{% set (a, b) =( 1, 2 )|hewn_bound %}"),
            ("{% set x %}y{% endset %}", "{% set x %}y{% endset %}"),
            ("{% set x | replace(a='b') %}", "{% set x |hewn_bound | replace(a='b') %}"),
            ("{% set x = %}{% set x == 1 %}", "{% set x = %}{% set (x)|hewn_bound == 1 %}"),
            ("{{- a ~ b -}}{{", "{{- (a)|hewn_text ~ (b)|hewn_text -}}{{"),
            ("{% settle = 1 %}{", "{% settle = 1 %}{"),
        ];
        for (source, want) in cases {
            assert_eq!(prepare(source).unwrap(), want);
        }
        let long = format!("{{{{ 1{} }}}}", "+1".repeat(MAX_TAG));
        assert!(matches!(prepare(&long), Err(TemplateError::Limit(_))));
        assert_eq!(prepare("{%- include 'x' %}"), Err(TemplateError::OtherTemplates("include")));
        assert!(prepare("{% includes %}").is_ok());
        assert!(prepare(&format!("{{# {} #}}", " ".repeat(MAX_TAG))).is_ok());
        assert!(prepare(&format!("{{{{ '{}' }}}}", " ".repeat(MAX_TAG))).is_ok());
    }
}
