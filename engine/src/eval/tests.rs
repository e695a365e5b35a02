//! Files of questions, and scores.

use super::*;
use std::io::{BufReader, Read, repeat};

fn read(text: &str) -> Result<Vec<Task>, TaskError> {
    read_tasks(text.as_bytes())
}

#[test]
fn lines_become_questions() {
    let text = concat!(
        "\u{feff}{\"task\": \"sums\", \"prompt\": \"12 + 30\", \"answer\": \" 42\\n\", \"id\": 7}\r\n",
        "\n  \t\r\n",
        "{\"prompt\": \" a colour\", \"regex\": \"^(?i)red$\"}"
    );
    let tasks = read(text).unwrap();
    assert_eq!(tasks.len(), 2);
    assert_eq!((tasks[0].group.as_str(), tasks[0].prompt.as_str()), ("sums", "12 + 30"));
    assert_eq!(tasks[0].want, Want::Exact("42".into()));
    assert_eq!((tasks[1].group.as_str(), tasks[1].prompt.as_str()), ("", " a colour"));
    assert_eq!(tasks[1].want.text(), "^(?i)red$");
}

#[test]
fn what_a_right_answer_is() {
    let exact = Want::Exact("1 rest 2".into());
    let pattern = |text| Want::Pattern(Pattern::new(text).unwrap());
    for (want, answer, right) in [
        (&exact, "1 rest 2", true),
        (&exact, "\n1 rest 2 \n", true),
        (&exact, "1 rest 2.", false),
        (&exact, "", false),
        (&pattern("re"), "there", true),
        (&pattern("^re$"), " re\n", true),
        (&pattern("^re$"), "there", false),
        (&pattern("(?i)\\bstraße\\b"), "die STRASSE, die Straße", true),
    ] {
        assert_eq!(want.accepts(answer), right, "{want:?} {answer:?}");
    }
}

#[test]
fn lines_that_are_no_questions_are_named() {
    let good = "{\"prompt\": \"p\", \"answer\": \"a\"}\n";
    for (bad, why) in [
        ("nonsense", "expected a JSON object"),
        ("[\"p\", \"a\", null, \"t\"]", "expected a JSON object"),
        ("{\"prompt\"}", "expected `:`"),
        ("{\"prompt\": \"p\", \"answer\": \"a\"", "EOF"),
        ("{\"prompt\": \"p\", \"answer\": \"a\"} x", "trailing"),
        ("{\"answer\": \"a\"}", "missing field `prompt`"),
        ("{\"prompt\": 5, \"answer\": \"a\"}", "expected a string"),
        ("{\"prompt\": \"p\", \"answer\": 5}", "expected a string"),
        ("{\"prompt\": \"p\", \"answer\": \"a\", \"task\": null}", "expected a string"),
        ("{\"prompt\": \"p\", \"prompt\": \"q\", \"answer\": \"a\"}", "duplicate field"),
        ("{\"prompt\": \"p\"}", "one of `answer` and `regex`"),
        ("{\"prompt\": \"p\", \"answer\": \"a\", \"regex\": \"a\"}", "one of `answer` and `regex`"),
        ("{\"prompt\": \" \", \"answer\": \"a\"}", "`prompt` is empty"),
        ("{\"prompt\": \"p\", \"answer\": \" \\n\"}", "`answer` is empty"),
        ("{\"prompt\": \"p\", \"regex\": \"(\"}", "unclosed group"),
        ("{\"prompt\": \"p\", \"regex\": \"\\\\w{5000}\"}", "size limit"),
        ("{\"prompt\": \"\u{1}\", \"answer\": \"a\"}", "control character"),
    ] {
        let error = read(&format!("{good}\n{bad}\n{good}")).unwrap_err();
        assert_eq!(error.line, 3, "{bad}: {error}");
        assert!(error.to_string().starts_with("line 3: ") && error.to_string().contains(why), "{bad}: {error}");
        // The line counts, not what the parser takes for one.
        assert!(!error.to_string().contains("at line"), "{error}");
    }
    let bytes = [good.as_bytes(), b"{\"prompt\": \"\xff\", \"answer\": \"a\"}"].concat();
    assert_eq!(read_tasks(&bytes[..]).unwrap_err().line, 2);
    for nothing in ["", "\n\n", "\u{feff}"] {
        assert!(matches!(read(nothing).unwrap_err().fault, TaskFault::None));
    }
}

#[test]
fn endless_files_are_refused() {
    let endless = BufReader::new(repeat(b'x'));
    assert!(matches!(read_tasks(endless).unwrap_err().fault, TaskFault::LineLength));
    let blank = BufReader::new(repeat(b'\n'));
    assert!(matches!(read_tasks(blank).unwrap_err().fault, TaskFault::FileLength));
    // A line of the longest length is none too long.
    let rest = "{\"prompt\": \"p\", \"answer\": \"a\"}\n";
    let spaces = repeat(b' ').take((LINE_LIMIT - rest.len()) as u64);
    assert_eq!(read_tasks(BufReader::new(spaces.chain(rest.as_bytes()))).unwrap().len(), 1);
}

#[test]
fn a_group_can_be_limited() {
    let line = |group: &str, i: usize| format!("{{\"task\": \"{group}\", \"prompt\": \"{i}\", \"answer\": \"a\"}}\n");
    let text: String = (0..9).map(|i| line(["a", "b", "a"][i % 3], i)).collect();
    let mut tasks = read(&text).unwrap();
    limit(&mut tasks, 2);
    let kept: Vec<&str> = tasks.iter().map(|t| t.prompt.as_str()).collect();
    assert_eq!(kept, ["0", "1", "2", "4"]);
    limit(&mut tasks, 0);
    assert!(tasks.is_empty());
}

#[test]
fn intervals_are_those_of_the_books() {
    let score = |right, n| Score { n, right, cut_off: 0 };
    // Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), table I,
    // the score method without a continuity correction.
    for (right, n, low, high) in
        [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
    {
        let (a, b) = score(right, n).interval();
        assert!((a - low).abs() < 6e-5 && (b - high).abs() < 6e-5, "{right}/{n}: {a} {b}");
        let (c, d) = score(n - right, n).interval();
        assert!((c - (1.0 - b)).abs() < 1e-12 && (d - (1.0 - a)).abs() < 1e-12);
    }
    assert_eq!(score(0, 0).interval(), (0.0, 1.0));
    assert_eq!(score(0, 0).accuracy(), 0.0);
}

#[test]
fn groups_are_counted_in_their_order() {
    let tasks = read(
        "{\"task\": \"b\", \"prompt\": \"p\", \"answer\": \"x\"}\n\
         {\"task\": \"a\", \"prompt\": \"p\", \"answer\": \"x\"}\n\
         {\"task\": \"b\", \"prompt\": \"p\", \"answer\": \"x\"}",
    )
    .unwrap();
    let answer = |task, right, finish| Answer {
        task,
        text: String::new(),
        reasoning: String::new(),
        right,
        finish,
        prompt_tokens: 1,
        generated: 1,
    };
    let answers = vec![
        answer(0, true, FinishReason::Eog),
        answer(1, false, FinishReason::MaxTokens),
        answer(2, false, FinishReason::ContextFull),
    ];
    let elapsed = std::time::Duration::from_millis(500);
    let report = EvalReport { answers, stopped: false, prompt_tokens: 3, generated: 3, elapsed };
    let (b, a) = (Score { n: 2, right: 1, cut_off: 1 }, Score { n: 1, right: 0, cut_off: 1 });
    assert_eq!(report.groups(&tasks), [("b".to_owned(), b), ("a".to_owned(), a)]);
    assert_eq!(report.overall(), Score { n: 3, right: 1, cut_off: 2 });
    assert_eq!(report.speed(), 6.0);
}
