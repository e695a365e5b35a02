//! `hewn run`.

use crate::support::{
    TINY, arg, command, finish, folder, hewn, hewn_with, plain, refused, thinking, tiny_with, without_template,
};
use hewn_loader::MetaValue;
use std::io::Read;
use std::process::Stdio;

const SHORT: [&str; 4] = ["-n", "24", "--seed", "5"];

fn run(more: &[&str]) -> Vec<u8> {
    hewn(&[&["run", TINY], &SHORT[..], more].concat()).ok().out
}

#[test]
fn a_prompt_from_anywhere_gives_the_same_answer() {
    let dir = folder();
    let file = dir.path().join("prompt");
    std::fs::write(&file, "tell me").unwrap();
    let expected = run(&["tell me"]);
    assert!(expected.len() > 10 && expected.ends_with(b"\n"));
    assert_eq!(run(&["-f", arg(&file)]), expected);
    let args = [&["run", TINY], &SHORT[..]].concat();
    assert_eq!(hewn_with(&args, "tell me").ok().out, expected);
    assert_eq!(hewn_with(&[&args[..], &["-"]].concat(), "tell me").ok().out, expected);
    assert_eq!(hewn_with(&[&args[..], &["-f", "-"]].concat(), "tell me").ok().out, expected);
}

#[test]
fn seeds_and_system_messages_count() {
    let expected = run(&["tell me"]);
    assert_eq!(run(&["tell me"]), expected);
    assert_ne!(hewn(&["run", TINY, "tell me", "-n", "24", "--seed", "6"]).ok().out, expected);
    assert_ne!(run(&["tell me", "--system", "be brief"]), expected);
    assert_eq!(run(&["tell me", "--threads", "1", "--isa", "scalar", "--chunk", "1", "--no-mmap"]), expected);
    // At temperature 0, seeds do not.
    let greedy = |seed| hewn(&["run", TINY, "tell me", "-n", "24", "--seed", seed, "--temp", "0"]).ok().out;
    assert_eq!(greedy("1"), greedy("2"));
}

#[test]
fn templates_get_variables() {
    let dir = folder();
    let template = "{{ style }}{% for m in messages %}{{ m.content }}{% endfor %}: ";
    let model = tiny_with(dir.path(), &[("tokenizer.chat_template", Some(MetaValue::Str(template.into())))]);
    let run = |more: &[&str]| hewn(&[&["run", arg(&model)], &SHORT[..], more].concat());
    let expected = run(&["be brief, tell me"]).ok().out;
    assert_eq!(run(&["tell me", "--chat-template-kwargs", r#"{"style": "be brief, "}"#]).ok().out, expected);
    assert_ne!(run(&["tell me"]).ok().out, expected);
    let wrong = |more: &[&str], why: &str| {
        let done = run(&[&["x", "--chat-template-kwargs"], more].concat());
        assert!(done.code == Some(2) && done.err.contains(why) && done.out.is_empty(), "{}", done.err);
    };
    wrong(&["style=brief"], "JSON object");
    wrong(&[r#"{"messages": []}"#], "comes from the conversation");
    wrong(&["{}", "--raw"], "cannot be used with");
    let model = plain(dir.path());
    let done = hewn(&["run", arg(&model), "x", "--chat-template-kwargs", "{}"]);
    refused(&done, 2, "no chat template");
}

#[test]
fn plain_completion_prints_the_prompt_unless_told_not_to() {
    let whole = String::from_utf8(run(&["the cat", "--raw"])).unwrap();
    let rest = String::from_utf8(run(&["the cat", "--raw", "--no-echo"])).unwrap();
    assert_eq!(whole, format!("the cat{rest}"));
    // A file without a template gives the same, and says that it does.
    let dir = folder();
    let model = plain(dir.path());
    let done = hewn(&[&["run", arg(&model), "the cat"], &SHORT[..]].concat()).ok();
    assert_eq!(done.text(), whole);
    assert!(done.err.contains("no chat template"), "{}", done.err);
    // The answer to a chat-templated prompt is another one.
    assert_ne!(String::from_utf8(run(&["the cat"])).unwrap(), rest);
}

#[test]
fn a_missing_template_is_told_by_the_vocabulary() {
    let dir = folder();
    let model = without_template(dir.path());
    let done = hewn(&[&["run", arg(&model), "the cat", "--system", "be brief"], &SHORT[..]].concat()).ok();
    assert!(done.err.contains("no chat template: using that of chatml"), "{}", done.err);
    assert_eq!(done.out, run(&["the cat", "--system", "be brief"]));
    let talk = hewn_with(&[&["chat", arg(&model)], &SHORT[..]].concat(), "the cat\n").ok();
    assert!(talk.err.contains("using that of chatml") && !talk.out.is_empty(), "{}", talk.err);
}

#[test]
fn json_tells_everything() {
    let v = hewn(&[&["run", TINY, "the cat", "--json", "--raw"], &SHORT[..]].concat()).ok().json();
    let rest = String::from_utf8(run(&["the cat", "--raw", "--no-echo"])).unwrap();
    assert_eq!(v["text"].as_str().unwrap().trim_end_matches('\n'), rest.trim_end_matches('\n'));
    let tokens = v["tokens"].as_array().unwrap();
    assert_eq!(v["seed"], 5);
    assert_eq!(v["timings"]["generated_tokens"], tokens.len());
    let prompt = hewn(&["tokenize", TINY, "the cat", "--json"]).ok().json();
    assert_eq!(v["timings"]["prompt_tokens"], prompt.as_array().unwrap().len());
    let all = hewn(&["run", TINY, "x", "--json", "-n", "24", "--seed", "5", "--ignore-eos"]).ok().json();
    assert_eq!((all["tokens"].as_array().unwrap().len(), all["finish"].as_str()), (24, Some("max_tokens")));
    for key in ["prompt_seconds", "first_token_seconds", "generated_seconds", "generated_tokens_per_second"] {
        assert!(all["timings"][key].as_f64().is_some_and(|t| t > 0.0), "{key}");
    }
    let full = hewn(&["run", TINY, "x", "--json", "--ctx", "40", "--ignore-eos"]).ok().json();
    assert_eq!(full["finish"], "context_full");
}

#[test]
fn stop_strings_end_the_answer_before_them() {
    let args = ["run", TINY, "x", "--json", "--seed", "5", "-n", "60", "--ignore-eos"];
    let whole = hewn(&args).ok().json();
    let whole = whole["text"].as_str().unwrap();
    // Two characters from the middle: in a random model's text most tokens are single bytes, so they span tokens.
    let start = whole.char_indices().nth(whole.chars().count() / 2).unwrap().0;
    let stop: String = whole[start..].chars().take(2).collect();
    let cut = &whole[..whole.find(&stop).unwrap()];
    let v = hewn(&[&args[..], &["--stop", &stop, "--stop", "never there"]].concat()).ok().json();
    assert_eq!(v["text"], cut);
    assert_eq!(v["finish"], format!("stop:{stop}"));
}

#[test]
fn a_biased_token_is_always_or_never_taken() {
    let args = ["run", TINY, "x", "--json", "--seed", "5", "-n", "12", "--ignore-eos", "--logit-bias"];
    let tokens = |bias| hewn(&[&args[..], &[bias]].concat()).ok().json()["tokens"].clone();
    let always = tokens("65+1000");
    assert!(always.as_array().unwrap().iter().all(|t| t == 65), "{always}");
    let never = tokens("65-inf");
    assert!(never.as_array().unwrap().iter().all(|t| t != 65), "{never}");
}

#[test]
fn reasoning_is_kept_apart_and_its_budget_closes_it() {
    let dir = folder();
    let model = thinking(dir.path());
    let args = ["run", arg(&model), "x", "--seed", "5", "-n", "40", "--ignore-eos", "--think-budget", "10"];
    let v = hewn(&[&args[..], &["--json"]].concat()).ok().json();
    let (text, reasoning) = (v["text"].as_str().unwrap(), v["reasoning"].as_str().unwrap());
    assert!(!text.is_empty() && !reasoning.is_empty());
    assert!(!text.contains("think>") && !reasoning.contains("think>"), "{v:#}");
    let with = |think| hewn(&[&args[..], &["--think", think]].concat()).ok().text().to_owned();
    assert_eq!(with("hide").trim_end(), text.trim_end());
    let shown = with("show");
    assert!(shown.starts_with(reasoning) && shown.trim_end().ends_with(text.trim_end()), "{shown}");
    assert_eq!(with("dim"), shown, "a pipe carries no codes");
    // Without an answer, silence would be a riddle.
    let thoughts = hewn(&["run", arg(&model), "x", "--seed", "5", "-n", "5", "--ignore-eos", "--think", "hide"]).ok();
    assert!(thoughts.out.is_empty() && thoughts.err.contains("no answer yet"), "{}", thoughts.err);
}

#[test]
fn colours_only_where_they_are_wanted() {
    let dir = folder();
    let model = thinking(dir.path());
    let args = ["run", arg(&model), "x", "--seed", "5", "-n", "8"];
    let codes = |done: &crate::support::Done| (done.out.contains(&0x1b), done.err.contains('\u{1b}'));
    // Without the model's own control characters, which a pipe gets as they are.
    let biased = [&args[..], &["--logit-bias", "65+1000"]].concat();
    assert_eq!(codes(&hewn(&biased).ok()), (false, false));
    assert_eq!(codes(&finish(command(&biased).env("NO_COLOR", "1"), None).ok()), (false, false));
    assert_eq!(codes(&finish(command(&biased).env("CLICOLOR_FORCE", "1"), None).ok()), (true, true));
}

#[test]
fn the_closing_line_can_be_left_out() {
    let done = hewn(&[&["run", TINY, "x"], &SHORT[..]].concat()).ok();
    for word in ["prompt ", " tokens, ", "/s; generated ", "first token after ", "memory "] {
        assert!(done.err.contains(word), "no `{word}` in {}", done.err);
    }
    assert_eq!(done.err.lines().count(), 2, "the other is about -n: {}", done.err);
    assert!(hewn(&[&["run", TINY, "x", "-q"], &SHORT[..]].concat()).ok().err.is_empty());
}

#[test]
fn customary_spellings_and_repeated_options() {
    let args = |more: &[&str]| hewn(&[&["run", TINY, "tell me"], more].concat()).ok();
    let want = args(&["--max-tokens", "24", "--seed", "5", "--ctx", "100"]);
    assert_eq!(args(&["--n-predict", "24", "-s", "5", "-c", "100"]).out, want.out);
    // The last one counts, so that an alias of the shell can be overridden; lists grow.
    assert_eq!(args(&["-n", "3", "-s", "1", "--think", "hide", "-q", "-q", "-n", "24", "-s", "5"]).out, want.out);
    let both = hewn(&["run", TINY, "x", "-n", "9", "--json", "--logit-bias", "65+900", "--logit-bias", "66+1000"]);
    assert!(both.ok().json()["tokens"].as_array().unwrap().iter().all(|t| t == 66));
}

#[test]
fn an_answer_that_is_cut_off_says_so() {
    let dir = folder();
    let run = |model: &str, more: &[&str]| {
        hewn(&[&["run", model, "x", "--seed", "5", "--ignore-eos"], more].concat()).ok().err
    };
    let err = run(TINY, &["-n", "5"]);
    assert!(err.contains("; cut off by -n\n") && err.contains("the answer is cut off: raise -n"), "{err}");
    let err = run(TINY, &["--ctx", "40"]);
    assert!(
        err.contains("; cut off by the full context\n") && err.contains("the answer is cut off: raise --ctx"),
        "{err}"
    );
    assert!(run(TINY, &[]).contains("the model was trained for no longer context"));
    let whole = hewn(&["run", TINY, "x", "--seed", "5", "--json", "-n", "60", "--ignore-eos"]).ok().json();
    let stop: String = whole["text"].as_str().unwrap().chars().take(2).collect();
    let err = run(TINY, &["-n", "60", "--stop", &stop]);
    assert!(err.contains(&format!("; ended by --stop {stop:?}\n")) && !err.contains("cut off"), "{err}");
    // With the reasoning hidden, what would help follows from what ended it.
    let model = thinking(dir.path());
    let err = run(arg(&model), &["-n", "5", "--think", "hide"]);
    assert!(
        err.contains("no answer yet: raise -n, or see it with --think show") && !err.contains("is cut off"),
        "{err}"
    );
    let err = run(arg(&model), &["--ctx", "40", "--think", "hide"]);
    assert!(err.contains("no answer yet: raise --ctx, or see it"), "{err}");
}

#[test]
fn a_reader_that_leaves_ends_the_run_quietly() {
    let dir = folder();
    let long = tiny_with(dir.path(), &[("qwen2.context_length", Some(MetaValue::U32(200_000)))]);
    let mut command = command(&["run", arg(&long), "x", "--ignore-eos", "-q"]);
    let mut child = command.spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut some = [0; 10];
    out.read_exact(&mut some).unwrap();
    drop(out);
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_answer_and_tells_the_shell() {
    let dir = folder();
    let long = tiny_with(dir.path(), &[("qwen2.context_length", Some(MetaValue::U32(200_000)))]);
    let mut command = command(&["run", arg(&long), "x", "--ignore-eos"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    // It is generating: only now is there something to stop.
    out.read_exact(&mut [0; 10]).unwrap();
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    out.read_to_end(&mut Vec::new()).unwrap();
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(err.contains("generated") && !err.contains("error"), "{err}");
}

#[test]
fn contexts_beyond_the_file_s() {
    let longer = ["--rope-scaling", "yarn", "--rope-scale", "4"];
    let run = |more: &[&str]| hewn(&[&["run", TINY, "-p", "hi", "-n", "3", "-q", "--temp", "0"], more].concat());
    refused(&run(&["-c", "2048"]), 2, "512");
    run(&[&["-c", "2048"], &longer[..]].concat()).ok();
    refused(&run(&[&["-c", "2049"], &longer[..]].concat()), 2, "2048");
    let same = |a: &[&str], b: &[&str]| run(a).ok().out == run(b).ok().out;
    assert!(same(&["--rope-scale", "4"], &["--rope-freq-scale", "0.25"]));
    refused(&run(&["--rope-scaling", "yarn"]), 2, "needs a scale");
    refused(&run(&["--yarn-beta-fast", "8"]), 2, "yarn-beta-fast");
    refused(&run(&["--rope-freq-scale", "0"]), 2, "rope-scale");
    assert_eq!(run(&["--rope-scale", "2", "--rope-freq-scale", "0.5"]).code, Some(2));
    let memory = |more: &[&str]| hewn(&[&["inspect", TINY, "--json", "-c", "2000"], more].concat());
    assert!(memory(&longer).ok().json()["memory"]["kv"].as_u64() > Some(0) && memory(&[]).code == Some(1));
}
