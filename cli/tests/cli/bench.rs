//! `hewn bench`, on the small model: what it reports, not how fast that is.

use crate::support::{TINY, arg, folder, hewn};

/// A run that takes next to no time.
fn bench(more: &[&str]) -> crate::support::Done {
    hewn(&[&["bench", TINY, "-p", "16", "-n", "4", "-r", "2"], more].concat())
}

#[test]
fn every_combination_is_a_row() {
    let v =
        bench(&["--json", "-t", "1,2", "-d", "0,32", "-b", "1,3", "--isa", "scalar", "--layout", "file"]).ok().json();
    let rows = v["results"].as_array().unwrap();
    let mut names: Vec<String> =
        rows.iter().map(|r| format!("{} t{}", r["test"].as_str().unwrap(), r["threads"])).collect();
    names.sort_unstable();
    let mut want = Vec::new();
    for threads in [1, 2] {
        for depth in ["", " @ d32"] {
            want.extend(["pp16", "tg4", "tg4 b3"].map(|t| format!("{t}{depth} t{threads}")));
        }
    }
    want.sort_unstable();
    assert_eq!(names, want);
    for r in rows {
        assert_eq!((r["isa"].as_str(), r["layout"].as_str()), (Some("scalar"), Some("file")));
        let (s, samples) = (&r["tokens_per_s"], r["samples"].as_array().unwrap());
        let of = |name: &str| s[name].as_f64().unwrap();
        assert!(samples.len() == 2 && of("min") > 0.0 && of("min") <= of("median") && of("median") <= of("max"));
        assert!(r["share"].as_f64().unwrap() > 0.0 && r["gb_per_s"].as_f64().unwrap() > 0.0);
        let generates = r["test"].as_str().unwrap().starts_with("tg");
        for alone in ["weights_gb_per_s", "share_of_reading"] {
            assert_eq!(r[alone].as_f64().is_some_and(|v| v > 0.0), generates, "{r}");
        }
    }
}

#[test]
fn files_of_one_name_are_told_apart() {
    let dir = folder();
    let [a, b] = ["a", "b"].map(|name| {
        std::fs::create_dir(dir.path().join(name)).unwrap();
        dir.path().join(name).join("model.gguf")
    });
    std::fs::copy(TINY, &a).unwrap();
    std::fs::copy(TINY, &b).unwrap();
    let args = ["bench", arg(&a), arg(&b), arg(&a), "-p", "4", "-r", "1", "--layout", "file", "--json"];
    let v = hewn(&args).ok().json();
    let names: Vec<&str> = v["results"].as_array().unwrap().iter().map(|r| r["model"].as_str().unwrap()).collect();
    assert_eq!(names, ["a/model", "b/model"]);
}

#[test]
fn styles() {
    let table = bench(&[]).ok();
    assert!(table.text().contains("tokens/s") && table.text().contains("pp16") && table.text().contains("GB/s"));
    assert_eq!(table.text().matches("reading the weights of ").count(), 1, "{}", table.text());
    let markdown = bench(&["--markdown"]).ok();
    assert!(markdown.text().lines().all(|l| l.starts_with('|') && l.ends_with('|')), "{}", markdown.text());
    let csv = bench(&["--csv"]).ok();
    let fields: Vec<usize> = csv.text().lines().map(|l| l.split(',').count()).collect();
    assert!(fields.len() == 3 && fields.iter().all(|n| *n == fields[0]), "{}", csv.text());
}

#[test]
fn a_file_is_written_and_compared() {
    let dir = folder();
    let path = dir.path().join("a.json");
    let table = bench(&["--json", "-o", arg(&path)]).ok();
    assert!(table.text().contains("tokens/s"), "the table is shown meanwhile");
    let same = hewn(&["bench", "--compare", arg(&path), arg(&path)]).ok();
    assert_eq!(same.text().matches("+0.0 %").count(), 2, "{}", same.text());
    assert!(!same.text().contains("faster") && !same.text().contains("slower"));
    let no = hewn(&["bench", "--compare", arg(&path), TINY]);
    assert!(no.code == Some(1) && no.err.contains("is not a report"), "{}", no.err);
}

#[test]
fn kernels_are_compared_too() {
    let dir = folder();
    let (kernels, models) = (dir.path().join("k.json"), dir.path().join("m.json"));
    hewn(&["bench", "--kernels", "norm", "-r", "2", "-t", "1", "--json", "-o", arg(&kernels)]).ok();
    let same = hewn(&["bench", "--compare", arg(&kernels), arg(&kernels)]).ok();
    assert!(same.text().contains("norm/512") && same.text().contains("+0.0 %"), "{}", same.text());
    // More time is less speed.
    let mut slower: serde_json::Value = serde_json::from_slice(&std::fs::read(&kernels).unwrap()).unwrap();
    let times = &mut slower["results"][0]["microseconds"];
    let most = times["max"].as_f64().unwrap();
    for name in ["median", "min", "max"] {
        times[name] = (10.0 * most).into();
    }
    std::fs::write(&models, slower.to_string()).unwrap();
    let half = hewn(&["bench", "--compare", arg(&kernels), arg(&models)]).ok();
    assert!(half.text().contains("slower"), "{}", half.text());
    bench(&["--json", "-o", arg(&models)]).ok();
    let no = hewn(&["bench", "--compare", arg(&kernels), arg(&models)]);
    assert!(no.code == Some(1) && no.err.contains("of kernels, the other of models"), "{}", no.err);
}

#[test]
fn what_cannot_run_is_told_at_once() {
    let dir = folder();
    let nowhere = dir.path().join("no").join("x.json");
    for (more, says) in [
        (&["-p", "0"][..], "--prompt must not be 0"),
        (&["-b", "0"], "--batch must not be 0"),
        (&["-t", "0"], "--threads must not be 0"),
        (&["-t", "5000"], "too many"),
        (&["--isa", "mmx"], "mmx"),
        (&["-d", "512"], "has a context of 512"),
        (&["-p", "18446744073709551615", "-d", "5"], "has a context of 512"),
        (&["-b", "4000000000"], "memory"),
        (&["--json", "-o", arg(&nowhere)], "write"),
    ] {
        let done = bench(more);
        assert!(matches!(done.code, Some(1 | 2)) && done.err.contains(says), "{more:?}: {}", done.err);
        assert!(done.out.is_empty());
    }
    assert!(hewn(&["bench"]).err.contains("no model was given"));
    assert!(hewn(&["bench", TINY, "-r", "0"]).err.contains("'0'"));
}
