//! What changes a model that is opened.

use clap::Args;
use hewn_engine::loader::Gguf;
use hewn_engine::{Adapter, AdapterFile, EngineError, LoadOptions, Model};
use std::path::PathBuf;

#[derive(Args)]
pub struct ChangeArgs {
    /// A LoRA adapter (GGUF) that was made for the model; may be repeated.
    #[arg(long, value_name = "FILE")]
    lora: Vec<PathBuf>,
    /// The same and how much of it counts: `adapter.gguf:0.5`; may be repeated. They come after those of --lora.
    #[arg(long, value_name = "FILE:SCALE", value_parser = scaled)]
    lora_scaled: Vec<AdapterFile>,
}

impl ChangeArgs {
    /// The adapters in their order.
    pub fn adapters(&self) -> Vec<AdapterFile> {
        let whole = self.lora.iter().map(|path| AdapterFile { path: path.clone(), scale: 1.0 });
        whole.chain(self.lora_scaled.iter().cloned()).collect()
    }

    /// The model of a file that was opened before, changed.
    pub fn open(&self, gguf: Gguf, mmap: bool) -> Result<Model, EngineError> {
        let options = LoadOptions { mmap, ..LoadOptions::default() };
        let adapters = self.adapters().iter().map(|file| Adapter::open(file, &options)).collect::<Result<_, _>>()?;
        Model::with_adapters(gguf, adapters)
    }
}

fn scaled(text: &str) -> Result<AdapterFile, String> {
    let (path, scale) = text.rsplit_once(':').ok_or("expected FILE:SCALE, such as adapter.gguf:0.5")?;
    match scale.parse::<f32>() {
        Ok(scale) if scale.is_finite() && !path.is_empty() => Ok(AdapterFile { path: path.into(), scale }),
        _ => Err(format!("`{scale}` is not a number; expected FILE:SCALE, such as adapter.gguf:0.5")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_stands_behind_the_last_colon() {
        let file = |path: &str, scale| AdapterFile { path: path.into(), scale };
        assert_eq!(scaled("a.gguf:0.5"), Ok(file("a.gguf", 0.5)));
        assert_eq!(scaled("c:/a.gguf:-2"), Ok(file("c:/a.gguf", -2.0)));
        for wrong in ["a.gguf", "a.gguf:", "a.gguf:x", "a.gguf:nan", "a.gguf:inf", ":1", ""] {
            assert!(scaled(wrong).unwrap_err().contains("FILE:SCALE"), "{wrong}");
        }
    }
}
