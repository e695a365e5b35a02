//! `{% generation %}` marks, for training tools, which part the assistant wrote. Rendering has no use for it, but
//! removing the tag would change how the lines around it are trimmed: it becomes `{% if true %}` instead.

/// Replaces the tags outside strings, comments, expressions and raw blocks.
pub(super) fn neutralise_generation(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    let mut raw = false;
    while let Some(at) = rest.find('{') {
        let (before, here) = rest.split_at(at);
        out.push_str(before);
        let close = match here.as_bytes().get(1) {
            Some(b'{') if !raw => "}}",
            Some(b'#') if !raw => "#}",
            Some(b'%') => "%}",
            _ => "",
        };
        // What the block's inside begins with decides; strings inside may hold a closing mark.
        let end = if close.is_empty() { Some(1) } else { end_of(here, close) };
        let Some(end) = end else {
            rest = here;
            break;
        };
        let block = &here[..end];
        let word = if close == "%}" { first_word(block) } else { "" };
        match word {
            "raw" => raw = true,
            "endraw" => raw = false,
            _ => {}
        }
        match word {
            "generation" if !raw => out.push_str(&block.replacen(word, "if true", 1)),
            "endgeneration" if !raw => out.push_str(&block.replacen(word, "endif", 1)),
            _ => out.push_str(block),
        }
        rest = &here[end..];
    }
    out.push_str(rest);
    out
}

/// Length of the block that `text` starts with, its closing mark included.
fn end_of(text: &str, close: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut i, mut quote) = (2, None);
    while i < bytes.len() {
        match (quote, bytes[i]) {
            (Some(_), b'\\') => i += 1,
            (Some(q), b) if b == q => quote = None,
            (None, b @ (b'"' | b'\'')) if close != "#}" => quote = Some(b),
            (None, _) if bytes[i..].starts_with(close.as_bytes()) => return Some(i + close.len()),
            _ => {}
        }
        i += 1;
    }
    None
}

fn first_word(block: &str) -> &str {
    let inner = block[2..].trim_start_matches(['-', '+']).trim_start();
    &inner[..inner.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(inner.len())]
}

#[cfg(test)]
mod tests {
    use super::neutralise_generation;

    #[test]
    fn only_real_tags_change() {
        let cases = [
            ("{%- generation -%}a{% endgeneration %}", "{%- if true -%}a{% endif %}"),
            ("{{ '{% generation %}' }}", "{{ '{% generation %}' }}"),
            ("{# {% generation %} #}", "{# {% generation %} #}"),
            ("{% raw %}{% generation %}{% endraw %}", "{% raw %}{% generation %}{% endraw %}"),
            ("{% set generation = 1 %}{ {% unclosed", "{% set generation = 1 %}{ {% unclosed"),
            ("{% if x == '%}' %}é{%generation%}", "{% if x == '%}' %}é{%if true%}"),
        ];
        for (source, want) in cases {
            assert_eq!(neutralise_generation(source), want);
        }
    }
}
