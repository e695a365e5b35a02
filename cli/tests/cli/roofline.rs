//! `hewn roofline`: what it reports, and that it keeps it.

use crate::support::{command, finish, folder};
use serde_json::Value;

#[test]
fn measures_once_and_keeps_the_result() {
    let dir = folder();
    let cache = dir.path().join("cache");
    let run =
        |args: &[&str]| finish(command(&[&["roofline", "-t", "1"], args].concat()).env("HEWN_CACHE_DIR", &cache), None);
    let first = run(&["--json"]).ok().json();
    let positive = |v: &Value| v.as_f64().is_some_and(|v| v.is_finite() && v > 0.0);
    let (reads, peaks) = (first["reads"].as_array().unwrap(), first["peaks"].as_array().unwrap());
    assert!(reads.iter().any(|r| r["level"] == "memory") && reads.iter().all(|r| positive(&r["gb_per_s"])));
    assert!(peaks[0]["isa"] == "scalar", "{peaks:?}");
    for p in peaks {
        let rates = ["int8_gop_per_s", "int8_signed_gop_per_s", "f32_gop_per_s"];
        assert!(rates.iter().all(|r| positive(&p[r])) && p["threads"] == 1, "{p}");
    }
    assert_eq!(run(&["--json"]).ok().json(), first, "the kept result");
    let table = run(&[]).ok();
    for word in ["memory (", "scalar, 1 thread", "Gop/s", "tokens/s at most"] {
        assert!(table.text().contains(word), "{}", table.text());
    }
    // A file that is damaged, or of another machine, is measured anew.
    let kept = cache.join("roofline.json");
    let other = std::fs::read_to_string(&kept).unwrap().replace("\"scalar\"", "\"abacus\"");
    std::fs::write(&kept, other).unwrap();
    assert_eq!(run(&["--json"]).ok().json()["peaks"][0]["isa"], "scalar");
}
