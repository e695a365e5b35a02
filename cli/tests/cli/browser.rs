//! A headless browser, where there is one: what a page says on the console, and what it asks the network for.

use crate::support::folder;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A Chromium.
pub struct Browser(PathBuf);

/// What was seen.
#[derive(Debug)]
pub struct Seen {
    /// Messages on the console.
    pub console: Vec<String>,
    /// Addresses that the page asked for and that are not files.
    pub requests: Vec<String>,
    /// The page after it was loaded.
    pub dom: String,
}

/// The first one on the path; says on standard error when there is none.
pub fn find() -> Option<Browser> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = std::env::split_paths(&path).flat_map(|d| names.map(|n| d.join(n))).find(|p| p.is_file());
    if found.is_none() {
        eprintln!("skipped: there is no Chromium to look at the page with");
    }
    found.map(Browser)
}

impl Browser {
    /// Loads a file.
    pub fn open(&self, page: &Path) -> Seen {
        let dir = folder();
        let log = dir.path().join("net.json");
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--dump-dom",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
        ];
        let output = Command::new(&self.0)
            .args(flags)
            .arg(format!("--user-data-dir={}", dir.path().join("profile").display()))
            .arg(format!("--log-net-log={}", log.display()))
            .arg(format!("file://{}", page.display()))
            .stdin(Stdio::null())
            .output()
            .expect("the browser starts");
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{err}");
        let log = fs::read_to_string(&log).expect("the browser's log of requests");
        let log: Value = serde_json::from_str(&log).unwrap_or_else(|e| panic!("{e}: {log}"));
        let mut requests: Vec<String> = log["events"]
            .as_array()
            .expect("events")
            .iter()
            .map(|e| &e["params"])
            // What the browser asks for itself has no origin.
            .filter(|p| p["initiator"].as_str().is_some_and(|i| i != "not an origin"))
            .filter_map(|p| p["url"].as_str())
            .filter(|url| url.starts_with("http") || url.starts_with("ws"))
            .map(str::to_owned)
            .collect();
        requests.dedup();
        Seen {
            console: err.lines().filter(|l| l.contains("CONSOLE")).map(str::to_owned).collect(),
            requests,
            dom: String::from_utf8_lossy(&output.stdout).into_owned(),
        }
    }
}

#[test]
fn faults_of_a_page_are_seen() {
    let Some(browser) = find() else { return };
    let dir = folder();
    let page = dir.path().join("bad.html");
    let text =
        "<p>before</p><img src=\"http://localhost:9/picture.png\"><script>console.error('oh'); nonsense();</script>";
    fs::write(&page, text).unwrap();
    let seen = browser.open(&page);
    assert!(seen.console.len() >= 2 && seen.requests.iter().any(|r| r.contains("picture.png")), "{seen:?}");
    assert!(seen.dom.contains("before"));
}
