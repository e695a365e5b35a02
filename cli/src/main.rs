//! `hewn`: run quantized language models on the CPU.

mod args;
mod bench;
mod bounded;
mod bundled;
mod cache;
mod chat;
mod complete;
mod cpu;
mod embed;
mod errors;
mod eval;
mod inspect;
mod interrupt;
mod logits;
mod outfile;
mod output;
mod pack;
mod perplexity;
mod profile;
mod prompt;
mod prompt_cache;
mod quantize;
mod roofline;
mod run;
mod setup;
mod synth;
mod temporary;
mod tokenize;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(a) => run::run(a),
        Command::Chat(a) => chat::run(&a),
        Command::Tokenize(a) => tokenize::run(&a),
        Command::Embed(a) => embed::run(&a),
        Command::Rerank(a) => embed::rerank(&a),
        Command::Logits(a) => logits::run(&a),
        Command::Perplexity(a) => perplexity::run(&a),
        Command::Eval(a) => eval::run(&a),
        Command::Inspect(a) => inspect::run(&a),
        Command::Quantize(a) => quantize::run(&a),
        Command::Pack(a) => pack::run(&a),
        Command::Cache(a) => cache::run(&a),
        Command::Bench(a) => bench::run(&a),
        Command::Profile(a) => profile::run(&a),
        Command::Synth(a) => synth::run(&a),
        Command::Cpu(a) => cpu::run(&a),
        Command::Roofline(a) => roofline::run(&a),
        Command::Completions(a) => complete::completions(&a),
        Command::Man(a) => complete::man(&a),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => e.report(),
    }
}
