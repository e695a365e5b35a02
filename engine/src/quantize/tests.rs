use super::rules::choose;
use super::*;
use crate::cancel::CancelToken;
use hewn_kernels::{CpuIsa, Format, Team};
use hewn_loader::{Gguf, GgufWriter, MetaValue, TensorType};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Made by `tests/data/make_quantize.py`, which draws the format.
static DATA: &[u8] = include_bytes!("../../../tests/data/quantize.bin");

struct Data(&'static [u8]);

impl Data {
    fn take(&mut self, n: usize) -> &'static [u8] {
        let (a, b) = self.0.split_at(n);
        self.0 = b;
        a
    }

    fn u32(&mut self) -> usize {
        u32::from_le_bytes(self.take(4).try_into().unwrap()) as usize
    }

    fn f32s(&mut self, n: usize) -> Vec<f32> {
        self.take(4 * n).chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    }
}

fn geometry(id: u32) -> (usize, usize) {
    let t = TensorType::from_id(id).unwrap();
    (t.block_len() as usize, t.block_bytes() as usize)
}

fn encode(id: u32, x: &[f32]) -> Vec<u8> {
    encode_on(CpuIsa::best(), id, x)
}

fn encode_on(isa: CpuIsa, id: u32, x: &[f32]) -> Vec<u8> {
    let ((len, bytes), e) = (geometry(id), encoder(id).unwrap());
    let mut out = vec![0xaa; x.len() / len * bytes];
    x.chunks(len).zip(out.chunks_mut(bytes)).for_each(|(x, out)| e.block(isa, x, out));
    out
}

/// Q2_K and Q3_K are decoded here, as plainly as possible; the others by the kernels' format.
fn decode(id: u32, bytes: &[u8]) -> Vec<f32> {
    let (len, block) = geometry(id);
    let half = |b: &[u8], at: usize| half::f16::from_le_bytes([b[at], b[at + 1]]).to_f32();
    let plain: fn(&[u8], usize) -> (f32, f32, f32) = match id {
        10 => |b, i| {
            (
                f32::from(b[i / 16] & 15),
                f32::from(b[16 + i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3),
                f32::from(b[i / 16] >> 4),
            )
        },
        11 => |b, i| {
            let (g, s) = (i / 16, &b[96..108]);
            let scale = (s[g % 8] >> (g / 8 * 4) & 15) | (s[8 + g % 4] >> (g / 4 * 2) & 3) << 4;
            let q = (b[32 + i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3) | (b[i % 32] >> (i / 32) & 1) << 2;
            (f32::from(scale) - 32.0, f32::from(q) - 4.0, 0.0)
        },
        _ => {
            let mut out = vec![0.0; bytes.len() / block * len];
            Format::from_id(id).unwrap().dequantize(bytes, &mut out);
            return out;
        }
    };
    let blocks = bytes.chunks(block).flat_map(|b| {
        let (d, m) = if id == 10 { (half(b, 80), half(b, 82)) } else { (half(b, 108), 0.0) };
        (0..len).map(move |i| {
            let (scale, q, offset) = plain(b, i);
            d * scale * q - m * offset
        })
    });
    blocks.collect()
}

#[test]
fn the_simple_formats_are_those_of_the_reference() {
    let mut data = Data(DATA);
    let n = data.u32();
    let x = data.f32s(32 * n);
    for name in ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"] {
        let (id, len) = (data.u32() as u32, data.u32());
        let want = data.take(len);
        assert_eq!(TensorType::from_id(id).unwrap().name(), name);
        let (got, block) = (encode(id, &x), len / n);
        for (i, (got, want)) in got.chunks(block).zip(want.chunks(block)).enumerate() {
            assert_eq!(got, want, "{name}, block {i}: {:?}", &x[32 * i..32 * i + 32]);
        }
    }
}

/// What the tests below decode with is what the reference reads.
#[test]
fn random_blocks_are_decoded_as_by_the_reference() {
    let mut data = Data(DATA);
    let n = data.u32();
    data.take(128 * n);
    for _ in 0..7 {
        data.u32();
        let len = data.u32();
        data.take(len);
    }
    for id in 10..=14 {
        assert_eq!(data.u32(), id);
        let n = data.u32();
        let raw = data.take(n * geometry(id as u32).1);
        let want = data.f32s(256 * n);
        for (got, want) in decode(id as u32, raw).iter().zip(want) {
            assert!((got - want).abs() <= 1e-6 * want.abs().max(1e-3), "{id}: {got} {want}");
        }
    }
    assert!(data.0.is_empty());
}

/// From the polar method; the sum of squares is nowhere near 0 or 1.
fn gauss(rng: &mut ChaCha8Rng) -> f32 {
    loop {
        let mut uniform = || f64::from(rng.next_u32()) / 2f64.powi(31) - 1.0;
        let (a, b) = (uniform(), uniform());
        let s = a * a + b * b;
        if s > 1e-9 && s < 1.0 {
            return (a * (-2.0 * s.ln() / s).sqrt()) as f32;
        }
    }
}

/// Root of the mean squared error of weights of mean 0 and variance 1.
fn rmse(id: u32, x: &[f32]) -> f64 {
    let back = decode(id, &encode(id, x));
    let sum: f64 = x.iter().zip(&back).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    (sum / x.len() as f64).sqrt()
}

#[test]
fn gaussian_weights_come_back_as_well_as_from_the_customary_tool() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let x: Vec<f32> = (0..256 * 256).map(|_| gauss(&mut rng)).collect();
    // What llama.cpp's quantizer reaches on such weights (no importance matrix).
    for (id, theirs) in [(10u32, 0.29641), (11, 0.15079), (12, 0.07133), (13, 0.03608), (14, 0.01772)] {
        let ours = rmse(id, &x);
        println!("{:6} {ours:.5} {theirs:.5}", TensorType::from_id(id).unwrap().name());
        assert!(ours < theirs, "{id}: {ours} {theirs}");
    }
}

#[test]
fn awkward_blocks() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let one = |v: f32, at: usize| (0..256).map(|i| if i == at { v } else { 0.0 }).collect::<Vec<f32>>();
    let ramp: Vec<f32> = (0..256).map(|i| i as f32 / 100.0).collect();
    let noise: Vec<f32> = (0..256).map(|_| gauss(&mut rng)).collect();
    let scaled = |x: &[f32], s: f32| x.iter().map(|v| v * s).collect::<Vec<f32>>();
    for id in 10..=14 {
        let back = |x: &[f32]| decode(id, &encode(id, x));
        for x in [vec![0.0; 256], vec![-0.0; 256], scaled(&noise, 1e-38), scaled(&noise, 1e-20), one(1e-45, 7)] {
            assert!(back(&x).iter().all(|v| *v == 0.0), "{id}: {x:?}");
        }
        // A single weight is hit, wherever it is, and nothing else gets a value.
        for (v, at) in [(1.0, 0), (-1.0, 255), (60000.0, 100), (-60000.0, 33), (0.25, 16)] {
            for (i, b) in back(&one(v, at)).iter().enumerate() {
                let want = if i == at { v } else { 0.0 };
                assert!((b - want).abs() <= 4e-3 * v.abs(), "{id}: {v} at {at}: {b} at {i}");
            }
        }
        for x in [vec![1.0; 256], vec![-3.0; 256], ramp.clone(), scaled(&ramp, -1.0), scaled(&noise, 15_000.0)] {
            let largest = x.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            let step = [1.0 / 3.0, 1.0 / 4.0, 1.0 / 15.0, 1.0 / 31.0, 1.0 / 32.0][id as usize - 10] * largest;
            for (a, b) in x.iter().zip(back(&x)) {
                assert!(b.is_finite() && (a - b).abs() <= 1.05 * step, "{id}: {a} {b}");
            }
        }
        // An exact multiple of powers of two changes nothing but the scale, as long as that is exact in f16.
        let (a, b) = (back(&noise), back(&scaled(&noise, 16.0)));
        assert!(a.iter().zip(&b).all(|(a, b)| (a * 16.0 - b).abs() <= 1e-3 * b.abs()), "{id}");
    }
}

#[test]
fn every_instruction_set_gives_the_same_bytes() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut x: Vec<f32> = (0..256 * 64).map(|i| gauss(&mut rng) * [1.0, 1e-3, 300.0, 1e-9][i / 256 % 4]).collect();
    // Long tails, equal weights, zeros.
    x[..256].iter_mut().for_each(|v| *v = *v * *v * *v);
    x[256..512].fill(0.125);
    x[512..640].fill(0.0);
    for id in (0..32).filter(|id| encoder(*id).is_some()) {
        let want = encode_on(CpuIsa::from_name("scalar").unwrap(), id, &x);
        for isa in CpuIsa::available() {
            assert!(encode_on(isa, id, &x) == want, "{id} {}", isa.kind());
        }
    }
}

#[test]
fn types_have_names_and_encoders() {
    for t in QuantType::all() {
        assert_eq!(QuantType::from_name(t.name()), Some(t));
        assert_eq!(QuantType::from_name(&t.name().to_lowercase()), Some(t));
        assert!(encoder(t.base()).is_some());
        let format = TensorType::from_id(t.base()).unwrap().name();
        assert!(t.name().starts_with(format), "{t} {format}");
    }
    assert_eq!(QuantType::from_name("q4_k"), Some(QuantType::Q4_K_M));
    assert!(QuantType::from_name("Q4").is_none() && QuantType::from_name("IQ2_XXS").is_none());
    for id in 0..50 {
        if let Some(e) = encoder(id) {
            assert!(e.id() == id && e.limit() >= HALF_MAX);
        }
    }
}

#[test]
fn a_number_of_layers_out_of_any_bounds_does_no_harm() {
    for layers in [u64::from(u32::MAX), u64::MAX / 4, u64::MAX] {
        let mut w = GgufWriter::new();
        w.meta("general.architecture", MetaValue::Str("llama".into())).unwrap();
        w.meta("llama.block_count", MetaValue::U64(layers)).unwrap();
        w.tensor("blk.0.ffn_down.weight", &[256, 2], TensorType::from_id(0)).unwrap();
        let mut bytes = Vec::new();
        w.write_to(&mut bytes, [&[0; 2048][..]]).unwrap();
        let gguf = Gguf::from_bytes(bytes).unwrap();
        let options = QuantizeOptions { to: QuantType::Q4_K_M, pure: false, requantize: false };
        let team = Team::new(1, CpuIsa::best()).unwrap();
        let mut out = Vec::new();
        quantize(&gguf, &mut out, &options, &team, &CancelToken::new(), &mut |_| {}).unwrap();
        assert_eq!(Gguf::from_bytes(out).unwrap().tensors().len(), 1);
    }
}

/// A file of 16 layers with tensors of 256 columns, and the formats that it gets.
fn mix(to: QuantType, more: &[(&str, u32)], tied: bool) -> Vec<(String, &'static str)> {
    let mut w = GgufWriter::new();
    w.meta("general.architecture", MetaValue::Str("llama".into())).unwrap();
    let keys = [("llama.block_count", 16), ("llama.attention.head_count", 8)];
    let set = keys.iter().filter(|(k, _)| !more.iter().any(|(m, _)| m == k)).chain(more);
    set.for_each(|(k, v)| w.meta(k, MetaValue::U32(*v)).unwrap());
    let f32 = TensorType::from_id(0);
    let mut names =
        vec!["token_embd.weight".to_owned(), "per_layer_token_embd.weight".into(), "output_norm.weight".into()];
    names.extend((!tied).then(|| "output.weight".to_owned()));
    for l in 0..16 {
        for part in ["attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate_inp", "ffn_up", "ffn_down"] {
            names.push(format!("blk.{l}.{part}.weight"));
        }
        names.push(format!("blk.{l}.attn_q.bias"));
    }
    for n in &names {
        let vector = n.ends_with("norm.weight") || n.ends_with("bias");
        w.tensor(n, if vector { &[256] } else { &[256, 2] }, f32).unwrap();
    }
    let (long, short) = (vec![0; 2048], vec![0; 1024]);
    let data = names.iter().map(|n| if n.ends_with("norm.weight") || n.ends_with("bias") { &short[..] } else { &long });
    let mut bytes = Vec::new();
    w.write_to(&mut bytes, data).unwrap();
    let gguf = Gguf::from_bytes(bytes).unwrap();
    choose(&gguf, to, false).unwrap().into_iter().map(|c| (c.tensor, c.to.name())).collect()
}

#[test]
fn mixes_follow_the_customary_rules() {
    use QuantType::*;
    let get = |mix: &[(String, &'static str)], name: &str| mix.iter().find(|(n, _)| n == name).unwrap().1;
    let layers = |mix: &[(String, &'static str)], part: &str| -> String {
        let of = |l: usize| get(mix, &format!("blk.{l}.{part}.weight")).as_bytes()[1] as char;
        (0..16).map(of).collect()
    };
    let gqa = [("llama.attention.head_count_kv", 2)];
    for (to, keys, v, down, output) in [
        (Q2_K, &[][..], "3333333333333333", "3333333333333333", '3'),
        (Q2_K, &gqa, "4444444444444444", "3333333333333333", '3'),
        (Q3_K_S, &[], "3333333333333333", "3333333333333333", '3'),
        (Q3_K_M, &[], "5544444444444444", "5444444444444444", '4'),
        (Q3_K_L, &[], "5555555555555555", "5555555555555555", '5'),
        (Q4_K_S, &[], "5555444444444444", "5544444444444444", '4'),
        (Q4_K_M, &[], "6644644644644666", "6644644644644666", '4'),
        (Q5_K_S, &[], "5555555555555555", "5555555555555555", '5'),
        (Q5_K_M, &[], "6655655655655666", "6655655655655666", '5'),
        (Q6_K, &[], "6666666666666666", "6666666666666666", '6'),
        (Q4_K_M, &[("llama.expert_count", 8)], "8888888888888888", "6644644644644666", '5'),
        (Q4_0, &[], "4444444444444444", "4444444444444444", '4'),
    ] {
        let m = mix(to, keys, false);
        assert_eq!((layers(&m, "attn_v"), layers(&m, "ffn_down")), (v.to_owned(), down.to_owned()), "{to}");
        assert_eq!(layers(&m, "attn_output"), output.to_string().repeat(16), "{to}");
        let base = TensorType::from_id(to.base()).unwrap().name();
        assert_eq!((get(&m, "blk.3.ffn_up.weight"), get(&m, "output.weight")), (base, "Q6_K"));
        let tied = mix(to, keys, true);
        for table in ["token_embd.weight", "per_layer_token_embd.weight"] {
            assert_eq!((get(&m, table), get(&tied, table)), (base, "Q6_K"), "{table}");
        }
        for kept in ["output_norm.weight", "blk.0.attn_q.bias", "blk.0.ffn_gate_inp.weight", "blk.1.attn_norm.weight"] {
            assert_eq!(get(&m, kept), "F32");
        }
    }
    let m = mix(F16, &[], false);
    assert_eq!((get(&m, "output.weight"), get(&m, "output_norm.weight")), ("F16", "F32"));
    assert_eq!(get(&mix(Q8_0, &[], false), "output.weight"), "Q8_0");
}

/// A file with one matrix of these rows and the given bytes, and metadata that must survive.
fn file(dims: &[u64], id: u32, data: &[u8]) -> Gguf {
    let mut w = GgufWriter::new();
    w.meta("general.file_type", MetaValue::U32(0)).unwrap();
    w.meta("empty", MetaValue::Array(vec![])).unwrap();
    w.meta("split.count", MetaValue::U16(0)).unwrap();
    w.meta("raw", MetaValue::Bytes(vec![0xff, 0])).unwrap();
    w.tensor("m.weight", dims, TensorType::from_id(id)).unwrap();
    w.tensor("v.weight", &[3], TensorType::from_id(0)).unwrap();
    let mut bytes = Vec::new();
    w.write_to(&mut bytes, [data, &[0; 12]]).unwrap();
    Gguf::from_bytes(bytes).unwrap()
}

fn run(g: &Gguf, to: QuantType, requantize: bool, threads: usize) -> Result<(Gguf, QuantizeReport), QuantizeError> {
    let (mut out, team) = (Vec::new(), Team::new(threads, CpuIsa::best()).unwrap());
    let options = QuantizeOptions { to, pure: false, requantize };
    let report = quantize(g, &mut out, &options, &team, &CancelToken::new(), &mut |_| {})?;
    Ok((Gguf::from_bytes(out).unwrap(), report))
}

fn floats(n: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(n as u64);
    (0..n).map(|_| gauss(&mut rng)).collect()
}

fn bytes(x: &[f32]) -> Vec<u8> {
    x.iter().flat_map(|v| v.to_le_bytes()).collect()
}

#[test]
fn files_keep_everything_but_the_matrices() {
    // More than one batch of weights, and a piece that is not whole.
    let (cols, rows) = (768, 1500);
    let x = floats(cols * rows);
    let source = file(&[cols as u64, rows as u64], 0, &bytes(&x));
    for to in [QuantType::Q8_0, QuantType::Q4_K_S, QuantType::F16] {
        let (g, report) = run(&source, to, false, 1).unwrap();
        let m = g.tensor("m.weight").unwrap();
        assert!(g.tensor_data(m) == encode(to.base(), &x), "{to}");
        let m = g.metadata();
        let keys: Vec<&str> = m.iter().map(|(k, _)| k).collect();
        assert_eq!(keys, ["general.file_type", "empty", "raw", "general.quantization_version"]);
        assert_eq!(m.u32("general.file_type").unwrap(), Some(to.file_type()));
        assert_eq!((m.get("raw"), m.get("empty")), (source.metadata().get("raw"), source.metadata().get("empty")));
        assert_eq!(report.weights, (cols * rows + 3) as u64);
        assert_eq!(report.after, g.tensors().iter().map(|t| t.bytes).sum::<u64>());
        // Threads change nothing, and what was made can be quantized again.
        let (again, _) = run(&source, to, false, 3).unwrap();
        assert!(again.tensor_data(again.tensor("m.weight").unwrap()) == encode(to.base(), &x));
        if to == QuantType::Q8_0 {
            let refused = run(&g, QuantType::Q4_0, false, 1);
            assert!(
                matches!(refused, Err(QuantizeError::Quantized { tensor, format: "Q8_0" }) if tensor == "m.weight")
            );
            let (small, _) = run(&g, QuantType::Q4_0, true, 2).unwrap();
            let want = encode(2, &decode(8, &encode(8, &x)));
            assert!(small.tensor_data(small.tensor("m.weight").unwrap()) == want);
            let (same, _) = run(&g, QuantType::Q8_0, false, 1).unwrap();
            assert!(same.tensor_data(same.tensor("m.weight").unwrap()) == g.tensor_data(g.tensor("m.weight").unwrap()));
        }
    }
}

#[test]
fn rows_that_are_no_whole_blocks_get_another_format() {
    for (cols, to, want, instead) in [
        (96u64, QuantType::Q4_K_M, "Q5_0", Some("Q4_K")),
        (96, QuantType::Q5_K_S, "Q5_1", Some("Q5_K")),
        (96, QuantType::Q6_K, "Q8_0", Some("Q6_K")),
        (96, QuantType::Q2_K, "Q4_0", Some("Q2_K")),
        (96, QuantType::Q4_0, "Q4_0", None),
        (40, QuantType::Q4_0, "F16", Some("Q4_0")),
        (40, QuantType::Q6_K, "F16", Some("Q6_K")),
        (40, QuantType::F16, "F16", None),
    ] {
        let source = file(&[cols, 2], 0, &bytes(&floats(cols as usize * 2)));
        let (g, report) = run(&source, to, false, 1).unwrap();
        assert_eq!(g.tensor("m.weight").unwrap().dtype.name(), want, "{cols} {to}");
        assert_eq!(report.choices[0].instead_of.map(TensorType::name), instead);
    }
}

#[test]
fn weights_that_cannot_be_are_refused_with_their_place() {
    let n = 256 * 20_000;
    let good = floats(n);
    for (bad, at) in [(f32::NAN, 0), (f32::INFINITY, 4096), (f32::NEG_INFINITY, n - 1), (f32::NAN, n / 2)] {
        let mut x = good.clone();
        x[at] = bad;
        // A later one is not the first.
        x[n - 1] = f32::NEG_INFINITY;
        let source = file(&[256, 20_000], 0, &bytes(&x));
        for to in [QuantType::Q4_0, QuantType::F32] {
            let Err(QuantizeError::NonFinite { tensor, index, value }) = run(&source, to, false, 2) else { panic!() };
            assert_eq!((tensor.as_str(), index, value.to_bits()), ("m.weight", at as u64, bad.to_bits()));
        }
    }
    let mut x = floats(512);
    for (v, to, ok) in [
        (65519.0, QuantType::F16, true),
        (65520.0, QuantType::F16, false),
        (65520.0, QuantType::Q6_K, false),
        (500_000.0, QuantType::Q4_0, true),
        (530_000.0, QuantType::Q4_0, false),
        (8e6, QuantType::Q8_0, true),
        (9e6, QuantType::Q8_0, false),
        (f32::MAX, QuantType::BF16, false),
        (3.38e38, QuantType::BF16, true),
        (f32::MAX, QuantType::F32, true),
    ] {
        x[300] = v;
        let result = run(&file(&[256, 2], 0, &bytes(&x)), to, false, 1);
        match result {
            Ok((g, _)) => {
                assert!(ok, "{v} {to}");
                let m = g.tensor("m.weight").unwrap();
                assert!(decode(m.dtype.id(), g.tensor_data(m)).iter().all(|v| v.is_finite()), "{v} {to}");
            }
            Err(QuantizeError::Range { index: 300, value, .. }) => assert!(!ok && value == v, "{v} {to}"),
            Err(e) => panic!("{e}"),
        }
    }
}

#[test]
fn what_cannot_be_decoded_and_what_was_stopped() {
    let source = file(&[256, 2], 41, &[0; 72]);
    assert!(matches!(run(&source, QuantType::Q4_0, false, 1), Err(QuantizeError::Quantized { .. })));
    assert!(matches!(run(&source, QuantType::Q4_0, true, 1), Err(QuantizeError::Source { format: "Q1_0", .. })));
    let mut none = Vec::new();
    GgufWriter::new().write_to(&mut none, []).unwrap();
    let none = Gguf::from_bytes(none).unwrap();
    assert!(matches!(run(&none, QuantType::Q4_0, false, 1), Err(QuantizeError::NoTensors)));
    let (team, cancel) = (Team::new(1, CpuIsa::best()).unwrap(), CancelToken::new());
    let source = file(&[256, 20_000], 0, &bytes(&floats(256 * 20_000)));
    let options = QuantizeOptions { to: QuantType::Q4_0, pure: true, requantize: false };
    let mut seen = 0;
    let progress = &mut |p: QuantizeProgress<'_>| {
        assert!(p.done > seen && p.done <= p.total && p.tensor == "m.weight");
        seen = p.done;
        cancel.cancel();
    };
    let mut out = Vec::new();
    let stopped = quantize(&source, &mut out, &options, &team, &cancel, progress);
    assert!(matches!(stopped, Err(QuantizeError::Cancelled)) && out.len() < 20_000 * 144);
}
