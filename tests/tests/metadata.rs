//! Hyperparameters that a file has and nothing reads.

use hewn_engine::ModelConfig;
use hewn_engine::loader::{Gguf, GgufWriter, MetaValue, OpenOptions};
use hewn_tests::shared;
use std::path::PathBuf;

fn fixtures() -> Vec<PathBuf> {
    let mut dirs = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data/arch"))];
    if let Some(shared) = shared() {
        dirs.extend(["fixtures/arch", "fixtures/quant"].map(|dir| shared.join(dir)));
    }
    let files = dirs.iter().flat_map(|dir| std::fs::read_dir(dir).unwrap()).map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|e| e == "gguf")).collect()
}

#[test]
fn every_key_of_every_fixture_is_read() {
    let files = fixtures();
    assert!(files.len() > 40);
    for path in files {
        let gguf = Gguf::open(&path, &OpenOptions::default()).unwrap();
        let unread = ModelConfig::from_gguf(&gguf).unwrap().unread;
        assert!(unread.is_empty(), "{}: {unread:?}", path.display());
    }
}

#[test]
fn a_key_that_nobody_knows_is_told() {
    let mut file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/data/arch/granite.gguf")).unwrap();
    let key = "granite.residual_scale";
    let at = file.windows(key.len()).position(|w| w == key.as_bytes()).unwrap();
    file[at + key.len() - 1] = b'd';
    let config = ModelConfig::from_gguf(&Gguf::from_bytes(file).unwrap()).unwrap();
    assert_eq!((config.unread, config.residual_scale), (vec!["granite.residual_scald".to_owned()], 1.0));
}

/// Embedding models come by the architectures of text models.
#[test]
fn models_that_are_not_causal_are_refused() {
    let error = |causal: bool| {
        let mut w = GgufWriter::new();
        w.meta("general.architecture", MetaValue::Str("lfm2".into())).unwrap();
        w.meta("lfm2.attention.causal", MetaValue::Bool(causal)).unwrap();
        let mut file = Vec::new();
        w.write_to(&mut file, Vec::<&[u8]>::new()).unwrap();
        ModelConfig::from_gguf(&Gguf::from_bytes(file).unwrap()).unwrap_err().to_string()
    };
    assert!(error(false).contains("lfm2.attention.causal"), "{}", error(false));
    assert!(error(true).contains("token_embd.weight"), "{}", error(true));
}
