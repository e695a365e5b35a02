//! Guessing ahead changes no token, no event and nothing that is left in the sequence, whatever the model and wherever the
//! answer ends.

use hewn_engine::chat::ThinkParser;
use hewn_engine::loader::{Gguf, GgufWriter, MetaValue, Value};
use hewn_engine::sampler::SamplerOptions;
use hewn_engine::speculate::{Draft, Speculator};
use hewn_engine::synth::{self, Mix, Shape};
use hewn_engine::tokenizer::{EncodeOptions, Tokenizer};
use hewn_engine::{
    CancelToken, CpuIsa, EngineError, Event, FinishReason, GenerateOptions, Generation, Model, Runner, RunnerOptions,
    Sequence, SequenceOptions, Team, Thinking, generate,
};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Plain, a mixture of experts, windows, and running states of each kind.
const SHAPES: [&str; 6] = ["tiny", "tiny-moe", "tiny-gemma4", "tiny-delta", "tiny-lfm2", "tiny-ssm"];

fn model(shape: &str, seed: u64) -> Arc<Model> {
    let mut file = Vec::new();
    let (shape, mix) = (Shape::find(shape).unwrap(), Mix::find("q8_0").unwrap());
    synth::write(shape, mix, seed, &mut file, &mut |_, _| ControlFlow::Continue(())).unwrap();
    Arc::new(Model::from_gguf(Gguf::from_bytes(file).unwrap()).unwrap())
}

fn runner(model: &Arc<Model>, chunk: usize) -> Runner {
    let team = Arc::new(Team::new(2, CpuIsa::best()).unwrap());
    Runner::new(model.clone(), team, &RunnerOptions { chunk }).unwrap()
}

fn tokenizer(model: &Model) -> Tokenizer {
    Tokenizer::from_gguf(model.gguf()).unwrap()
}

fn sequence(model: &Model, ctx: usize) -> Sequence {
    Sequence::new(model, &SequenceOptions { ctx: Some(ctx), ..SequenceOptions::default() }).unwrap()
}

/// One of the same model, or of another one, guesses as well.
fn draft(of: &Arc<Model>, with: &Arc<Model>) -> Draft {
    let options = SequenceOptions { ctx: Some(90), ..SequenceOptions::default() };
    Draft::new(runner(with, 16), &options, &tokenizer(with), &tokenizer(of), of.config().vocab).unwrap()
}

/// A text that repeats itself here and there.
fn prompt(n: u32) -> Vec<u32> {
    (0..n).map(|i| 40 + if i % 24 < 16 { (i % 8) * 7 } else { i * i % 50 }).collect()
}

fn options(max: usize, temperature: f32) -> GenerateOptions {
    let sampler = SamplerOptions { temperature, repeat_penalty: 1.05, ..SamplerOptions::default() };
    GenerateOptions { max_tokens: Some(max), sampler, seed: 7, ignore_eos: true, ..GenerateOptions::default() }
}

/// What was said, with every event, and what the sequence holds then.
fn told(r: &mut Runner, seq: &mut Sequence, prompt: &[u32], o: &GenerateOptions) -> (Generation, Vec<String>) {
    let tokenizer = tokenizer(r.model());
    let mut events = Vec::new();
    let on = &mut |e: Event<'_>| events.push(format!("{e:?}"));
    (generate(r, &tokenizer, seq, prompt, o, &CancelToken::new(), on).unwrap(), events)
}

/// What of it may not differ. The sequence may be at an earlier mark, from which it goes on.
fn outcome(g: &Generation) -> (&str, &str, &[u32], &FinishReason) {
    (&g.text, &g.reasoning, &g.tokens, &g.finish)
}

#[test]
fn it_changes_no_token() {
    for shape in SHAPES {
        let (model, other) = (model(shape, 1), model(shape, 2));
        let mut right = 0;
        for (temperature, chunk) in [(0.0, 64), (0.0, 3), (0.7, 64), (1.3, 1)] {
            let o = options(70, temperature);
            let mut plain = runner(&model, chunk);
            let mut seq = sequence(&model, 200);
            let want = told(&mut plain, &mut seq, &prompt(50), &o);
            assert_eq!((want.0.timings.guessed, seq.len()), (0, 50 + 69));
            for (most, with) in [(1, None), (7, None), (64, None), (5, Some(&model)), (3, Some(&other))] {
                let mut guessing = runner(&model, chunk);
                let mut s = Speculator::new(most).unwrap().eager();
                if let Some(with) = with {
                    s = s.with_draft(draft(&model, with));
                }
                guessing.speculate(Some(s));
                let mut ahead = sequence(&model, 200);
                let case = format!("{shape}, {most} at {temperature}, chunks of {chunk}");
                let got = told(&mut guessing, &mut ahead, &prompt(50), &o);
                assert_eq!((outcome(&got.0), &got.1), (outcome(&want.0), &want.1), "{case}");
                let t = got.0.timings;
                assert!(t.right <= t.guessed && (t.guessed > 0 || with.is_none()), "{case}: {t:?}");
                right += t.right;
                assert_eq!(ahead.tokens(), seq.tokens(), "{case}");
                // The conversation goes on alike.
                let next: Vec<u32> =
                    prompt(50).into_iter().chain(want.0.tokens.iter().copied()).chain([5, 6]).collect();
                let more = told(&mut guessing, &mut ahead, &next, &options(9, temperature)).0;
                let again = told(&mut plain, &mut seq.try_clone().unwrap(), &next, &options(9, temperature)).0;
                assert_eq!(outcome(&more), outcome(&again), "{case}");
            }
        }
        assert!(right > 0, "{shape}: no guess was ever right");
    }
}

#[test]
fn a_model_that_is_as_good_is_always_right() {
    for shape in ["tiny", "tiny-delta"] {
        let model = model(shape, 1);
        let mut r = runner(&model, 64);
        r.speculate(Some(Speculator::new(4).unwrap().eager().with_draft(draft(&model, &model))));
        let o = GenerateOptions {
            sampler: SamplerOptions { temperature: 0.0, ..SamplerOptions::default() },
            ..options(41, 0.0)
        };
        // Nothing here repeats itself, or the text would be asked first.
        let text: Vec<u32> = (40..60).collect();
        let t = told(&mut r, &mut sequence(&model, 100), &text, &o).0.timings;
        assert!(t.guessed >= 30, "{t:?}");
        assert!(t.right * 10 >= t.guessed * 8, "{t:?}");
    }
}

#[test]
fn it_ends_where_it_would_have_ended() {
    let model = model("tiny", 1);
    let tokenizer = tokenizer(&model);
    let text = prompt(50);
    let mut plain = runner(&model, 64);
    let whole = told(&mut plain, &mut sequence(&model, 200), &text, &options(60, 0.0)).0;
    let chars: Vec<char> = whole.text.chars().collect();
    let think = Thinking { parse: true, opened: ThinkParser::opened_by("<think>"), budget: Some(11) };
    let mut cases: Vec<(usize, GenerateOptions)> = Vec::new();
    for n in 0..20 {
        cases.push((200, options(n, 0.0)));
        cases.push((50 + n, GenerateOptions { max_tokens: None, ..options(0, 0.0) }));
        let stop: String = chars.iter().skip(2 * n).take(3).collect();
        cases.push((200, GenerateOptions { stop: vec![stop], ..options(60, 0.0) }));
        let budget = Some(n);
        cases.push((200, GenerateOptions { think: Thinking { budget, ..think.clone() }, ..options(40, 0.0) }));
        // One of its own tokens ends the answer.
        let bias = vec![(tokenizer.eos().unwrap(), n as f32)];
        let sampler = SamplerOptions { logit_bias: bias, ..options(0, 0.8).sampler };
        cases.push((200, GenerateOptions { sampler, ignore_eos: false, ..options(60, 0.8) }));
    }
    let mut ends = Vec::new();
    for (ctx, o) in cases {
        let mut seq = sequence(&model, ctx);
        let want = told(&mut plain, &mut seq, &text, &o);
        for most in [2, 9] {
            let mut guessing = runner(&model, 64);
            guessing.speculate(Some(Speculator::new(most).unwrap().eager()));
            let mut ahead = sequence(&model, ctx);
            let got = told(&mut guessing, &mut ahead, &text, &o);
            assert_eq!((outcome(&got.0), &got.1), (outcome(&want.0), &want.1), "{o:?}");
            assert_eq!(ahead.tokens(), seq.tokens(), "{o:?}");
        }
        let kind = std::mem::discriminant(&want.0.finish);
        if !ends.contains(&kind) {
            ends.push(kind);
        }
    }
    assert_eq!(ends.len(), 4, "stop strings, end tokens, the most tokens, the end of the context");
}

#[test]
fn cancelling_keeps_what_there_is() {
    ["tiny", "tiny-gemma4", "tiny-ssm"].into_iter().for_each(cancelling);
}

fn cancelling(shape: &str) {
    let model = model(shape, 1);
    let tokenizer = tokenizer(&model);
    let stopped = |speculator: Option<Speculator>, after: usize| {
        let mut r = runner(&model, 64);
        r.speculate(speculator);
        let (cancel, mut n) = (CancelToken::new(), 0);
        let mut seq = sequence(&model, 200);
        let on = &mut |e: Event<'_>| {
            n += usize::from(matches!(e, Event::Token(_)));
            if n == after {
                cancel.cancel();
            }
        };
        let g = generate(&mut r, &tokenizer, &mut seq, &prompt(50), &options(60, 0.0), &cancel, on).unwrap();
        assert_eq!(g.finish, FinishReason::Cancelled);
        (g.tokens, seq.tokens().to_vec())
    };
    for after in 1..20 {
        let want = stopped(None, after);
        assert_eq!(want.0.len(), after);
        let got = stopped(Some(Speculator::new(7).unwrap().eager()), after);
        assert_eq!(got, want, "{shape}");
        // While the smaller model guesses, or before.
        let s = Speculator::new(7).unwrap().eager().with_draft(draft(&model, &model));
        assert_eq!(stopped(Some(s), after), want, "{shape}");
    }
}

#[test]
fn however_many_guesses_seem_to_pay_the_text_is_the_same() {
    for shape in SHAPES {
        let model = model(shape, 1);
        let mut plain = runner(&model, 64);
        let want = told(&mut plain, &mut sequence(&model, 256), &prompt(50), &options(150, 0.0)).0;
        let mut guessing = runner(&model, 64);
        let s = Speculator::new(7).unwrap().with_draft(draft(&model, &model));
        guessing.speculate(Some(s));
        let got = told(&mut guessing, &mut sequence(&model, 256), &prompt(50), &options(150, 0.0)).0;
        assert_eq!(outcome(&got), outcome(&want), "{shape}");
    }
}

/// The same model with fewer tokens, and infinities for those that are not `good`.
fn altered(model: &Model, vocab: usize, good: impl Fn(u32) -> bool) -> Arc<Model> {
    let gguf = model.gguf();
    let mut w = GgufWriter::new();
    for (name, value) in gguf.metadata().iter() {
        match value {
            Value::Array(a) if name.starts_with("tokenizer.ggml.token") => {
                let some = a.iter().take(vocab).map(|v| match v.as_str() {
                    Some(text) => MetaValue::Str(text.into()),
                    None => MetaValue::I32(v.as_int().unwrap() as i32),
                });
                w.meta(name, MetaValue::Array(some.collect())).unwrap();
            }
            other => w.value(name, &other).unwrap(),
        }
    }
    let mut data = Vec::new();
    for t in gguf.tensors() {
        let mut bytes = gguf.tensor_data(t).to_vec();
        let mut dims = t.dims.clone();
        if t.name == "token_embd.weight" {
            let row = bytes.len() / dims[1] as usize;
            bytes.truncate(row * vocab);
            dims[1] = vocab as u64;
            // Which is the output, too.
            w.tensor("output.weight", &dims, Some(t.dtype)).unwrap();
            data.push(bytes.clone());
            let rows = bytes.chunks_exact_mut(row).zip(0..).filter(|(_, token)| !good(*token));
            // The scale of the first block of Q8_0.
            rows.for_each(|(row, _)| row[..2].copy_from_slice(&0x7c00u16.to_le_bytes()));
        }
        w.tensor(&t.name, &dims, Some(t.dtype)).unwrap();
        data.push(bytes);
    }
    let mut file = Vec::new();
    w.write_to(&mut file, data.iter().map(Vec::as_slice)).unwrap();
    Arc::new(Model::from_gguf(Gguf::from_bytes(file).unwrap()).unwrap())
}

#[test]
fn guesses_that_fail_end_no_answer() {
    let whole = model("tiny", 1);
    let vocab = whole.config().vocab;
    let o = options(50, 0.0);
    let want = told(&mut runner(&whole, 64), &mut sequence(&whole, 200), &prompt(50), &o);
    let used = |token: u32| want.0.tokens.contains(&token) || prompt(50).contains(&token);
    // Infinities at every token that is not in the text: most guesses of another model lead there.
    let poisoned = altered(&whole, vocab, used);
    let good = altered(&whole, vocab, |_| true);
    assert_eq!(outcome(&told(&mut runner(&good, 64), &mut sequence(&good, 200), &prompt(50), &o).0), outcome(&want.0));
    let other = model("tiny", 2);
    let small = altered(&whole, vocab - 2, |_| true);
    let mut lost = 0;
    for (model, with) in [(&poisoned, &other), (&good, &poisoned), (&good, &small), (&whole, &small)] {
        let mut guessing = runner(model, 64);
        let s = Speculator::new(3).unwrap().eager().with_draft(draft(model, with));
        guessing.speculate(Some(s));
        let mut seq = sequence(model, 200);
        let got = told(&mut guessing, &mut seq, &prompt(50), &o);
        assert_eq!((outcome(&got.0), &got.1), (outcome(&want.0), &want.1));
        assert_eq!(seq.len(), 50 + 49);
        // A token that the smaller model does not have is no error either.
        let next = [&prompt(50)[..], &[vocab as u32 - 1, 41, 42, 43]].concat();
        if !std::ptr::eq(model, &poisoned) {
            let plain = told(&mut runner(model, 64), &mut sequence(model, 200), &next, &o).0;
            assert_eq!(outcome(&told(&mut guessing, &mut seq, &next, &o).0), outcome(&plain));
        }
        lost += usize::from(guessing.speculator().unwrap().take_lost().is_some());
    }
    assert_eq!(lost, 1, "the one with infinities reads a token that leads there");
}

#[test]
fn where_nothing_can_be_chosen_no_guess_is_left_behind() {
    let model = model("tiny", 1);
    // Two tokens may be said, and once both were said twice there is nothing to choose any more.
    let two = [200, 201];
    let others = (0..model.config().vocab as u32).filter(|token| !two.contains(token));
    let sampler = SamplerOptions {
        temperature: 0.0,
        logit_bias: others.map(|token| (token, f32::NEG_INFINITY)).collect(),
        frequency_penalty: f32::MAX,
        ..SamplerOptions::default()
    };
    let o = GenerateOptions { sampler, ..options(50, 0.0) };
    let run = |speculator: Option<Speculator>| {
        let mut r = runner(&model, 64);
        r.speculate(speculator);
        let mut seq = sequence(&model, 200);
        let tokenizer = tokenizer(&model);
        let failed = generate(&mut r, &tokenizer, &mut seq, &prompt(50), &o, &CancelToken::new(), &mut |_| {});
        assert!(matches!(failed, Err(EngineError::Sampler(_))), "{failed:?}");
        seq.tokens().to_vec()
    };
    let want = run(None);
    assert_eq!(want.len(), 54);
    assert_eq!(run(Some(Speculator::new(7).unwrap().eager())), want);
}

#[test]
fn what_makes_no_sense_is_refused() {
    for most in [0, 65, usize::MAX] {
        assert!(matches!(Speculator::new(most), Err(EngineError::Option { name: "speculate", .. })), "{most}");
    }
    let model = model("tiny", 1);
    let bundled =
        Gguf::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/hewn-tiny.gguf").as_ref(), &Default::default());
    let other = Arc::new(Model::from_gguf(bundled.unwrap()).unwrap());
    let refused = Draft::new(
        runner(&other, 16),
        &SequenceOptions::default(),
        &tokenizer(&other),
        &tokenizer(&model),
        model.config().vocab,
    );
    let Err(EngineError::Option { name: "draft", reason }) = refused else { panic!("another vocabulary") };
    assert!(reason.contains("vocabulary"), "{reason}");
    // A text as words, so that the tokenizers are seen to be different.
    let ids = |m: &Model| tokenizer(m).encode("strawberry", &EncodeOptions::default());
    assert_ne!(ids(&model), ids(&other));
}
