//! `hewn profile`, on a small model: that its figures fit together, and that its files are what they claim to be.

use crate::browser;
use crate::support::{Done, TINY, arg, folder, hewn, refused};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

fn profile(more: &[&str]) -> Done {
    hewn(&[&["profile", TINY, "--pp", "48", "--tg", "6", "-t", "2", "--layout", "file"], more].concat())
}

fn number(v: &Value, field: &str) -> f64 {
    v[field].as_f64().unwrap_or_else(|| panic!("{field} in {v}"))
}

#[test]
fn figures_fit_together() {
    let v = profile(&["--json", "--chunk", "32"]).ok().json();
    assert!(v["machine"]["cpu"].is_string() && v["model"]["architecture"] == "qwen2" && v["settings"]["threads"] == 2);
    let phases = v["phases"].as_array().unwrap();
    let facts = |p: &Value| (p["name"].as_str().unwrap().to_owned(), p["tokens"].as_u64(), p["steps"].as_u64());
    let names: Vec<_> = phases.iter().map(facts).collect();
    assert_eq!(names, [("prefill".to_owned(), Some(48), Some(2)), ("decode".to_owned(), Some(6), Some(6))]);
    for p in phases {
        let wall = number(p, "wall_seconds");
        let ops = p["operations"].as_array().unwrap();
        let sum: f64 = ops.iter().map(|o| number(o, "seconds")).sum();
        assert!((sum / wall - 1.0).abs() < 0.05, "{sum} of {wall}");
        let layers: f64 = p["layers"].as_array().unwrap().iter().map(|l| number(l, "seconds")).sum();
        assert!((layers / sum - 1.0).abs() < 1e-6, "every operation is in a layer or outside of them");
        assert!((number(p, "tokens_per_s") * wall - number(p, "tokens")).abs() < 1e-6);
        for o in ops {
            let bound = o["bound"].as_str().unwrap();
            let idle = o["operation"] == "team";
            assert_eq!(idle, bound == "none", "{o}");
            assert!(["memory", "cache", "arithmetic", "none"].contains(&bound));
            assert!(idle || number(o, "of_ceiling") > 0.0, "{o}");
            let lost: f64 = ["serial", "barrier", "imbalance"].map(|f| number(&o["lost"], f)).iter().sum();
            assert!(lost >= 0.0 && lost <= 2.0 * number(o, "seconds") + 1e-9, "{o}");
        }
        let has = |name: &str| ops.iter().any(|o| o["operation"] == name);
        assert!(["qkv product", "attention", "gate/up product", "down product", "logits", "norm"].into_iter().all(has));
    }
    let one = |p: &Value, name: &str| {
        p["operations"].as_array().unwrap().iter().find(|o| o["operation"] == name).unwrap().clone()
    };
    // All of the six tokens read the same weights; a prompt of two chunks reads them twice.
    let of = |p: &Value| number(&one(p, "down product"), "weight_bytes");
    assert_eq!(of(&phases[1]) / 6.0, of(&phases[0]) / 2.0);
}

#[test]
fn a_run_may_begin_behind_other_tokens() {
    let run = |more: &[&str]| {
        let v = hewn(&[&["profile", TINY, "--tg", "1", "-t", "1", "--layout", "file", "--json"], more].concat())
            .ok()
            .json();
        let steps = v["phases"][0]["steps"].as_u64().unwrap();
        let ops = v["phases"][0]["operations"].as_array().unwrap().clone();
        let attention = ops.into_iter().find(|o| o["operation"] == "attention").unwrap();
        (v["settings"]["depth"].as_u64().unwrap(), steps, number(&attention, "kv_bytes"))
    };
    let (none, deep) = (run(&[]), run(&["-d", "63"]));
    // Its own key and value, and those of the 63 before, which are not profiled.
    assert_eq!((none.0, none.1, deep.0, deep.1), (0, 1, 63, 1));
    assert_eq!(deep.2, 64.0 * none.2);
    let text = hewn(&["profile", TINY, "--tg", "1", "-t", "1", "--layout", "file", "-d", "63"]).ok();
    assert!(text.text().contains("behind 63 tokens"), "{}", text.text());
    let far = hewn(&["profile", TINY, "--tg", "1", "-d", "18446744073709551615"]);
    refused(&far, 2, "but the run needs");
}

#[test]
fn the_table_names_the_bounds() {
    let done = profile(&[]).ok();
    for text in [
        "prefill: 48 tokens",
        "decode: 6 tokens",
        "ceilings: memory",
        "(these weights ",
        "bound",
        "memory",
        "imbalance",
        "layers, a step",
    ] {
        assert!(done.text().contains(text), "{text}: {}", done.text());
    }
    let text = hewn(&["profile", TINY, "-p", "Hello there", "--tg", "2", "-t", "1"]).ok();
    assert!(text.text().contains("decode: 2 tokens") && !text.text().contains("imbalance"), "{}", text.text());
    let only = hewn(&["profile", TINY, "--tg", "2", "-t", "1", "--chunk", "1"]).ok();
    assert!(!only.text().contains("prefill"));
    let few = hewn(&["profile", TINY, "--pp", "3", "-t", "1", "--chunk", "2"]).ok();
    assert!(!few.text().contains("decode"));
}

/// A slice: its start, its length, its name.
type Slice = (f64, f64, String);

/// The rules of the trace format, as far as complete and metadata events go.
fn check_trace(v: &Value) {
    let events = v["traceEvents"].as_array().expect("traceEvents");
    let mut tracks: BTreeMap<(u64, u64), Vec<Slice>> = BTreeMap::new();
    let (mut named, mut processes) = (BTreeSet::new(), BTreeSet::new());
    for e in events {
        let id = |field: &str| e[field].as_u64().unwrap_or_else(|| panic!("{field} in {e}"));
        let (pid, tid, name) = (id("pid"), id("tid"), e["name"].as_str().expect("a name"));
        assert!(!name.is_empty() && number(e, "ts") >= 0.0, "{e}");
        match e["ph"].as_str() {
            Some("X") => {
                assert!(number(e, "dur") >= 0.0 && e["args"].is_object() && e["cat"].is_string(), "{e}");
                tracks.entry((pid, tid)).or_default().push((number(e, "ts"), number(e, "dur"), name.to_owned()));
            }
            Some("M") => match name {
                "process_name" => _ = processes.insert((pid, e["args"]["name"].as_str().expect("a name").to_owned())),
                "thread_name" => assert!(e["args"]["name"].is_string() && named.insert((pid, tid)), "{e}"),
                "thread_sort_index" => assert!(e["args"]["sort_index"].is_u64(), "{e}"),
                _ => panic!("no such metadata: {e}"),
            },
            _ => panic!("no such phase: {e}"),
        }
    }
    assert_eq!(processes.len(), 1);
    for (track, mut slices) in tracks {
        assert!(named.contains(&track), "{track:?} has a name");
        slices.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
        let mut open: Vec<(f64, String)> = Vec::new();
        for (start, dur, name) in slices {
            // Microseconds with three decimals, whose sums are not exact.
            let slack = 1e-4;
            while open.last().is_some_and(|o| o.0 <= start + slack) {
                open.pop();
            }
            if let Some((end, outer)) = open.last() {
                assert!(start + dur <= end + slack, "{name} sticks out of {outer} on {track:?}");
            }
            open.push((start + dur, name));
        }
    }
}

#[test]
fn the_trace_keeps_to_the_format() {
    let dir = folder();
    let path = dir.path().join("t.json");
    profile(&["--trace", arg(&path)]).ok();
    let v: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    check_trace(&v);
    let events = v["traceEvents"].as_array().unwrap();
    let slices = |kind: &str| events.iter().filter(|e| e["cat"] == kind).count();
    // Prefill and decode; a chunk and six tokens; two layers each.
    assert_eq!((slices("phase"), slices("step"), slices("layer")), (2, 7, 14));
    assert!(slices("operation") > 7 * 20 && slices("work") > 0);
    // On a busy machine the second thread may come too late for all of it.
    let work = |e: &&Value| e["cat"] == "work";
    assert!(events.iter().filter(work).all(|e| e["tid"] == 1 || e["tid"] == 2));
}

#[test]
#[should_panic(expected = "sticks out of")]
fn a_trace_whose_slices_cross_is_refused() {
    check_trace(&serde_json::json!({"traceEvents": [
        {"ph": "M", "ts": 0, "pid": 1, "tid": 0, "name": "process_name", "args": {"name": "p"}},
        {"ph": "M", "ts": 0, "pid": 1, "tid": 0, "name": "thread_name", "args": {"name": "t"}},
        {"ph": "X", "ts": 0, "dur": 5, "pid": 1, "tid": 0, "name": "a", "cat": "c", "args": {}},
        {"ph": "X", "ts": 3, "dur": 5, "pid": 1, "tid": 0, "name": "b", "cat": "c", "args": {}},
    ]}));
}

#[test]
fn the_page_needs_nothing_else() {
    let dir = folder();
    let path = dir.path().join("p.html");
    profile(&["--html", arg(&path)]).ok();
    let page = fs::read_to_string(&path).unwrap();
    assert_eq!(page.matches("<svg").count(), 6, "three plots for each phase");
    for text in ["<script", "src=", "@import", "url(", "NaN", "inf GB"] {
        assert!(!page.contains(text), "{text}");
    }
    let addresses: Vec<&str> = page.match_indices("http").map(|(i, _)| &page[i..(i + 40).min(page.len())]).collect();
    let harmless = |a: &&str| a.starts_with("http://www.w3.org/2000/svg") || a.starts_with("http-equiv");
    assert!(addresses.iter().all(harmless), "{addresses:?}");
    for text in
        ["tiny-random.gguf", "Prefill: 48 tokens", "Decode: 6 tokens", "operations per byte", "Gop/s", "ms a step"]
    {
        let other = text.replace("ms a", "us a");
        assert!(page.contains(text) || page.contains(&other), "{text}");
    }
    let Some(browser) = browser::find() else { return };
    let seen = browser.open(&path);
    assert!(seen.console.is_empty() && seen.requests.is_empty(), "{:?} {:?}", seen.console, seen.requests);
    assert!(seen.dom.contains("Threads, in two layers"), "the page was rendered");
}

#[test]
fn what_cannot_run_is_told_at_once() {
    let dir = folder();
    let nowhere = dir.path().join("no").join("x");
    for (args, says) in [
        (&["profile", TINY, "--pp", "0"][..], "--pp must not be 0"),
        (&["profile", TINY, "--tg", "0"], "--tg must not be 0"),
        (&["profile", TINY, "--pp", "500", "--tg", "500"], "has a context of 512"),
        (&["profile", TINY, "--pp", "18446744073709551615", "--tg", "1"], "has a context of 512"),
        (&["profile", TINY, "-p", ""], "no tokens"),
        (&["profile", "--shape", "tiny", "--tg", "2000", "--chunk", "0"], "'0'"),
        (&["profile", TINY, "--isa", "mmx"], "mmx"),
        (&["profile", "no/such.gguf"], "no/such.gguf"),
        (&["profile", "no/such.gguf", "--html", arg(&nowhere)], "cannot write"),
        (&["profile", "no/such.gguf", "--trace", arg(&nowhere)], "cannot write"),
        (&["profile", "no/such.gguf", "--html", arg(dir.path())], "cannot write"),
        (&["profile", "--shape", "gpt-5"], "there is no shape `gpt-5`"),
        (&["profile", "--shape", "tiny", "--quant", "q1"], "there is no mix `q1`"),
        (&["profile"], "MODEL"),
    ] {
        let done = hewn(args);
        assert!(matches!(done.code, Some(1 | 2)) && done.err.contains(says), "{args:?}: {}", done.err);
        assert!(done.out.is_empty());
    }
    assert!(dir.path().read_dir().unwrap().next().is_none(), "nothing is left behind");
}
