//! `hewn cpu`.

use crate::support::{command, finish, hewn};

#[test]
fn the_choice_of_an_instruction_set() {
    let v = hewn(&["cpu", "--json"]).ok().json();
    let all = v["isa"]["all"].as_object().unwrap();
    let usable: Vec<&String> = all.iter().filter(|(_, s)| s["usable"] == true).map(|(name, _)| name).collect();
    assert_eq!(v["isa"]["chosen"], **usable.last().unwrap(), "the last usable one is the fastest");
    assert_eq!(all["scalar"]["usable"], true);
    for (name, set) in all {
        let lacks = set["lacks"].as_array().map_or(usize::MAX, Vec::len);
        assert_eq!(set["usable"] == true, lacks == 0, "{name}");
        // What is called usable runs, what is not is refused.
        let code = if lacks == 0 { Some(0) } else { Some(2) };
        assert_eq!(hewn(&["cpu", "--isa", name]).code, code, "{name}");
        for missing in set["lacks"].as_array().into_iter().flatten() {
            assert_eq!(v["features"][missing.as_str().unwrap()], false);
        }
    }
    let forced = finish(command(&["cpu"]).env("HEWN_ISA", "scalar"), None).ok();
    assert!(forced.text().contains("instruction set scalar: asked for"), "{}", forced.text());
    let wrong = hewn(&["cpu", "--isa", "mmx"]);
    assert!(wrong.code == Some(2) && wrong.err.contains("mmx") && wrong.err.lines().count() == 2, "{}", wrong.err);
}

#[test]
fn threads_and_what_they_follow_from() {
    let v = hewn(&["cpu", "--json"]).ok().json();
    let threads = v["threads"]["default"].as_u64().unwrap();
    let allowed = v["processors"]["allowed"].as_u64().unwrap();
    assert!((1..=allowed).contains(&threads));
    match v["threads"]["decided_by"].as_str() {
        Some("cores") => assert_eq!(v["cores"].as_array().unwrap().len() as u64, threads),
        Some("performance_cores") => assert_eq!(v["performance_cores"], threads),
        _ => {}
    }
    let text = hewn(&["cpu"]).ok();
    for name in ["CPU", "features", "processors", "cores", "caches", "memory", "huge pages"] {
        assert!(text.text().lines().any(|l| l.starts_with(name)), "no `{name}` in {}", text.text());
    }
    let line = text.text().lines().find(|l| l.starts_with("threads")).unwrap();
    assert_eq!(line.split_whitespace().nth(1), Some(&*format!("{threads}:")));
    assert!(line.ends_with(v["threads"]["reason"].as_str().unwrap()) && text.err.is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn what_linux_tells() {
    let v = hewn(&["cpu", "--json"]).ok().json();
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total = meminfo.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024;
    assert_eq!(v["memory"]["total"], total);
    assert!(v["memory"]["available"].as_u64().unwrap() < total);
    assert!(v["processors"]["online"].as_u64() >= v["processors"]["allowed"].as_u64());
    for cache in v["caches"].as_array().unwrap() {
        assert!(cache["bytes"].as_u64().unwrap() > 0 && cache["shared_by"].as_u64().unwrap() > 0, "{cache}");
    }
}
