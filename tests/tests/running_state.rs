//! Sequences whose layers keep a running state: going back, going on, failing, and conversations.

use hewn_engine::loader::Gguf;
use hewn_engine::sampler::SamplerOptions;
use hewn_engine::synth::{self, Mix, Shape};
use hewn_engine::tokenizer::{EncodeOptions, Tokenizer};
use hewn_engine::{
    CancelToken, CpuIsa, EngineError, Event, FinishReason, GenerateOptions, KvType, Logits, Model, Runner,
    RunnerOptions, Sequence, SequenceOptions, Team, Work, generate,
};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Shapes with running states of each kind.
const SHAPES: [&str; 3] = ["tiny-delta", "tiny-lfm2", "tiny-ssm"];

fn file(shape: &str, mix: &str) -> Vec<u8> {
    let mut file = Vec::new();
    let (shape, mix) = (Shape::find(shape).unwrap(), Mix::find(mix).unwrap());
    synth::write(shape, mix, 1, &mut file, &mut |_, _| ControlFlow::Continue(())).unwrap();
    file
}

struct Bed {
    model: Arc<Model>,
    runner: Runner,
}

impl Bed {
    fn new(file: Vec<u8>) -> Self {
        let model = Arc::new(Model::from_gguf(Gguf::from_bytes(file).unwrap()).unwrap());
        let team = Arc::new(Team::new(2, CpuIsa::best()).unwrap());
        let runner = Runner::new(model.clone(), team, &RunnerOptions { chunk: 16 }).unwrap();
        Self { model, runner }
    }

    fn seq(&self) -> Sequence {
        Sequence::new(&self.model, &SequenceOptions { ctx: Some(256), kv: KvType::F16 }).unwrap()
    }

    /// The bits of the last token's logits.
    fn run(&mut self, seq: &mut Sequence, tokens: &[u32]) -> Result<Vec<u32>, EngineError> {
        let work = Work { seq, tokens, logits: Logits::Last };
        let logits = self.runner.step(&mut [work], &mut |_, _| ControlFlow::Continue(()))?;
        Ok(logits.iter().map(|v| v.to_bits()).collect())
    }
}

fn tokens(n: u32) -> Vec<u32> {
    (0..n).map(|i| (i * 37 + 11) % 300).collect()
}

#[test]
fn it_goes_back_to_marks_and_to_the_beginning_and_on_as_if_nothing_had_happened() {
    SHAPES.into_iter().for_each(going_back);
}

fn going_back(shape: &str) {
    let mut bed = Bed::new(file(shape, "q4_0"));
    let all = tokens(40);
    let want = bed.run(&mut bed.seq(), &all).unwrap();
    let mut seq = bed.seq();
    assert!(seq.has_running_state());
    bed.run(&mut seq, &all[..20]).unwrap();
    seq.mark().unwrap();
    bed.run(&mut seq, &all[20..31]).unwrap();
    // One that goes on by itself.
    let mut other = seq.try_clone().unwrap();
    assert_eq!(other.kv_bytes(), seq.kv_bytes());
    // To a length that it has, it need not go anywhere.
    assert_eq!((seq.truncate(99), seq.truncate(31)), (31, 31));
    assert_eq!((seq.truncate(25), seq.len()), (20, 20));
    assert_eq!(bed.run(&mut seq, &all[20..]).unwrap(), want);
    // The mark is still there.
    assert_eq!(seq.truncate(20), 20);
    bed.run(&mut seq, &[7, 8, 9]).unwrap();
    assert_eq!(seq.truncate(22), 20);
    assert_eq!(bed.run(&mut seq, &all[20..]).unwrap(), want);
    // Before the mark, all is forgotten, the mark too.
    assert_eq!((seq.truncate(19), seq.tokens().len()), (0, 0));
    bed.run(&mut seq, &all[..30]).unwrap();
    assert_eq!(seq.truncate(25), 0);
    assert_eq!(bed.run(&mut seq, &all).unwrap(), want);

    assert_eq!(bed.run(&mut other, &all[31..]).unwrap(), want);
    assert_eq!(other.truncate(30), 20);
    assert_eq!(bed.run(&mut other, &all[20..]).unwrap(), want);
}

#[test]
fn several_sequences_in_a_step_are_none_of_each_others_business() {
    SHAPES.into_iter().for_each(several_sequences);
}

fn several_sequences(shape: &str) {
    let mut bed = Bed::new(file(shape, "q4_k_m"));
    let all = tokens(45);
    let want: Vec<_> = [&all[..], &all[..30], &all[3..4]].map(|t| bed.run(&mut bed.seq(), t).unwrap()).concat();
    let mut seqs = [bed.seq(), bed.seq(), bed.seq()];
    bed.run(&mut seqs[0], &all[..44]).unwrap();
    bed.run(&mut seqs[1], &all[..7]).unwrap();
    let mut works: Vec<Work<'_>> = seqs
        .iter_mut()
        .zip([&all[44..], &all[7..30], &all[3..4]])
        .map(|(seq, tokens)| Work { seq, tokens, logits: Logits::Last })
        .collect();
    let got = bed.runner.step(&mut works, &mut |_, _| ControlFlow::Continue(())).unwrap();
    assert_eq!(got.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), want);
}

#[test]
fn rows_whose_logits_nobody_wants_make_no_difference() {
    SHAPES.into_iter().for_each(unwanted_rows);
}

fn unwanted_rows(shape: &str) {
    let mut bed = Bed::new(file(shape, "q4_0"));
    let all = tokens(45);
    let each: Vec<u32> = (1..=20).flat_map(|n| bed.run(&mut bed.seq(), &all[..n]).unwrap()).collect();
    let last = bed.run(&mut bed.seq(), &all).unwrap();
    let mut seqs = [bed.seq(), bed.seq(), bed.seq()];
    let mut works: Vec<Work<'_>> = seqs
        .iter_mut()
        .zip([(&all[..44], Logits::None), (&all[..20], Logits::All), (&all[..], Logits::Last)])
        .map(|(seq, (tokens, logits))| Work { seq, tokens, logits })
        .collect();
    let got = bed.runner.step(&mut works, &mut |_, _| ControlFlow::Continue(())).unwrap();
    assert_eq!(got.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), [each, last.clone()].concat());
    assert_eq!(bed.run(&mut seqs[0], &all[44..]).unwrap(), last);
}

#[test]
fn a_step_that_fails_half_way_leaves_what_can_be_gone_back_to() {
    // Of a short convolution nothing grows.
    ["tiny-delta", "tiny-ssm"].into_iter().for_each(failing);
}

fn failing(shape: &str) {
    // In the third layer, what is kept grows without bounds with tokens that ask for it.
    let mut bytes = file(shape, "f32");
    let rates = {
        let gguf = Gguf::from_bytes(bytes.clone()).unwrap();
        gguf.tensor_data(gguf.tensor("blk.2.ssm_a").unwrap()).to_vec()
    };
    let at = bytes.windows(rates.len()).position(|w| w == rates).unwrap();
    bytes[at..at + rates.len()].copy_from_slice(&50.0f32.to_le_bytes().repeat(rates.len() / 4));
    let mut bed = Bed::new(bytes);
    let good = (0..300).find(|t| bed.run(&mut bed.seq(), &[*t]).is_ok()).unwrap();
    let mut fresh = bed.seq();
    bed.run(&mut fresh, &[good]).unwrap();
    let (mut next, mut bad) = (None, None);
    for t in 0..300 {
        match bed.run(&mut fresh.try_clone().unwrap(), &[t]) {
            Ok(bits) => next = next.or(Some((t, bits))),
            Err(e) => {
                assert!(matches!(e, EngineError::NonFinite { .. }), "{e}");
                bad = Some(t);
            }
        }
    }
    let (Some((next, want)), Some(bad)) = (next, bad) else { panic!("tokens of both kinds") };
    let mut seq = bed.seq();
    bed.run(&mut seq, &[good]).unwrap();
    seq.mark().unwrap();
    assert!(bed.run(&mut seq, &[bad]).is_err());
    assert_eq!(seq.tokens(), [good]);
    assert_eq!(bed.run(&mut seq, &[next]).unwrap(), want);
    // Without a mark, nothing is left.
    let mut seq = bed.seq();
    bed.run(&mut seq, &[good]).unwrap();
    assert!(bed.run(&mut seq, &[bad]).is_err());
    assert!(seq.is_empty());
    assert_eq!(bed.run(&mut seq, &[good, next]).unwrap(), want);
}

#[test]
fn a_conversation_goes_on_from_before_the_last_answer() {
    SHAPES.into_iter().for_each(conversing);
}

fn conversing(shape: &str) {
    let mut bed = Bed::new(file(shape, "q8_0"));
    let tokenizer = Tokenizer::from_gguf(bed.model.gguf()).unwrap();
    let options = GenerateOptions {
        max_tokens: Some(12),
        sampler: SamplerOptions { temperature: 0.0, ..SamplerOptions::default() },
        ignore_eos: true,
        ..GenerateOptions::default()
    };
    let ids = |text: &str| tokenizer.encode(text, &EncodeOptions { add_special: false, parse_special: true });
    let cancel = CancelToken::new();
    let mut said = Vec::new();
    let mut ask = |bed: &mut Bed, seq: &mut Sequence, prompt: &[u32], stop: usize| {
        said.clear();
        let mut on = |e: Event<'_>| {
            if let Event::Prefill { done, total } = e {
                said.push((done, total));
                if said.len() == stop {
                    cancel.cancel();
                }
            }
        };
        let g = generate(&mut bed.runner, &tokenizer, seq, prompt, &options, &cancel, &mut on).unwrap();
        cancel.reset();
        (g.tokens, g.timings.cached_tokens, g.finish, said.clone())
    };
    let first = ids("The question of the man in the corner, and the answer that he gave to it then.");
    let mut seq = bed.seq();
    let (_, cached, _, told) = ask(&mut bed, &mut seq, &first, 0);
    assert_eq!(cached, 0);
    assert!(told.windows(2).all(|w| w[0].0 <= w[1].0) && told.iter().all(|t| t.1 == first.len()), "{told:?}");
    assert_eq!(told.last().unwrap().0, first.len());
    // The history has the last tokens of the prompt no more, and another answer.
    let second = [&first[..first.len() - 4], &ids("<|end|> And then? He gave another answer in the end.")].concat();
    let (answer, cached, _, told) = ask(&mut bed, &mut seq, &second, 0);
    assert_eq!(cached, first.len() - 8);
    assert_eq!(*told.last().unwrap(), (second.len() - cached, second.len() - cached));
    let mut fresh = bed.seq();
    assert_eq!(ask(&mut bed, &mut fresh, &second, 0).0, answer);
    // The same once more, as for another answer.
    let (again, cached, ..) = ask(&mut bed, &mut seq, &second, 0);
    assert_eq!((again, cached), (answer.clone(), second.len() - 8));
    // One that does not fit is refused before anything is read or forgotten.
    let mut small =
        Sequence::new(&bed.model, &SequenceOptions { ctx: Some(second.len() - 3), kv: KvType::F16 }).unwrap();
    bed.run(&mut small, &second[..20]).unwrap();
    let mut on = |_: Event<'_>| panic!("nothing is to be told");
    let refused = generate(&mut bed.runner, &tokenizer, &mut small, &second, &options, &CancelToken::new(), &mut on);
    assert!(matches!(refused, Err(EngineError::Context { wanted, .. }) if wanted == second.len()));
    assert_eq!(small.tokens(), &second[..20]);
    // Stopped while the prompt is read, before and behind the mark.
    for stop in 1.. {
        let mut seq = bed.seq();
        let (tokens, _, finish, told) = ask(&mut bed, &mut seq, &second, stop);
        if finish != FinishReason::Cancelled {
            assert!(stop > 3);
            break;
        }
        assert!(tokens.is_empty() && seq.len() == told.last().unwrap().0, "{stop}");
        assert_eq!(ask(&mut bed, &mut seq, &second, 0).0, answer);
    }
}

#[test]
fn what_rwkv_and_indexers_keep_goes_back_too() {
    for (name, to) in [
        ("rwkv6", 20),
        ("rwkv7", 20),
        ("arwkv7", 20),
        ("rwkv6qwen2", 20),
        ("minimax-01", 20),
        ("deepseek32-sparse", 25),
        ("glm-dsa-sparse", 25),
        ("minimax-m3", 25),
        ("hy_v4-sparse", 25),
        ("dots3note", 25),
        ("kimi-k3", 20),
        ("hrm_text", 25),
        ("deepseek4", 20),
        ("glm5-next", 20),
    ] {
        let path = format!("{}/data/arch/{name}.gguf", env!("CARGO_MANIFEST_DIR"));
        let mut bed = Bed::new(std::fs::read(path).unwrap());
        let all: Vec<u32> = tokens(40).iter().map(|t| t % 96).collect();
        let want = bed.run(&mut bed.seq(), &all).unwrap();
        let mut seq = bed.seq();
        bed.run(&mut seq, &all[..20]).unwrap();
        seq.mark().unwrap();
        bed.run(&mut seq, &all[20..31]).unwrap();
        let mut other = seq.try_clone().unwrap();
        assert_eq!(other.kv_bytes(), seq.kv_bytes());
        assert_eq!(bed.run(&mut other, &all[31..]).unwrap(), want, "{name}: a clone");
        assert_eq!((seq.truncate(25), seq.len()), (to, to));
        assert_eq!(bed.run(&mut seq, &all[to..]).unwrap(), want, "{name}: a mark");
        seq.truncate(0);
        assert_eq!(seq.len(), 0);
        assert_eq!(bed.run(&mut seq, &all).unwrap(), want, "{name}: the beginning");
    }
}
