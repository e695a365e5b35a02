//! Sequences whose layers forget what lies before their window: going back, going on, and how much they hold.

use hewn_engine::loader::{Gguf, MetaValue};
use hewn_engine::sampler::SamplerOptions;
use hewn_engine::synth::{self, Mix, Shape};
use hewn_engine::tokenizer::Tokenizer;
use hewn_engine::{
    CancelToken, CpuIsa, EngineError, GenerateOptions, KvType, LoadOptions, Logits, Model, Runner, RunnerOptions,
    Sequence, SequenceOptions, Team, Work, generate,
};
use hewn_tests::altered::with_value;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

fn file(shape: &str) -> Gguf {
    let mut file = Vec::new();
    let (shape, mix) = (Shape::find(shape).unwrap(), Mix::find("q4_0").unwrap());
    synth::write(shape, mix, 1, &mut file, &mut |_, _| ControlFlow::Continue(())).unwrap();
    Gguf::from_bytes(file).unwrap()
}

/// Every other layer sees 16 positions; two of them read the caches of others.
fn model() -> Arc<Model> {
    Arc::new(Model::from_gguf(file("tiny-gemma4")).unwrap())
}

/// The same file with another window.
fn with_window(gguf: &Gguf, key: &str, size: u32) -> Arc<Model> {
    let file = with_value(gguf, key, Some(MetaValue::U32(size)));
    Arc::new(Model::from_gguf(Gguf::from_bytes(file).unwrap()).unwrap())
}

fn runner(model: &Arc<Model>, chunk: usize) -> Runner {
    let team = Arc::new(Team::new(2, CpuIsa::best()).unwrap());
    Runner::new(model.clone(), team, &RunnerOptions { chunk }).unwrap()
}

fn sequence(model: &Model) -> Sequence {
    Sequence::new(model, &SequenceOptions { ctx: Some(model.config().ctx.min(2000)), kv: KvType::F16 }).unwrap()
}

/// The bits of the last token's logits.
fn run(r: &mut Runner, seq: &mut Sequence, tokens: &[u32]) -> Vec<u32> {
    let work = Work { seq, tokens, logits: Logits::Last };
    let logits = r.step(&mut [work], &mut |_, _| ControlFlow::Continue(())).unwrap();
    logits.iter().map(|v| v.to_bits()).collect()
}

fn tokens(n: u32) -> Vec<u32> {
    (0..n).map(|i| (i * i * 3 + i * 37 + 11) % 300).collect()
}

#[test]
fn what_is_forgotten_makes_no_difference() {
    forgets(model());
    // Chunks of 41 positions in four of five layers.
    let llama4 = concat!(env!("CARGO_MANIFEST_DIR"), "/data/arch/llama4.gguf");
    forgets(Arc::new(Model::open(Path::new(llama4), &LoadOptions::default()).unwrap()));
}

fn forgets(model: Arc<Model>) {
    let all: Vec<u32> = tokens(900).iter().map(|t| t % model.config().vocab as u32).collect();
    // In a step of one chunk nothing is forgotten yet.
    let want = run(&mut runner(&model, 1000), &mut sequence(&model), &all);
    let mut r = runner(&model, 16);
    for marks in [&[][..], &[100], &[100, 130, 800], &[320, 640, 899]] {
        let mut seq = sequence(&model);
        assert!(seq.has_window() && !seq.has_running_state());
        for part in [0].iter().chain(marks).zip(marks.iter().chain(&[899])) {
            run(&mut r, &mut seq, &all[*part.0..*part.1]);
            seq.mark().unwrap();
        }
        assert_eq!(run(&mut r, &mut seq, &all[899..]), want, "{marks:?}");
    }
}

#[test]
fn it_goes_back_a_little_and_to_a_mark_and_on() {
    let (model, all) = (model(), tokens(900));
    let mut r = runner(&model, 16);
    let want = run(&mut r, &mut sequence(&model), &all);
    let mut seq = sequence(&model);
    run(&mut r, &mut seq, &all);
    assert_eq!((seq.truncate(899), seq.truncate(650), seq.len()), (899, 650, 650));
    assert_eq!(run(&mut r, &mut seq, &all[650..]), want);
    // Too far, and nothing is marked: what is kept goes by the greatest length, not by the present one.
    assert_eq!((seq.truncate(700), seq.truncate(520), seq.len()), (700, 0, 0));
    run(&mut r, &mut seq, &all);
    assert_eq!((seq.truncate(500), seq.len()), (0, 0));

    run(&mut r, &mut seq, &all[..400]);
    seq.mark().unwrap();
    run(&mut r, &mut seq, &all[400..]);
    let mut other = seq.try_clone().unwrap();
    assert_eq!(other.kv_bytes(), seq.kv_bytes());
    assert_eq!(seq.truncate(470), 400);
    assert_eq!(run(&mut r, &mut seq, &all[400..]), want);
    // The mark is still there, and what was a little before it.
    assert_eq!((seq.truncate(470), seq.truncate(300), seq.truncate(60)), (400, 300, 0));
    assert_eq!(run(&mut r, &mut seq, &all), want);
    assert_eq!(other.truncate(890), 890);
    assert_eq!(run(&mut r, &mut other, &all[890..]), want);
    assert_eq!(other.truncate(470), 400);
    assert_eq!(run(&mut r, &mut other, &all[400..]), want);
}

#[test]
fn it_holds_no_more_than_was_estimated() {
    let (model, all) = (model(), tokens(2000));
    for (chunk, every) in [(16, 2000), (16, 1), (100, 300), (64, 640), (7, 449)] {
        let most = model.memory(2000, KvType::F16, chunk).kv;
        // Of three caches, two have windows.
        assert!(most < model.memory(2000, KvType::F16, 2000).kv * 4 / 5);
        let mut r = runner(&model, chunk);
        let mut seq = sequence(&model);
        for part in all.chunks(chunk) {
            run(&mut r, &mut seq, part);
            assert!(seq.kv_bytes() as u64 <= most, "{} of {most} with chunks of {chunk}", seq.kv_bytes());
            if seq.len() / every > (seq.len() - part.len()) / every {
                seq.mark().unwrap();
                assert!(seq.kv_bytes() as u64 <= most);
            }
        }
        // In the end the estimate is not far off.
        assert!(seq.kv_bytes() as u64 > most / 2);
    }
}

#[test]
fn a_conversation_goes_on_from_before_the_last_answer() {
    let model = model();
    let mut r = runner(&model, 64);
    let tokenizer = Tokenizer::from_gguf(model.gguf()).unwrap();
    let options = GenerateOptions {
        max_tokens: Some(500),
        sampler: SamplerOptions { temperature: 0.0, ..SamplerOptions::default() },
        ignore_eos: true,
        ..GenerateOptions::default()
    };
    let mut ask = |seq: &mut Sequence, prompt: &[u32]| {
        let g = generate(&mut r, &tokenizer, seq, prompt, &options, &CancelToken::new(), &mut |_| {}).unwrap();
        (g.tokens, g.timings.cached_tokens)
    };
    let first = tokens(400);
    let mut seq = sequence(&model);
    assert_eq!(ask(&mut seq, &first).1, 0);
    // The answer was long enough for what lies between the prompt and now to be forgotten; the history has another one, and
    // the end of the prompt no more.
    let second = [&first[..390], &tokens(120)[50..]].concat();
    let (answer, cached) = ask(&mut seq, &second);
    assert_eq!(cached, 390);
    assert_eq!(ask(&mut sequence(&model), &second).0, answer);
}

/// Most layers of this one have a running state, one attends through a window.
#[test]
fn with_running_states_only_the_mark_counts() {
    let (model, all) = (with_window(&file("tiny-lfm2"), "lfm2moe.attention.sliding_window", 16), tokens(900));
    let want = run(&mut runner(&model, 1000), &mut sequence(&model), &all);
    let mut r = runner(&model, 16);
    let most = model.memory(2000, KvType::F16, 16);
    let mut seq = sequence(&model);
    assert!(seq.has_window() && seq.has_running_state());
    for mark in [40, 300, 500] {
        let len = seq.len();
        run(&mut r, &mut seq, &all[len..mark]);
        seq.mark().unwrap();
    }
    run(&mut r, &mut seq, &all[500..800]);
    assert!(seq.kv_bytes() as u64 <= most.kv + most.states);
    let mut other = seq.try_clone().unwrap();
    assert_eq!(seq.truncate(799), 500);
    assert_eq!(run(&mut r, &mut seq, &all[500..]), want);
    assert_eq!(run(&mut r, &mut other, &all[800..]), want);
    assert_eq!((other.truncate(500), other.truncate(499)), (500, 0));
    assert_eq!(run(&mut r, &mut other, &all), want);
    // A token that is none: nothing happens.
    let work = Work { seq: &mut seq, tokens: &[u32::MAX], logits: Logits::Last };
    assert!(r.step(&mut [work], &mut |_, _| ControlFlow::Continue(())).is_err());
    assert_eq!(seq.truncate(600), 500);
    assert_eq!(run(&mut r, &mut seq, &all[500..]), want);
}

#[test]
fn a_sequence_of_a_model_with_another_window_is_refused() {
    let gguf = file("tiny-gemma4");
    let model = Arc::new(Model::from_gguf(file("tiny-gemma4")).unwrap());
    let wider = with_window(&gguf, "gemma4.attention.sliding_window", 400);
    let mut seq = sequence(&model);
    run(&mut runner(&model, 16), &mut seq, &tokens(700));
    let work = Work { seq: &mut seq, tokens: &[1], logits: Logits::Last };
    let refused = runner(&wider, 16).step(&mut [work], &mut |_, _| ControlFlow::Continue(())).map(|_| ());
    assert!(matches!(refused, Err(EngineError::ForeignSequence)));
    assert_eq!(seq.len(), 700);
}
