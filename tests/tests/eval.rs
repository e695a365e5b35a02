//! Questions asked many at a time are answered as one at a time, by `generate`.

use hewn_engine::chat::{ChatTemplate, Message, prompt, template_from_gguf};
use hewn_engine::eval::{EvalError, EvalOptions, EvalReport, Task, evaluate, read_tasks};
use hewn_engine::sampler::SamplerOptions;
use hewn_engine::tokenizer::Tokenizer;
use hewn_engine::{
    CancelToken, CpuIsa, EngineError, FinishReason, GenerateOptions, KvType, LoadOptions, Model, Runner, RunnerOptions,
    Sequence, SequenceOptions, Team, Thinking, generate,
};
use std::path::Path;
use std::sync::Arc;

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/tiny-random.gguf");

struct Setup {
    runner: Runner,
    tokenizer: Tokenizer,
    template: ChatTemplate,
}

impl Setup {
    fn new(isa: CpuIsa, threads: usize) -> Self {
        let model = Arc::new(Model::open(Path::new(TINY), &LoadOptions::default()).unwrap());
        let tokenizer = Tokenizer::from_gguf(model.gguf()).unwrap();
        let template = ChatTemplate::new(&template_from_gguf(model.gguf()).unwrap().unwrap()).unwrap();
        let team = Arc::new(Team::new(threads, isa).unwrap());
        let runner = Runner::new(model, team, &RunnerOptions { chunk: 50 }).unwrap();
        Self { runner, tokenizer, template }
    }

    fn ask(&mut self, tasks: &[Task], options: &EvalOptions) -> Result<EvalReport, EvalError> {
        let Self { runner, tokenizer, template } = self;
        evaluate(runner, tokenizer, Some(template), tasks, options, &CancelToken::new(), &mut |_| {})
    }
}

/// Questions of very different lengths, so that answers begin and end at different steps.
fn questions() -> Vec<Task> {
    let line = |i: usize| {
        let words = "word ".repeat(i * i % 23 + 1);
        format!("{{\"task\": \"t{}\", \"prompt\": \"{words}{i}\", \"regex\": \"[a-m]\"}}\n", i % 3)
    };
    read_tasks((0..13).map(line).collect::<String>().as_bytes()).unwrap()
}

#[test]
fn a_batch_gives_the_answers_of_single_runs() {
    let (tasks, tokens) = (questions(), 40);
    let mut setup = Setup::new(CpuIsa::best(), 2);
    let Setup { runner, tokenizer, template } = &mut setup;
    let options = GenerateOptions {
        max_tokens: Some(tokens),
        sampler: SamplerOptions { temperature: 0.0, ..SamplerOptions::default() },
        think: Thinking { parse: true, opened: None, budget: None },
        ..GenerateOptions::default()
    };
    let mut want = Vec::new();
    for task in &tasks {
        let p = prompt::chat(tokenizer, template, &[Message::new("user", &task.prompt)]).unwrap();
        let mut seq = Sequence::new(runner.model(), &SequenceOptions { ctx: None, kv: KvType::F16 }).unwrap();
        let never = CancelToken::new();
        want.push(generate(runner, tokenizer, &mut seq, &p.tokens, &options, &never, &mut |_| {}).unwrap());
    }
    for (batch, isa, threads) in [
        (1, CpuIsa::best(), 2),
        (3, CpuIsa::best(), 1),
        (8, CpuIsa::best(), 5),
        (100, CpuIsa::best(), 2),
        (4, CpuIsa::available()[0], 2),
    ] {
        let options = EvalOptions { batch, max_tokens: Some(tokens), ..EvalOptions::default() };
        let report = Setup::new(isa, threads).ask(&tasks, &options).unwrap();
        assert!(!report.stopped && report.answers.len() == tasks.len());
        assert_eq!(report.generated, want.iter().map(|w| w.tokens.len() as u64).sum::<u64>());
        for (i, (got, want)) in report.answers.iter().zip(&want).enumerate() {
            assert_eq!((got.task, &got.text, &got.reasoning), (i, &want.text, &want.reasoning), "batch {batch}");
            assert_eq!((&got.finish, got.generated), (&want.finish, want.tokens.len()), "batch {batch}");
            assert_eq!(got.prompt_tokens, want.timings.prompt_tokens);
            assert_eq!(got.right, want.text.contains(|c| ('a'..='m').contains(&c)));
        }
    }
}

#[test]
fn answers_end_where_the_context_does() {
    let tasks = questions();
    let options = EvalOptions { batch: 5, ctx: Some(200), ..EvalOptions::default() };
    let report = Setup::new(CpuIsa::best(), 2).ask(&tasks, &options).unwrap();
    for answer in &report.answers {
        let full = answer.prompt_tokens + answer.generated == 201;
        assert!(answer.finish == FinishReason::Eog || answer.finish == FinishReason::ContextFull && full, "{answer:?}");
    }
    assert!(report.overall().cut_off > 0, "a random model goes on and on");
}

#[test]
fn what_cannot_be_asked_is_an_error_before_the_first_question() {
    let (tasks, mut setup) = (questions(), Setup::new(CpuIsa::best(), 2));
    let longest = EvalOptions { ctx: Some(30), ..EvalOptions::default() };
    let error = setup.ask(&tasks, &longest).unwrap_err();
    assert!(matches!(error, EvalError::Prompt { ctx: 30, tokens: 31.., .. }), "{error}");
    for options in [
        EvalOptions { batch: 0, ..EvalOptions::default() },
        EvalOptions { max_tokens: Some(0), ..EvalOptions::default() },
        EvalOptions { ctx: Some(513), ..EvalOptions::default() },
    ] {
        let error = setup.ask(&tasks, &options).unwrap_err();
        assert!(matches!(error, EvalError::Engine(EngineError::Option { .. })), "{error}");
    }
    assert!(setup.ask(&[], &EvalOptions::default()).unwrap().answers.is_empty());
}

#[test]
fn a_cancelled_run_keeps_its_finished_answers() {
    let tasks = questions();
    let mut setup = Setup::new(CpuIsa::best(), 2);
    let Setup { runner, tokenizer, template } = &mut setup;
    let options = EvalOptions { batch: 2, max_tokens: Some(10), ..EvalOptions::default() };
    let cancel = CancelToken::new();
    let report = evaluate(runner, tokenizer, Some(template), &tasks, &options, &cancel, &mut |p| {
        assert_eq!(p.total, tasks.len());
        if p.done >= 4 {
            cancel.cancel();
        }
    })
    .unwrap();
    assert!(report.stopped && (4..tasks.len()).contains(&report.answers.len()), "{}", report.answers.len());
    let whole = setup.ask(&tasks, &options).unwrap();
    for answer in &report.answers {
        assert_eq!(*answer, whole.answers[answer.task]);
    }
    let report =
        evaluate(&mut setup.runner, &setup.tokenizer, Some(&setup.template), &tasks, &options, &cancel, &mut |_| {
            panic!("nothing is done")
        });
    assert!(report.unwrap().answers.is_empty());
}
