//! What changes a model that is opened.

use clap::{Args, ValueEnum};
use hewn_engine::loader::Gguf;
use hewn_engine::{Adapter, AdapterFile, EngineError, LoadOptions, Model, PackOptions, RopeOptions, RopeScaling};
use std::path::PathBuf;

#[derive(Args)]
pub struct ChangeArgs {
    /// A LoRA adapter (GGUF) that was made for the model; may be repeated.
    #[arg(long, value_name = "FILE")]
    lora: Vec<PathBuf>,
    /// The same and how much of it counts: `adapter.gguf:0.5`; may be repeated. They come after those of --lora.
    #[arg(long, value_name = "FILE:SCALE", value_parser = scaled)]
    lora_scaled: Vec<AdapterFile>,
    /// How rotary positions are stretched, for a longer context than the file says [default: as it says, or linear with
    /// --rope-scale].
    #[arg(long, value_enum, help_heading = LONGER)]
    rope_scaling: Option<Scaling>,
    /// How many times as long the context becomes.
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = LONGER)]
    rope_scale: Option<f32>,
    /// The base of the rotary frequencies.
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = LONGER)]
    rope_freq_base: Option<f32>,
    /// What frequencies are multiplied with: 1/N of --rope-scale.
    #[arg(long, value_name = "N", allow_negative_numbers = true, conflicts_with = "rope_scale", help_heading = LONGER)]
    rope_freq_scale: Option<f32>,
    /// YaRN: the context of the training [default: as the file says].
    #[arg(long, value_name = "TOKENS", help_heading = LONGER)]
    yarn_orig_ctx: Option<usize>,
    /// YaRN: how much of its mixing applies; 0 stretches all frequencies alike [default: 1].
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = LONGER)]
    yarn_ext_factor: Option<f32>,
    /// YaRN: a factor of turned channels, besides the one that follows from the scale [default: 1].
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = LONGER)]
    yarn_attn_factor: Option<f32>,
    /// YaRN: turns within that context up to which a frequency is stretched by all [default: 1].
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = LONGER)]
    yarn_beta_slow: Option<f32>,
    /// YaRN: turns from which it is kept [default: 32].
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = LONGER)]
    yarn_beta_fast: Option<f32>,
}

const LONGER: &str = "Longer contexts";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scaling {
    None,
    Linear,
    Yarn,
}

impl ChangeArgs {
    /// The adapters in their order.
    fn adapters(&self) -> Vec<AdapterFile> {
        let whole = self.lora.iter().map(|path| AdapterFile { path: path.clone(), scale: 1.0 });
        whole.chain(self.lora_scaled.iter().cloned()).collect()
    }

    /// The rotary positions.
    fn rope(&self) -> RopeOptions {
        RopeOptions {
            scaling: self.rope_scaling.map(|kind| match kind {
                Scaling::None => RopeScaling::None,
                Scaling::Linear => RopeScaling::Linear,
                Scaling::Yarn => RopeScaling::Yarn,
            }),
            scale: self.rope_scale.or(self.rope_freq_scale.map(|factor| 1.0 / factor)),
            freq_base: self.rope_freq_base,
            yarn_orig_ctx: self.yarn_orig_ctx,
            yarn_ext_factor: self.yarn_ext_factor,
            yarn_attn_factor: self.yarn_attn_factor,
            yarn_beta_slow: self.yarn_beta_slow,
            yarn_beta_fast: self.yarn_beta_fast,
        }
    }

    /// Whether anything is changed.
    pub fn any(&self) -> bool {
        !self.lora.is_empty() || !self.lora_scaled.is_empty() || self.rope().any()
    }

    /// How a file is opened.
    pub fn options(&self, mmap: bool, pack: PackOptions) -> LoadOptions {
        LoadOptions { mmap, pack, adapters: self.adapters(), rope: self.rope() }
    }

    /// The model of a file that was opened before, changed.
    pub fn open(&self, gguf: Gguf, mmap: bool) -> Result<Model, EngineError> {
        let options = LoadOptions { mmap, ..LoadOptions::default() };
        let adapters = self.adapters().iter().map(|file| Adapter::open(file, &options)).collect::<Result<_, _>>()?;
        Model::changed(gguf, adapters, &self.rope())
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
