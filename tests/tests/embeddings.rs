//! Vectors of texts: against references, the same bits however they are computed, and what is refused.

use hewn_engine::embed::{EmbedError, EmbedOptions, Embedded, Embedder, Pair, TextPooling};
use hewn_engine::loader::{Gguf, MetaValue};
use hewn_engine::{
    CpuIsa, EngineError, KvType, LoadOptions, Logits, Model, Runner, RunnerOptions, Sequence, SequenceOptions, Team,
    Work,
};
use hewn_tests::altered::with_value;
use hewn_tests::embedding::{EmbedFixture, embed_fixtures};
use hewn_tests::{emulated, nmse};
use std::ops::ControlFlow;
use std::sync::Arc;

fn open(f: &EmbedFixture) -> Arc<Model> {
    Arc::new(Model::open(&f.model, &LoadOptions::default()).unwrap())
}

fn embedder(model: &Arc<Model>, isa: CpuIsa, threads: usize, chunk: usize, options: &EmbedOptions) -> Embedder {
    let team = Arc::new(Team::new(threads, isa).unwrap());
    Embedder::new(Runner::new(model.clone(), team, &RunnerOptions { chunk }).unwrap(), options).unwrap()
}

fn options(pooling: Option<TextPooling>) -> EmbedOptions {
    EmbedOptions { pooling, normalize: false, kv: KvType::F32 }
}

fn embed(e: &mut Embedder, texts: &[Vec<u32>]) -> Vec<Embedded> {
    e.embed_tokens(texts, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

fn values(all: &[Embedded]) -> Vec<f32> {
    all.iter().flat_map(|e| &e.values).copied().collect()
}

/// The rows of texts, without what comes behind them.
fn rows(model: &Arc<Model>, texts: &[Vec<u32>]) -> Vec<f32> {
    let team = Arc::new(Team::new(2, CpuIsa::best()).unwrap());
    let mut runner = Runner::new(model.clone(), team, &RunnerOptions::default()).unwrap();
    let mut all = Vec::new();
    for tokens in texts {
        let mut seq = Sequence::new(model, &SequenceOptions { ctx: None, kv: KvType::F32 }).unwrap();
        let work = Work { seq: &mut seq, tokens, logits: Logits::All };
        all.extend_from_slice(runner.rows(&mut [work], &mut |_, _| ControlFlow::Continue(())).unwrap());
    }
    all
}

#[test]
fn rows_and_vectors_agree_with_the_reference() {
    for f in embed_fixtures() {
        let model = open(&f);
        let (rows, mut e) = (rows(&model, &f.texts), embedder(&model, CpuIsa::best(), 2, 512, &options(None)));
        let vectors = values(&embed(&mut e, &f.texts));
        assert_eq!((e.width(), e.pooling()), (f.width, f.pooling), "{}", f.name);
        // Scores are few, and perhaps all alike.
        let mut errors = vec![nmse(&rows, &f.rows), nmse(&vectors, &f.vectors)];
        if let Some(from) = f.second {
            let pair = Pair { tokens: f.texts[0].clone(), second_from: from };
            let score = e.rank_pairs(&[pair], &mut |_, _| ControlFlow::Continue(())).unwrap();
            errors.push(f64::from((score[0] - f.second_vector[0]) / f.second_vector[0]).powi(2));
            assert_ne!(score[0], vectors[0]);
        }
        println!(
            "{:18} rows and vectors: nmse {}",
            f.name,
            errors.iter().map(|e| format!("{e:.2e} ")).collect::<String>()
        );
        assert!(errors.iter().all(|e| *e < 1e-9), "{}: {errors:?}", f.name);
    }
}

#[test]
fn the_same_bits_on_every_instruction_set_and_however_texts_are_put_together() {
    let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    for f in embed_fixtures() {
        let model = open(&f);
        let longest = f.texts.iter().map(Vec::len).max().unwrap();
        // Texts that are read as a whole need a chunk for each of them.
        let chunks = if model.config().causal { [512, 100, 7] } else { [512, 100, longest] };
        let mut want = None;
        for isa in CpuIsa::available() {
            for (threads, chunk) in [1, 2, 5].into_iter().zip(chunks).take(if emulated() { 1 } else { 3 }) {
                let mut e = embedder(&model, isa, threads, chunk, &EmbedOptions::default());
                let together = values(&embed(&mut e, &f.texts));
                let want = want.get_or_insert_with(|| bits(&together));
                assert_eq!(bits(&together), *want, "{} {} t={threads} {chunk}", f.name, isa.kind());
                let alone: Vec<f32> =
                    f.texts.iter().flat_map(|t| values(&embed(&mut e, std::slice::from_ref(t)))).collect();
                assert_eq!(bits(&alone), *want, "{} {} t={threads} {chunk}, alone", f.name, isa.kind());
            }
        }
    }
}

#[test]
fn every_pooling_is_made_of_the_rows() {
    for name in ["bert", "qwen3"] {
        let f = EmbedFixture::read(name);
        let model = open(&f);
        let (all, dim) = (rows(&model, &f.texts), model.config().dim);
        // Pieces of decoders.
        let chunk = if model.config().causal { 33 } else { 512 };
        for pooling in [TextPooling::None, TextPooling::Mean, TextPooling::First, TextPooling::Last] {
            let mut e = embedder(&model, CpuIsa::best(), 2, chunk, &options(Some(pooling)));
            let (got, mut rest) = (embed(&mut e, &f.texts), &all[..]);
            for (e, text) in got.iter().zip(&f.texts) {
                let (own, others) = rest.split_at(text.len() * dim);
                rest = others;
                let mean = |c: usize| {
                    let sum: f64 = own.iter().skip(c).step_by(dim).map(|v| f64::from(*v)).sum();
                    (sum / text.len() as f64) as f32
                };
                let want = match pooling {
                    TextPooling::Mean => (0..dim).map(mean).collect(),
                    TextPooling::First => own[..dim].to_vec(),
                    TextPooling::Last => own[own.len() - dim..].to_vec(),
                    _ => own.to_vec(),
                };
                assert_eq!(e.values, want, "{name} {pooling:?}");
                assert_eq!(e.vectors().count(), want.len() / dim);
            }
        }
        let refused = Embedder::new(runner(&model, 512), &options(Some(TextPooling::Rank))).err().unwrap();
        assert!(matches!(refused, EmbedError::NoClassifier { .. }), "{refused}");
        let unit = embed(&mut embedder(&model, CpuIsa::best(), 1, 512, &EmbedOptions::default()), &f.texts);
        for e in unit {
            let length: f64 = e.values.iter().map(|v| f64::from(*v).powi(2)).sum();
            assert!((length - 1.0).abs() < 1e-6, "{length}");
        }
    }
}

fn runner(model: &Arc<Model>, chunk: usize) -> Runner {
    let team = Arc::new(Team::new(1, CpuIsa::best()).unwrap());
    Runner::new(model.clone(), team, &RunnerOptions { chunk }).unwrap()
}

#[test]
fn texts_that_do_not_fit_are_errors() {
    let f = EmbedFixture::read("bert");
    let model = open(&f);
    let mut e = embedder(&model, CpuIsa::best(), 1, 50, &options(None));
    let go = &mut |_: usize, _: usize| ControlFlow::Continue(());
    assert_eq!(e.longest(), 50);
    for (texts, want) in [
        (vec![vec![1; 50], vec![1; 51]], "text 2 has 51 tokens, more than the 50"),
        (vec![vec![]], "text 1 is empty"),
        (vec![vec![96]], "the token 96 is outside the vocabulary of 96"),
    ] {
        let error = e.embed_tokens(&texts, go).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
    assert!(matches!(e.rank_pairs(&[], go), Err(EmbedError::NoScores { .. })));
    // The context bounds them, too.
    let mut e = embedder(&model, CpuIsa::best(), 1, 512, &options(None));
    assert_eq!(e.longest(), 128);
    assert!(matches!(e.embed_tokens(&[vec![1; 129]], go), Err(EmbedError::TooLong { most: 128, .. })));
    // Between steps it can be cancelled, and used again.
    let mut e = embedder(&model, CpuIsa::best(), 1, 80, &options(None));
    let stopped = e.embed_tokens(&f.texts, &mut |_, _| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(EmbedError::Engine(EngineError::Cancelled))));
    let want = embed(&mut embedder(&model, CpuIsa::best(), 1, 512, &options(None)), &f.texts);
    assert_eq!(embed(&mut e, &f.texts), want);
}

fn work<'a>(seq: &'a mut Sequence, tokens: &'a [u32]) -> Work<'a> {
    Work { seq, tokens, logits: Logits::All }
}

#[test]
fn a_model_that_reads_whole_texts_generates_none() {
    let model = open(&EmbedFixture::read("nomic-bert"));
    let mut runner = runner(&model, 40);
    let mut seq = Sequence::new(&model, &SequenceOptions::default()).unwrap();
    let go = &mut |_: usize, _: usize| ControlFlow::Continue(());
    let error = runner.step(&mut [work(&mut seq, &[1, 2])], go).unwrap_err();
    assert!(error.to_string().contains("hewn embed"), "{error}");
    let error = runner.rows(&mut [work(&mut seq, &[1; 41])], go).unwrap_err();
    assert!(matches!(error, EngineError::WholeText { tokens: 41, most: 40 }), "{error}");
    let first = runner.rows(&mut [work(&mut seq, &[1, 2, 3])], go).unwrap().to_vec();
    // Nothing of a text is kept, and it cannot go on.
    assert_eq!((seq.len(), seq.kv_bytes()), (3, 0));
    let error = runner.rows(&mut [work(&mut seq, &[4])], go).unwrap_err();
    assert!(error.to_string().contains("cannot go on"), "{error}");
    assert_eq!(seq.truncate(0), 0);
    assert_eq!(runner.rows(&mut [work(&mut seq, &[1, 2, 3])], go).unwrap(), first);
}

fn with(name: &str, key: &str, value: Option<MetaValue>) -> Result<Model, String> {
    let gguf = Gguf::from_bytes(std::fs::read(EmbedFixture::read(name).model).unwrap()).unwrap();
    Model::from_gguf(Gguf::from_bytes(with_value(&gguf, key, value)).unwrap()).map_err(|e| e.to_string())
}

/// Whatever a key says, a file is refused or runs, and nothing else happens.
#[test]
fn no_value_of_any_key_is_more_than_an_error() {
    let values = [
        None,
        Some(MetaValue::U32(0)),
        Some(MetaValue::U32(1)),
        Some(MetaValue::U32(3)),
        Some(MetaValue::U32(u32::MAX)),
        Some(MetaValue::I32(-1)),
        Some(MetaValue::F32(f32::NAN)),
        Some(MetaValue::F32(1e-40)),
        Some(MetaValue::Bool(true)),
        Some(MetaValue::Bool(false)),
        Some(MetaValue::Str("gelu".into())),
        Some(MetaValue::Array(Vec::new())),
        Some(MetaValue::Array(vec![MetaValue::Bool(false); 7])),
        Some(MetaValue::Array(vec![MetaValue::U32(2); 5])),
    ];
    let (mut refused, mut ran) = (0, 0);
    for f in embed_fixtures() {
        let gguf = Gguf::from_bytes(std::fs::read(&f.model).unwrap()).unwrap();
        let arch = gguf.metadata().str("general.architecture").unwrap().unwrap().to_owned();
        let more = ["hidden_activation", "classifier.pooling_type", "classifier.output_labels", "moe_every_n_layers"];
        let more = more.iter().map(|key| format!("{arch}.{key}"));
        let keys: Vec<String> = gguf.metadata().iter().map(|(key, _)| key.to_owned()).chain(more).collect();
        for key in keys.iter().filter(|key| !key.starts_with("general.")) {
            for value in if emulated() { &values[..4] } else { &values } {
                let file = Gguf::from_bytes(with_value(&gguf, key, value.clone())).unwrap();
                let Ok(model) = Model::from_gguf(file) else {
                    refused += 1;
                    continue;
                };
                let model = Arc::new(model);
                let Ok(mut e) = Embedder::new(runner(&model, 16), &EmbedOptions::default()) else { continue };
                let text: Vec<u32> = (0..e.longest().min(9) as u32).collect();
                let _ = e.embed_tokens(&[text], &mut |_, _| ControlFlow::Continue(()));
                ran += 1;
            }
        }
    }
    assert!(refused > 500 && ran > 100 || emulated(), "{refused} {ran}");
}

#[test]
fn files_that_say_something_else_are_refused() {
    let number = |n| Some(MetaValue::U32(n));
    let text = |s: &str| Some(MetaValue::Str(s.into()));
    for (name, key, value) in [
        ("bert", "bert.pooling_type", number(5)),
        ("bert", "bert.pooling_type", text("mean")),
        ("bert", "bert.attention.causal", Some(MetaValue::Bool(true))),
        ("bert", "tokenizer.ggml.token_type_count", number(0)),
        ("bert", "tokenizer.ggml.token_type_count", number(u32::MAX)),
        ("bert-rank", "bert.classifier.output_labels", number(1)),
        ("bert-rank", "bert.classifier.output_labels", Some(MetaValue::Array(Vec::new()))),
        ("bert-rank", "bert.classifier.pooling_type", number(0)),
        ("gemma-embedding", "gemma-embedding.attention.sliding_window", None),
        ("gemma-embedding", "gemma-embedding.dense_2_feat_in", number(25)),
        ("gemma-embedding", "gemma-embedding.dense_2_feat_out", None),
        ("gemma-embedding", "gemma-embedding.dense_3_feat_in", number(u32::MAX)),
        ("modern-bert", "modern-bert.hidden_activation", text("relu")),
        ("modern-bert", "modern-bert.attention.sliding_window", number(0)),
        ("nomic-bert-moe", "nomic-bert-moe.expert_used_count", number(7)),
        ("qwen2-whole", "qwen2.attention.causal", number(0)),
        ("qwen2-whole", "qwen2.pooling_type", number(9)),
    ] {
        let error = with(name, key, value).map(|_| ()).unwrap_err();
        assert!(error.contains(key), "{name} {key}: {error}");
    }
    // Tensors of another shape, or that nothing reads.
    for (name, key, value, tensor) in [
        ("bert", "tokenizer.ggml.token_type_count", number(3), "token_types.weight"),
        ("bert", "bert.context_length", number(64), "position_embd.weight"),
        ("gemma-embedding", "gemma-embedding.dense_3_feat_out", number(23), "dense_3.weight"),
        ("nomic-bert-moe", "nomic-bert-moe.moe_every_n_layers", number(3), "blk."),
        ("qwen3-rank", "qwen3.classifier.output_labels", None, "cls.output.weight"),
    ] {
        let error = with(name, key, value).map(|_| ()).unwrap_err();
        assert!(error.contains(tensor), "{name} {key}: {error}");
    }
    // Windows, running states and the like have no place in texts that are read as a whole.
    let causal = Some(MetaValue::Bool(false));
    for (name, key) in [
        ("gemma3-linear", "gemma3.attention"),
        ("qwen35", "qwen35.attention.causal"),
        ("deepseek32", "deepseek32.attention.causal"),
    ] {
        let arch = key.split('.').next().unwrap();
        let error = hewn_tests::altered::with(name, &format!("{arch}.attention.causal"), causal.clone());
        let error = error.map(|_| ()).unwrap_err();
        assert!(error.contains(key), "{name}: {error}");
    }
    // What makes a vector must be said by someone.
    let model = Arc::new(with("bert", "bert.pooling_type", None).unwrap());
    let error = Embedder::new(runner(&model, 8), &EmbedOptions::default()).err().unwrap().to_string();
    assert!(error.contains("bert.pooling_type"), "{error}");
}
