//! The page: one file with everything in it, no scripts, and a policy that lets nothing be fetched.

use super::measure::Profile;
use super::plots;
use super::report::Report;
use super::table::time;
use crate::bench::print::speed;
use crate::errors::CliError;
use crate::output::{bytes, count};
use hewn_engine::record::Op;
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use std::fmt::Display;

/// Renders the page.
pub fn page(r: &Report, p: &Profile) -> Result<String, CliError> {
    let drawn = |e: &dyn Display| CliError::failure(format!("the page could not be drawn: {e}"), "use --json instead");
    let mut phases = Vec::new();
    for (phase, run) in r.phases.iter().zip(&p.phases) {
        let plots = [
            plots::roofline(phase, &r.ceilings),
            plots::layers(phase),
            plots::timeline(run, r.settings.threads, r.model.layers),
        ];
        let [roofline, layers, timeline] = plots.map(|s| s.map(Value::from_safe_string).map_err(|e| drawn(&*e)));
        let seen = |op: &Op| phase.operations.iter().any(|o| o.operation == op.name());
        let chip = |op: Op| context! { name => op.name(), colour => plots::css(op) };
        phases.push(context! {
            roofline => roofline?,
            layers => layers?,
            timeline => timeline?,
            legend => Op::ALL.into_iter().filter(seen).map(chip).collect::<Vec<_>>(),
            ..Value::from(Serde(phase))
        });
    }
    let mut env = Environment::new();
    env.add_filter("time", |v: f64| time(v));
    env.add_filter("speed", |v: f64| speed(v));
    env.add_filter("giga", |v: f64| speed(v / 1e9));
    env.add_filter("percent", |v: f64| format!("{:.1} %", v * 100.0));
    // A dash is easier to pass over than a zero.
    let or_dash = |v: f64, text: String| if v > 0.0 { text } else { "-".to_owned() };
    env.add_filter("rate", move |v: f64| or_dash(v, speed(v)));
    env.add_filter("size", move |v: f64| or_dash(v, bytes(v as u64)));
    env.add_filter("count", |v: f64| count(v as u64));
    env.add_template("page.html", include_str!("page.html")).map_err(|e| drawn(&e))?;
    let page = env.get_template("page.html").map_err(|e| drawn(&e))?;
    page.render(context! { phases, ..Value::from(Serde(r)) }).map_err(|e| drawn(&e))
}
