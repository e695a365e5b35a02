//! Tests of rendering and of its limits.

use super::*;
use chrono::NaiveDateTime;

fn render(source: &str) -> Result<String, TemplateError> {
    let messages = [Message::new("user", "hi <b>"), Message::new("assistant", "yes")];
    let input = RenderInput { messages: &messages, bos_token: "<s>", ..RenderInput::default() };
    ChatTemplate::new(source)?.render(&input)
}

#[track_caller]
fn gives(source: &str, want: &str) {
    assert_eq!(render(source).as_deref(), Ok(want), "{source}");
}

#[track_caller]
fn stops(source: &str, at: &str) {
    match render(source) {
        Err(TemplateError::Limit(limit)) if limit.contains(at) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn variables_of_a_template_are_seen_in_every_rendering() {
    let variables = |json: &str| serde_json::from_str(json).unwrap();
    let template = ChatTemplate::new("{{ enable_thinking }} {{ n[1] }} {{ messages|length }}").unwrap();
    let template = template.with_variables(variables(r#"{"enable_thinking": true, "n": [1, "x"], "messages": []}"#));
    let messages = [Message::new("user", "hi")];
    let mut input = RenderInput { messages: &messages, ..RenderInput::default() };
    assert_eq!(template.render(&input).as_deref(), Ok("True x 1"));
    input.extra = variables(r#"{"enable_thinking": false}"#);
    assert_eq!(template.render(&input).as_deref(), Ok("False x 1"));
}

#[test]
fn renders_like_the_reference() {
    gives(
        "{{ bos_token }}{% for m in messages %}\n{{ m.role }}: {{ m['content'] }};{% endfor %}",
        "<s>user: hi <b>;assistant: yes;",
    );
    gives("{{ ' a '.strip() + 'b-c'.split('-')[1] }}", "ac");
    gives("{% generation %}x{% endgeneration %}{{ '{% generation %}' }}", "x{% generation %}");
    gives("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01");
    gives("a\n  {% if true %}\nb\n  {% endif %}\nc\n", "a\nb\nc");
    gives("{{ unknown }}{{ unknown is defined }}{{ tools is none }}", "FalseTrue");
    gives(
        "{% set ns = namespace(n=[]) %}{% for m in messages %}{% set ns.n = ns.n + [m.role] %}{% endfor %}{{ ns.n }}",
        "['user', 'assistant']",
    );
    gives("{% set a, b = 1, 'x' %}{{ a }}{{ b }}{% set c %}q{% endset %}{{ c }}", "1xq");
}

#[test]
fn prints_like_python() {
    gives("{{ none }} {{ true }} {{ 1.0 }}", "None True 1.0");
    gives("{{ [1, 'a', none, true, {'k': 'it\\'s'}] }}", "[1, 'a', None, True, {'k': \"it's\"}]");
    gives("{{ 'a' ~ [1, 'b'] ~ 1.0 ~ none ~ (2,) ~ unknown }}{{ {'k': 1}|string }}", "a[1, 'b']1.0None(2,){'k': 1}");
    gives("{{ (1,) }}{{ (1, 'b\\n') }}{{ messages[0] }}", "(1,)(1, 'b\\n'){'role': 'user', 'content': 'hi <b>'}");
}

#[test]
fn json_like_python() {
    gives("{{ messages[0] | tojson }}", r#"{"role": "user", "content": "hi <b>"}"#);
    gives(
        "{{ [1, true, none, {'a': [], 'b': {}}] | tojson(indent=2) }}",
        "[\n  1,\n  true,\n  null,\n  {\n    \"a\": [],\n    \"b\": {}\n  }\n]",
    );
    gives(
        "{{ {'é': '😀'} | tojson }}{{ 'é😀' | tojson(ensure_ascii=true) }}",
        "{\"é\": \"😀\"}\"\\u00e9\\ud83d\\ude00\"",
    );
    gives("{{ {'b': 1, 'a': [1, 2]} | tojson(separators=(',', ':'), sort_keys=true) }}", "{\"a\":[1,2],\"b\":1}");
    gives("{{ [1e16, 1.5e-7, 0.1, 1e300, 1.0] | tojson }}", "[1e+16, 1.5e-07, 0.1, 1e+300, 1.0]");
    assert!(render("{{ 1 | tojson(nonsense=1) }}").is_err());
    assert!(render("{{ nothing | tojson }}").is_err());
    stops("{{ [[1]] | tojson(indent=99999999999) }}", "64 MiB");
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
fn endless_loops_stop() {
    let three = "{% for a in range(10000) %}{% for b in range(10000) %}{% for c in range(10000) %}";
    stops(&format!("{three}{}", "{% endfor %}".repeat(3)), "steps");
    let deep = "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}";
    assert!(matches!(render(deep), Err(TemplateError::Render { reason }) if reason.contains("recursion")));
}

#[test]
fn huge_output_stops() {
    let text = "{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(18) %}{% set ns.s = ns.s + ns.s %}{% endfor %}";
    assert!(matches!(
        render(&format!("{text}{{% for i in range(100) %}}{{{{ ns.s }}}}{{% endfor %}}")),
        Err(TemplateError::Limit(_))
    ));
    let endless = text.replace("range(18)", "range(60)");
    stops(&endless, "steps");
    stops("{{ 'x' * 999999999999 }}", "steps");
}

#[test]
fn values_are_bounded() {
    // Each of these overflowed the stack or the memory of the bare engine.
    let ns = "{% set ns = namespace(x=1) %}";
    stops(&format!("{ns}{{% set ns.x = ns %}}{{{{ ns }}}}"), "namespace");
    stops(&format!("{ns}{{% set ns.x = [ns] %}}{{{{ ns ~ '' }}}}"), "namespace");
    stops(&format!("{ns}{{% for i in range(9999) %}}{{% set ns.x = [ns.x] %}}{{% endfor %}}"), "deeply");
    stops(
        &format!("{ns}{{% for i in range(60) %}}{{% set ns.x = [ns.x, ns.x] %}}{{% endfor %}}{{{{ ns.x ~ '' }}}}"),
        "64 MiB",
    );
    stops(&format!("{{% set a = 1 %}}{}{{{{ a ~ '' }}}}", "{% set a = [a, a] %}".repeat(60)), "64 MiB");
    stops(
        "{% macro f(a, n) %}{% if n %}{{ f([a, a, a, a], n - 1) }}{% else %}{{ a }}{% endif %}{% endmacro %}{{ f('aaaaaaaaaaaaaaaaaaaaaaaaaa', 12) }}",
        "64 MiB",
    );
}

#[test]
fn long_chains_do_not_overflow() {
    // As many as the limits on source and tag let through; whether they are templates is another matter.
    let n = 2000;
    for chain in ["+1", "~1", ".a", "|e", "**1", " or 1"] {
        let _ = render(&format!("{{{{ a{} }}}}", chain.repeat(n * 2 / chain.len())));
    }
    let _ = render(&format!("{{{{ {}1 }}}}", "-".repeat(n * 2)));
    let _ = render(&format!("{{{{ {}1 }}}}", "not ".repeat(n / 2)));
    let _ = render(&format!("{{% if 0 %}}{}{{% endif %}}", "{%elif 0%}".repeat(n * 6)));
    let nested = render(&"{% if true %}".repeat(n));
    assert!(matches!(nested, Err(TemplateError::Syntax { .. })), "{nested:?}");
    stops(&"x".repeat(200_000), "128 KiB");
    stops(&format!("{{{{ 1{} }}}}", "+1".repeat(n * 2)), "4 KiB");
}

#[test]
fn errors_say_what_and_where() {
    assert_eq!(render("{{ raise_exception('no system role') }}"), Err(TemplateError::Raised("no system role".into())));
    let syntax = render("\n{% if %}");
    assert!(matches!(&syntax, Err(TemplateError::Syntax { reason }) if reason.contains("line 2")), "{syntax:?}");
    let missing = render("\n\n{{ nothing.at.all }}");
    assert!(matches!(&missing, Err(TemplateError::Render { reason }) if reason.contains("line 3")), "{missing:?}");
    let other = render("{% include '/etc/passwd' %}");
    assert_eq!(other, Err(TemplateError::OtherTemplates("include")));
    // It would print everything there is.
    assert!(render("{{ debug() }}").is_err());
    assert!(render("{{ ['a', 'b'] | sum(start='') }}").is_err());
    assert!(render("{{ messages[0].role.nonsense() }}").is_err());
}
