//! What is to be measured, checked before anything runs.

use crate::args::{BenchArgs, Layout};
use crate::errors::CliError;
use crate::setup;
use hewn_engine::{CpuIsa, default_threads};

/// One test: some tokens, after so many others, in so many sequences at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test {
    /// What is done.
    pub kind: Kind,
    /// Tokens of each sequence.
    pub tokens: usize,
    /// Tokens that each sequence holds before.
    pub depth: usize,
    /// Sequences.
    pub batch: usize,
}

/// The two kinds of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All tokens in one step, as for a prompt.
    Prompt,
    /// One token a step, as for an answer.
    Generate,
}

impl Test {
    /// `pp512`, `tg128`, `tg128 b4`, `tg128 @ d1024`.
    pub fn name(&self) -> String {
        let kind = if self.kind == Kind::Prompt { "pp" } else { "tg" };
        let batch = if self.batch > 1 { format!(" b{}", self.batch) } else { String::new() };
        let depth = if self.depth > 0 { format!(" @ d{}", self.depth) } else { String::new() };
        format!("{kind}{}{batch}{depth}", self.tokens)
    }

    /// The test with which to warm up: enough for all memory to be taken and the threads to be awake.
    pub fn warm_up(&self, chunk: usize) -> Self {
        let most = if self.kind == Kind::Prompt { chunk } else { 4 };
        Self { tokens: self.tokens.min(most), ..*self }
    }

    /// Positions that a sequence needs.
    pub fn ctx(&self) -> usize {
        self.depth.saturating_add(self.tokens)
    }
}

/// All combinations.
pub struct Plan {
    /// Every test.
    pub tests: Vec<Test>,
    /// Instruction sets.
    pub isas: Vec<CpuIsa>,
    /// Thread counts.
    pub threads: Vec<usize>,
    /// From where the weights are read.
    pub layouts: Vec<Layout>,
}

impl Plan {
    /// Checks the arguments.
    pub fn new(a: &BenchArgs) -> Result<Self, CliError> {
        let instead = |what: &str| format!("it is a count of at least 1; leave {what} out to run the other kind only");
        nonzero("--prompt", &a.prompt, &instead("--prompt"))?;
        nonzero("--generate", &a.generate, &instead("--generate"))?;
        nonzero("--batch", &a.batch, "it is a number of sequences")?;
        nonzero("--threads", &a.threads, "it is a number of threads")?;
        if let Some(t) = a.threads.iter().find(|t| **t > 1024) {
            return Err(CliError::usage(format!("--threads {t} is too many"), "1024 is the most"));
        }
        a.threads.iter().try_for_each(|n| setup::check_threads(*n).map(drop))?;
        let isas = match a.isa.iter().filter(|n| !n.is_empty()).collect::<Vec<_>>() {
            names if names.is_empty() => vec![CpuIsa::best()],
            names => names.into_iter().map(|n| CpuIsa::from_name(n)).collect::<Result<_, _>>().map_err(|e| {
                CliError::usage(e, "leave out --isa and HEWN_ISA to use the best one, or give a list of those")
            })?,
        };
        // With neither kind asked for, the customary two.
        let both = a.prompt.is_empty() && a.generate.is_empty();
        let prompts: &[usize] = if both { &[512] } else { &a.prompt };
        let generations: &[usize] = if both { &[128] } else { &a.generate };
        let mut tests = Vec::new();
        for &depth in &a.depth {
            tests.extend(prompts.iter().map(|&tokens| Test { kind: Kind::Prompt, tokens, depth, batch: 1 }));
            for &tokens in generations {
                tests.extend(a.batch.iter().map(|&batch| Test { kind: Kind::Generate, tokens, depth, batch }));
            }
        }
        let threads = if a.threads.is_empty() { vec![default_threads()] } else { a.threads.clone() };
        Ok(Self { tests, isas, threads, layouts: a.layout.clone() })
    }

    /// Positions of the longest test.
    pub fn ctx(&self) -> usize {
        self.tests.iter().map(Test::ctx).max().unwrap_or(0)
    }

    /// Every depth, with the most sequences that a test needs there.
    pub fn pools(&self) -> Vec<(usize, usize)> {
        let mut depths: Vec<usize> = self.tests.iter().map(|t| t.depth).collect();
        depths.sort_unstable();
        depths.dedup();
        let most = |d: usize| self.tests.iter().filter(|t| t.depth == d).map(|t| t.batch).max().unwrap_or(0);
        depths.into_iter().map(|d| (d, most(d))).collect()
    }
}

fn nonzero(option: &str, values: &[usize], hint: &str) -> Result<(), CliError> {
    match values.contains(&0) {
        true => Err(CliError::usage(format!("{option} must not be 0"), hint)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_done() {
        let t = Test { kind: Kind::Prompt, tokens: 512, depth: 0, batch: 1 };
        assert_eq!(t.name(), "pp512");
        assert_eq!(Test { kind: Kind::Generate, tokens: 8, depth: 64, batch: 4 }.name(), "tg8 b4 @ d64");
    }
}
