//! `hewn chat` through a pipe: one message or command a line.

use crate::support::{Done, TINY, folder, hewn_with};
use serde_json::Value;
use std::path::Path;

fn chat(input: &str) -> Done {
    hewn_with(&["chat", TINY, "-n", "12", "--seed", "5", "--ignore-eos"], input)
}

/// What `/save` wrote.
fn saved(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn messages_are_answered_in_turn() {
    let dir = folder();
    let file = dir.path().join("talk.json");
    let done =
        chat(&format!("hello\n\nand then\\\nmore\n\"\"\"a\n b\"\"\"\n/save {}\n/quit\nnever read\n", file.display()));
    let done = done.ok();
    let talk = saved(&file);
    let messages = talk["messages"].as_array().unwrap();
    let said: Vec<&str> = messages.iter().step_by(2).map(|m| m["content"].as_str().unwrap()).collect();
    assert_eq!(said, ["hello", "and then\nmore", "a\n b"]);
    assert!(messages.iter().skip(1).step_by(2).all(|m| m["role"] == "assistant"));
    let mut rest = done.text();
    for answer in messages.iter().skip(1).step_by(2) {
        let answer = answer["content"].as_str().unwrap().trim();
        assert!(!answer.is_empty());
        rest = rest.split_once(answer).unwrap_or_else(|| panic!("`{answer}` is not in `{rest}`")).1;
    }
    // The same words give the same conversation; the first answer is the one of `hewn run`.
    let alone = chat("hello\n").ok();
    assert!(done.text().starts_with(alone.text()));
    let run = crate::support::hewn(&["run", TINY, "hello", "-n", "12", "--seed", "5", "--ignore-eos"]).ok();
    assert_eq!(alone.text(), run.text());
}

#[test]
fn the_system_message_is_kept_and_removed() {
    let dir = folder();
    let file = dir.path().join("talk.json");
    let plain = chat("hello\n").ok().out;
    let with = chat(&format!("/system be brief\nhello\n/save {}\n", file.display())).ok();
    assert_ne!(with.out, plain);
    assert_eq!(saved(&file)["system"], "be brief");
    let option =
        hewn_with(&["chat", TINY, "-n", "12", "--seed", "5", "--ignore-eos", "--system", "be brief"], "hello\n");
    assert_eq!(option.ok().out, with.out);
    assert_eq!(chat("/system be brief\n/system\nhello\n").ok().out, plain);
}

#[test]
fn a_saved_conversation_goes_on_where_it_was() {
    let dir = folder();
    let file = dir.path().join("talk.json");
    let (first, path) = (chat("hello\n").ok().out, file.display());
    let whole = chat(&format!("hello\n/save {path}\nand more\n")).ok();
    let rest = chat(&format!("/load {path}\nand more\n")).ok();
    assert_eq!([first, rest.out.clone()].concat(), whole.out);
    assert!(rest.err.contains("2 messages loaded"), "{}", rest.err);

    std::fs::write(&file, "[1, 2]").unwrap();
    let broken = chat(&format!("/load {path}\n"));
    assert!(broken.code == Some(1) && broken.err.contains("no saved conversation"), "{}", broken.err);
    let missing = chat("/load no/such/talk.json\n");
    assert!(missing.code == Some(1) && missing.err.contains("no/such/talk.json"), "{}", missing.err);
    let unwritable = chat("/save no/such/talk.json\n");
    assert!(unwritable.code == Some(1) && unwritable.err.contains("cannot write"), "{}", unwritable.err);
}

#[test]
fn answers_can_be_replaced_and_forgotten() {
    let dir = folder();
    let (one, two) = (dir.path().join("1.json"), dir.path().join("2.json"));
    let done = chat(&format!("hello\n/save {}\n/regen\n/save {}\n", one.display(), two.display())).ok();
    let (one, two) = (saved(&one), saved(&two));
    assert_eq!((&one["messages"][0], two["messages"].as_array().unwrap().len()), (&two["messages"][0], 2));
    assert_ne!(one["messages"][1], two["messages"][1], "another seed, another answer");
    assert!(done.text().contains(two["messages"][1]["content"].as_str().unwrap().trim()));

    let file = dir.path().join("3.json");
    let again = chat(&format!("hello\n/reset\nhello\n/save {}\n", file.display())).ok();
    let once = chat("hello\n").ok();
    assert_eq!(again.text(), once.text().repeat(2), "nothing of the first is left");
    assert_eq!(saved(&file)["messages"].as_array().unwrap().len(), 2);
    let nothing = chat("/regen\n");
    assert!(nothing.code == Some(2) && nothing.err.contains("no answer to replace"), "{}", nothing.err);
}

#[test]
fn stats_and_help() {
    let done = chat("/stats\nhello\nand more\n/stats\n/help\n").ok();
    for word in ["nothing was said yet", " known) tokens", "of 512 tokens", "seed 5", "/regen", "Ctrl-D"] {
        assert!(done.err.contains(word), "no `{word}` in {}", done.err);
    }
    assert!(!done.text().contains('/') || !done.text().contains("known)"), "notes go to standard error");
}

#[test]
fn slips_end_a_piped_chat_with_a_usage_error() {
    for (input, cause) in [
        ("/nonsense\n", "there is no command /nonsense"),
        ("/save\n", "needs a file name"),
        ("/reset now\n", "takes nothing after it"),
    ] {
        let done = chat(input);
        assert_eq!(done.code, Some(2));
        let lines: Vec<&str> = done.err.lines().collect();
        assert!(lines.len() == 2 && lines[0].contains(cause) && lines[1].starts_with("hint: "), "{}", done.err);
    }
    // A path is a message.
    assert!(!chat("/usr/bin is a path\n").ok().out.is_empty());
}

#[test]
fn a_message_that_does_not_fit_is_refused() {
    let long = "word ".repeat(400);
    let done = chat(&format!("hello\n{long}\n"));
    assert!(done.code == Some(1) && done.err.contains("512"), "{}", done.err);
    assert!(
        done.err.contains("hint: shorten the message, or make room: /forget drops") && !done.err.contains("--ctx"),
        "{}",
        done.err
    );
    let dir = folder();
    let file = dir.path().join("talk.json");
    let full =
        hewn_with(&["chat", TINY, "--ctx", "40", "--ignore-eos"], &format!("hello\n/save {}\n", file.display())).ok();
    assert!(full.err.contains("the context is full: /forget drops"), "{}", full.err);
    assert_eq!(saved(&file)["messages"].as_array().unwrap().len(), 2);
}

#[test]
fn messages_are_taken_back_at_both_ends() {
    let dir = folder();
    let file = dir.path().join("talk.json");
    let messages = |input: &str| {
        chat(&format!("{input}/save {}\n", file.display())).ok();
        saved(&file)["messages"].clone()
    };
    let talk = messages("one\ntwo\n");
    let (first, both) = (messages("one\n"), talk.as_array().unwrap());
    assert_eq!(messages("one\nthree\n/undo\n"), first);
    assert_eq!(messages("one\nthree\n/undo\ntwo\n"), talk, "nothing of what was taken back is left");
    assert_eq!(messages("one\ntwo\n/forget\n").as_array().unwrap()[..], both[2..]);
    assert_eq!(messages("zero\n/forget\none\n")[1], first[1]);
    for command in ["/undo", "/forget"] {
        let done = chat(&format!("{command}\n"));
        assert!(done.code == Some(2) && done.err.contains("no message to take back"), "{}", done.err);
    }
    // A full context goes on.
    let room = "hello\n/forget\nhello\n";
    let done = hewn_with(&["chat", TINY, "--ctx", "40", "--ignore-eos"], room).ok();
    assert_eq!(done.err.matches("the context is full").count(), 2, "{}", done.err);
}
