//! The folder of packed files, as the environment names it, and `hewn cache`.

use crate::args::{CacheArgs, CacheCommand};
use crate::bench::print::printable;
use crate::errors::CliError;
use crate::output::{bytes, note};
use comfy_table::{CellAlignment, Table, presets};
use hewn_engine::PackCache;
use hewn_engine::packed::CacheEntry;
use serde_json::json;
use std::env;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// The cache's size where `HEWN_CACHE_LIMIT` does not say otherwise.
const LIMIT: u64 = 32 << 30;

/// `HEWN_CACHE_DIR`, else `hewn` in `XDG_CACHE_HOME`, else in `~/.cache`; `None` for a user without a home.
pub fn folder() -> Result<Option<PackCache>, CliError> {
    let set = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    // The specification says that a relative one is to be ignored.
    let general = set("XDG_CACHE_HOME").filter(|p| p.is_absolute());
    let general = general.or_else(|| env::home_dir().filter(|p| p.is_absolute()).map(|h| h.join(".cache")));
    let limit = match env::var("HEWN_CACHE_LIMIT") {
        Ok(text) if !text.is_empty() => size(&text).ok_or_else(|| {
            CliError::usage(format!("HEWN_CACHE_LIMIT is `{text}`"), "it must be a size such as 20G, 512M or 0")
        })?,
        _ => LIMIT,
    };
    let dir = set("HEWN_CACHE_DIR").or_else(|| general.map(|g| g.join("hewn")));
    Ok(dir.map(|dir| PackCache::new(dir, limit)))
}

/// `20G`, `1.5T`, `512M`, `1000`: powers of 1024.
fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text[digits.len()..].trim_start().to_ascii_uppercase().trim_end_matches("IB").trim_end_matches('B')
    {
        "" => 1u64,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => return None,
    };
    if let Ok(n) = digits.parse::<u64>() {
        return n.checked_mul(unit);
    }
    if !digits.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let bytes = digits.parse::<f64>().ok()? * unit as f64;
    (bytes < u64::MAX as f64).then_some(bytes as u64)
}

/// Runs the subcommand.
pub fn run(a: &CacheArgs) -> Result<(), CliError> {
    let Some(cache) = folder()? else {
        return Err(CliError::failure("there is no cache folder", "set HEWN_CACHE_DIR to a folder"));
    };
    match &a.command {
        CacheCommand::List { json } => list(&cache, *json),
        CacheCommand::Clear { names } => clear(&cache, names),
    }
}

fn list(cache: &PackCache, as_json: bool) -> Result<(), CliError> {
    let entries = cache.list()?;
    let total: u64 = entries.iter().map(|e| e.bytes).sum();
    let mut out = stdout().lock();
    if as_json {
        let list = entries.iter().map(|e| {
            let used = e.used.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
            json!({"name": e.name, "path": e.path.display().to_string(), "model": e.model, "bytes": e.bytes, "used": used,
                "complete": e.complete, "busy": e.busy})
        });
        let list: Vec<_> = list.collect();
        let value =
            json!({"dir": cache.dir().display().to_string(), "limit": cache.limit(), "bytes": total, "files": list});
        writeln!(out, "{value:#}")?;
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["name", "model", "size", "last used", ""]);
    for e in &entries {
        table.add_row([e.name.clone(), model(e), bytes(e.bytes), ago(e.used), state(e).to_owned()]);
    }
    if let Some(column) = table.column_mut(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    if !entries.is_empty() {
        writeln!(out, "{table}")?;
    }
    note(&format!("{}: {} of {} at most", cache.dir().display(), bytes(total), bytes(cache.limit())));
    Ok(())
}

fn model(e: &CacheEntry) -> String {
    printable(e.model.as_deref().unwrap_or("(unreadable)"))
}

fn state(e: &CacheEntry) -> &'static str {
    match (e.complete, e.busy) {
        (true, true) => "in use",
        (true, false) => "",
        (false, true) => "being made",
        (false, false) => "unfinished",
    }
}

fn ago(then: SystemTime) -> String {
    let s = SystemTime::now().duration_since(then).map_or(0, |d| d.as_secs());
    match s {
        0..120 => "now".to_owned(),
        120..7200 => format!("{} minutes ago", s / 60),
        7200..172_800 => format!("{} hours ago", s / 3600),
        _ => format!("{} days ago", s / 86_400),
    }
}

fn clear(cache: &PackCache, names: &[String]) -> Result<(), CliError> {
    let entries = cache.list()?;
    let named = |e: &CacheEntry, name: &String| e.name == *name || e.model.as_deref() == Some(name);
    if let Some(unknown) = names.iter().find(|n| !entries.iter().any(|e| named(e, n))) {
        let cause = format!("there is no `{unknown}` in {}", cache.dir().display());
        return Err(CliError::failure(cause, "`hewn cache list` shows what there is"));
    }
    let (mut count, mut freed) = (0, 0);
    for e in entries.iter().filter(|e| names.is_empty() || names.iter().any(|n| named(e, n))) {
        if cache.remove(e)? {
            (count, freed) = (count + 1, freed + e.bytes);
        } else {
            note(&format!("{} is being made at the moment and stays", e.name));
        }
    }
    note(&format!("removed {count} {}, {}", if count == 1 { "file" } else { "files" }, bytes(freed)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes() {
        for (text, n) in
            [("0", 0), ("1000", 1000), ("20G", 20 << 30), ("512 MiB", 512 << 20), ("1.5k", 1536), ("3TB", 3 << 40)]
        {
            assert_eq!(size(text), Some(n), "{text}");
        }
        for text in ["", "G", "-1", "20X", "99999999999T", "1e3G", "ten"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
