//! The binary `hewn` as a user or a script meets it: what it prints, where, and with which exit code.

mod adapters;
mod bench;
mod browser;
mod bundled;
mod chat;
mod cpu;
mod embed;
mod errors;
mod eval;
mod generate;
mod golden;
mod inspect;
mod logits;
mod outputs;
mod pack;
mod perplexity;
mod profile;
mod prompt_cache;
mod quantize;
mod roofline;
mod support;
mod synth;
mod tokenize;
mod tools;
