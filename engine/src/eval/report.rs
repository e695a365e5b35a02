//! What came of the questions.

use super::task::Task;
use crate::generate::FinishReason;
use std::collections::HashMap;
use std::time::Duration;

/// What a model said to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The question's place in the list.
    pub task: usize,
    /// The answer.
    pub text: String,
    /// The reasoning before it.
    pub reasoning: String,
    /// Whether it is right.
    pub right: bool,
    /// Why it ended.
    pub finish: FinishReason,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens generated, the end token included.
    pub generated: usize,
}

impl Answer {
    /// Whether the model would have gone on.
    pub fn is_cut_off(&self) -> bool {
        matches!(self.finish, FinishReason::MaxTokens | FinishReason::ContextFull)
    }
}

/// What a model said to all of them.
#[derive(Clone, Debug)]
pub struct EvalReport {
    /// The answers, in the order of the questions. Where it was cancelled, those that were finished.
    pub answers: Vec<Answer>,
    /// Whether it was cancelled before the last answer.
    pub stopped: bool,
    /// Tokens of the prompts that were read.
    pub prompt_tokens: u64,
    /// Tokens generated, those of unfinished answers included.
    pub generated: u64,
    /// How long it took.
    pub elapsed: Duration,
}

impl EvalReport {
    /// Tokens generated per second of the whole run, the reading of prompts included.
    pub fn speed(&self) -> f64 {
        if self.elapsed.is_zero() { 0.0 } else { self.generated as f64 / self.elapsed.as_secs_f64() }
    }

    /// The score of each group, in the order in which they come up in `tasks`, the questions that were asked.
    pub fn groups(&self, tasks: &[Task]) -> Vec<(String, Score)> {
        let (mut groups, mut places) = (Vec::new(), HashMap::new());
        for answer in &self.answers {
            let Some(task) = tasks.get(answer.task) else { continue };
            let place = *places.entry(task.group.as_str()).or_insert_with(|| {
                groups.push((task.group.clone(), Score::default()));
                groups.len() - 1
            });
            groups[place].1.count(answer);
        }
        groups
    }

    /// The score of all together.
    pub fn overall(&self) -> Score {
        let mut score = Score::default();
        self.answers.iter().for_each(|a| score.count(a));
        score
    }
}

/// How many answers were right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Answers.
    pub n: usize,
    /// Right ones.
    pub right: usize,
    /// Those that the limit of tokens or the context cut off.
    pub cut_off: usize,
}

impl Score {
    fn count(&mut self, answer: &Answer) {
        self.n += 1;
        self.right += usize::from(answer.right);
        self.cut_off += usize::from(answer.is_cut_off());
    }

    /// The share of right answers; 0 where there is none.
    pub fn accuracy(&self) -> f64 {
        self.right as f64 / self.n.max(1) as f64
    }

    /// Where the accuracy on ever more questions of this kind lies with a probability of 95 %: the score interval of
    /// E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the American
    /// Statistical Association 22 (1927), 209-212. Unlike the usual one it stays within 0 and 1, and has a width where
    /// all answers are right. Without answers it is all there is.
    pub fn interval(&self) -> (f64, f64) {
        /// 97.5 % of a normal distribution are below.
        const Z: f64 = 1.959963984540054;
        if self.n == 0 {
            return (0.0, 1.0);
        }
        let (n, p, zz) = (self.n as f64, self.accuracy(), Z * Z);
        let middle = (p + zz / (2.0 * n)) / (1.0 + zz / n);
        let half = Z / (1.0 + zz / n) * (p * (1.0 - p) / n + zz / (4.0 * n * n)).sqrt();
        ((middle - half).max(0.0), (middle + half).min(1.0))
    }
}
