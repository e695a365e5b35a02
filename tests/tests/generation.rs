//! The generation loop on a tiny model: stops, budgets, cancellation, reuse of the prompt, the end of the context.

use hewn_engine::chat::{Channel, ThinkParser};
use hewn_engine::loader::Gguf;
use hewn_engine::sampler::SamplerOptions;
use hewn_engine::tokenizer::{EncodeOptions, Tokenizer, VocabSource};
use hewn_engine::{
    CancelToken, CpuIsa, EngineError, Event, FinishReason, GenerateOptions, Generation, KvType, Model, Runner,
    RunnerOptions, Sequence, SequenceOptions, Team, Thinking, generate,
};
use hewn_kernels::Format;
use hewn_tests::tiny::{Shape, Tiny};
use std::sync::Arc;

struct Bed {
    model: Arc<Model>,
    tokenizer: Tokenizer,
    runner: Runner,
    cancel: CancelToken,
}

impl Bed {
    fn new() -> Self {
        let tiny = Tiny::make(Shape::qwen2(Format::Q4_0), 5);
        let model = Arc::new(Model::from_gguf(Gguf::from_bytes(tiny.bytes).unwrap()).unwrap());
        let tokenizer = Tokenizer::from_gguf(model.gguf()).unwrap();
        let team = Arc::new(Team::new(2, CpuIsa::best()).unwrap());
        let runner = Runner::new(model.clone(), team, &RunnerOptions { chunk: 16 }).unwrap();
        Self { model, tokenizer, runner, cancel: CancelToken::new() }
    }

    fn ids(&self, text: &str) -> Vec<u32> {
        self.tokenizer.encode(text, &EncodeOptions { add_special: false, parse_special: true })
    }

    fn seq(&self, ctx: usize) -> Sequence {
        Sequence::new(&self.model, &SequenceOptions { ctx: Some(ctx), kv: KvType::F16 }).unwrap()
    }

    fn run(&mut self, seq: &mut Sequence, prompt: &[u32], o: &GenerateOptions) -> Result<Generation, EngineError> {
        generate(&mut self.runner, &self.tokenizer, seq, prompt, o, &self.cancel, &mut |_| {})
    }
}

fn greedy(n: usize) -> GenerateOptions {
    GenerateOptions {
        max_tokens: Some(n),
        sampler: SamplerOptions { temperature: 0.0, ..SamplerOptions::default() },
        ignore_eos: true,
        ..GenerateOptions::default()
    }
}

#[test]
fn a_stop_string_ends_the_text_before_it() {
    let mut bed = Bed::new();
    let prompt = bed.ids("hello");
    let whole = bed.run(&mut bed.seq(200), &prompt, &greedy(60)).unwrap();
    let chars: Vec<char> = whole.text.chars().collect();
    let stop: String = chars[10..14].iter().collect();
    let at = whole.text.find(&stop).unwrap();
    let options = GenerateOptions { stop: vec![stop.clone()], ..greedy(60) };
    let got = bed.run(&mut bed.seq(200), &prompt, &options).unwrap();
    assert_eq!((got.text.as_str(), got.finish), (&whole.text[..at], FinishReason::Stop(stop)));
}

#[test]
fn a_prompt_is_reused_and_changes_nothing() {
    let mut bed = Bed::new();
    let (a, b) = (bed.ids("one two three four five"), bed.ids("one two three four six"));
    let mut seq = bed.seq(200);
    bed.run(&mut seq, &a, &greedy(10)).unwrap();
    let reused = bed.run(&mut seq, &b, &greedy(10)).unwrap();
    let fresh = bed.run(&mut bed.seq(200), &b, &greedy(10)).unwrap();
    assert!(reused.timings.cached_tokens > 10 && fresh.timings.cached_tokens == 0);
    assert_eq!(reused.tokens, fresh.tokens);
    // The very same prompt again: all but its last token.
    let again = bed.run(&mut seq, &b, &greedy(10)).unwrap();
    assert_eq!((again.timings.cached_tokens, again.tokens), (b.len() - 1, fresh.tokens));
}

#[test]
fn the_context_is_filled_to_its_end() {
    let mut bed = Bed::new();
    let prompt = bed.ids("fill me");
    let mut seq = bed.seq(prompt.len() + 5);
    let got = bed.run(&mut seq, &prompt, &GenerateOptions { max_tokens: None, ..greedy(0) }).unwrap();
    assert_eq!((got.finish, got.tokens.len(), seq.len()), (FinishReason::ContextFull, 6, seq.ctx()));
    let long = bed.ids(&"x".repeat(300));
    assert!(matches!(bed.run(&mut seq, &long, &greedy(1)), Err(EngineError::Context { .. })));
    assert!(bed.run(&mut seq, &[], &greedy(1)).is_err());
}

#[test]
fn a_budget_closes_the_reasoning() {
    let mut bed = Bed::new();
    let prompt = bed.ids("<|im_start|>assistant\n<think>\n");
    let think = Thinking { parse: true, opened: ThinkParser::opened_by("<think>"), budget: Some(7) };
    let got = bed.run(&mut bed.seq(200), &prompt, &GenerateOptions { think, ..greedy(30) }).unwrap();
    let close = bed.tokenizer.token_id("</think>").unwrap();
    assert_eq!(got.tokens.iter().position(|t| *t == close), Some(8), "{:?}", got.tokens);
    assert!(!got.reasoning.is_empty() && !got.reasoning.contains("</think>") && !got.text.contains("</think>"));
    assert!(!got.text.is_empty());
}

#[test]
fn what_the_file_suppresses_is_never_said() {
    let mut bed = Bed::new();
    let prompt = bed.ids("hello");
    let said = bed.run(&mut bed.seq(100), &prompt, &greedy(20)).unwrap().tokens;
    let suppressed = Some(vec![i64::from(said[0]), -1, i64::from(said[5]), 1 << 40]);
    let source = VocabSource::from_gguf(bed.model.gguf()).unwrap();
    bed.tokenizer = Tokenizer::new(VocabSource { suppressed, ..source }).unwrap();
    assert_eq!(bed.tokenizer.suppressed(), [said[0], said[5]]);
    let now = bed.run(&mut bed.seq(100), &prompt, &greedy(20)).unwrap().tokens;
    assert!(now.len() == 20 && !now.contains(&said[0]) && !now.contains(&said[5]), "{said:?} {now:?}");
}

#[test]
fn cancelling_keeps_what_there_is() {
    let mut bed = Bed::new();
    let prompt = bed.ids(&"a long prompt ".repeat(10));
    let mut seq = bed.seq(400);
    // While the prompt is computed ...
    bed.cancel.cancel();
    let got = bed.run(&mut seq, &prompt, &greedy(10)).unwrap();
    assert_eq!((got.finish, got.tokens.len(), seq.len()), (FinishReason::Cancelled, 0, 16));
    // ... and while text is generated.
    bed.cancel.reset();
    let (cancel, mut n) = (bed.cancel.clone(), 0);
    let mut on = |e: Event<'_>| {
        n += usize::from(matches!(e, Event::Token(_)));
        if n == 4 {
            cancel.cancel();
        }
    };
    let got = generate(&mut bed.runner, &bed.tokenizer, &mut seq, &prompt, &greedy(50), &bed.cancel, &mut on).unwrap();
    assert_eq!((got.finish, got.tokens.len()), (FinishReason::Cancelled, 4));
}

#[test]
fn an_end_token_ends_it_and_channels_add_up() {
    let mut bed = Bed::new();
    let prompt = bed.ids("end");
    let end = bed.tokenizer.eos().unwrap();
    let mut options = greedy(20);
    options.sampler.logit_bias = vec![(end, 1e9)];
    options.ignore_eos = false;
    let got = bed.run(&mut bed.seq(100), &prompt, &options).unwrap();
    assert_eq!((got.finish, got.tokens, got.text.as_str()), (FinishReason::Eog, vec![end], ""));
    let mut pieces = [String::new(), String::new()];
    let think = Thinking { parse: true, opened: ThinkParser::opened_by("<think>"), budget: Some(3) };
    let options = GenerateOptions { think, ..greedy(20) };
    let mut on = |e: Event<'_>| {
        if let Event::Text { channel, text } = e {
            pieces[usize::from(channel == Channel::Answer)].push_str(text);
        }
    };
    let mut seq = bed.seq(100);
    let got = generate(&mut bed.runner, &bed.tokenizer, &mut seq, &prompt, &options, &bed.cancel, &mut on).unwrap();
    assert_eq!(pieces, [got.reasoning, got.text]);
}
