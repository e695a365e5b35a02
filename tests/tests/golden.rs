//! Text that a person can judge: the story model's greedy continuations, token by token.

use hewn_engine::sampler::SamplerOptions;
use hewn_engine::tokenizer::{EncodeOptions, Tokenizer};
use hewn_engine::{
    CancelToken, CpuIsa, Event, FinishReason, GenerateOptions, KvType, LoadOptions, Model, Runner, RunnerOptions,
    Sequence, SequenceOptions, Team, generate,
};
use hewn_tests::shared;
use std::sync::Arc;

#[test]
fn stories() {
    let Some(dir) = shared() else { return };
    let dir = dir.join("models");
    let json = std::fs::read_to_string(dir.join("stories260k.greedy.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let cases = json.as_array().or(json["cases"].as_array()).unwrap();
    for file in ["stories260k.gguf", "stories260k-v1.gguf"] {
        let model = Arc::new(Model::open(&dir.join(file), &LoadOptions::default()).unwrap());
        let tokenizer = Tokenizer::from_gguf(model.gguf()).unwrap();
        let team = Arc::new(Team::new(2, CpuIsa::best()).unwrap());
        let mut runner = Runner::new(model.clone(), team, &RunnerOptions::default()).unwrap();
        for case in cases {
            let ids = |key: &str| -> Vec<u32> {
                case[key].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
            };
            let options = EncodeOptions { add_special: true, parse_special: false };
            let prompt = tokenizer.encode(case["prompt"].as_str().unwrap(), &options);
            assert_eq!(prompt, ids("prompt_tokens"), "{file}");
            let want = ids("tokens");
            let mut seq = Sequence::new(&model, &SequenceOptions { ctx: None, kv: KvType::F32 }).unwrap();
            let options = GenerateOptions {
                max_tokens: Some(want.len()),
                sampler: SamplerOptions { temperature: 0.0, ..SamplerOptions::default() },
                ..GenerateOptions::default()
            };
            let mut streamed = String::new();
            let mut on = |e: Event<'_>| {
                if let Event::Text { text, .. } = e {
                    streamed.push_str(text);
                }
            };
            let got =
                generate(&mut runner, &tokenizer, &mut seq, &prompt, &options, &CancelToken::new(), &mut on).unwrap();
            assert_eq!(got.tokens, want, "{file}: {}", got.text);
            assert_eq!((got.text.as_str(), streamed.as_str()), (case["text"].as_str().unwrap(), got.text.as_str()));
            assert_eq!(got.finish, FinishReason::MaxTokens);
        }
    }
}
