//! `hewn synth`: a model file with random weights in the shape of a well-known model; and such models for measuring.

use crate::args::SynthArgs;
use crate::errors::CliError;
use crate::outfile::OutputFile;
use crate::output::{Interrupt, bytes, count, note};
use crate::temporary::{self, Listed};
use comfy_table::{CellAlignment, Table, presets};
use hewn_engine::packed::{self, PackError};
use hewn_engine::synth::{self, MIXES, Mix, Shape, SynthError};
use hewn_engine::{CancelToken, LoadOptions, Model};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write, stdout};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Runs the subcommand.
pub fn run(a: &SynthArgs) -> Result<(), CliError> {
    if a.list_shapes {
        return list();
    }
    let (Some(shape), Some(path)) = (&a.shape, &a.output) else {
        return Err(CliError::usage("no shape or no output was given", "name them with --shape and -o"));
    };
    let what = Synthetic::find(shape, &a.quant)?;
    let interrupt = Interrupt::install()?;
    let mut out = OutputFile::stream(path)?;
    interrupt.guard(|cancel| what.write(&mut out, path, a.seed, cancel))?;
    out.keep()?;
    note(&format!("{}: {} of random weights", path.display(), bytes(what.bytes())));
    Ok(())
}

/// The shapes and the mixes, as a table.
pub fn list() -> Result<(), CliError> {
    let mut table = Table::new();
    let head = ["shape", "architecture", "layers", "channels", "heads", "tokens", "weights", "q4_k_m"];
    table.load_style(presets::NOTHING).set_header(head);
    for s in Shape::runnable() {
        let of = |mix: &str| Mix::find(mix).map_or(0, |m| synth::weight_bytes(s, m));
        table.add_row([
            s.name.to_owned(),
            s.arch.to_owned(),
            s.layers.to_string(),
            s.dim.to_string(),
            format!("{}/{}", s.heads, s.kv_heads),
            s.vocab.to_string(),
            count(of("f32") / 4),
            bytes(of("q4_k_m")),
        ]);
    }
    table.column_iter_mut().skip(2).for_each(|c| c.set_cell_alignment(CellAlignment::Right));
    let mixes: Vec<&str> = MIXES.iter().map(|m| m.name).collect();
    let text = format!("{}\n\nmixes: {}\n", table.trim_fmt(), mixes.join(", "));
    Ok(stdout().lock().write_all(text.as_bytes())?)
}

/// A shape in a mix.
#[derive(Clone, Copy)]
pub struct Synthetic {
    shape: &'static Shape,
    mix: Mix,
}

impl Synthetic {
    /// By their names.
    pub fn find(shape: &str, mix: &str) -> Result<Self, CliError> {
        let hint = "`hewn bench --list-shapes` lists the shapes and the mixes";
        let shape = Shape::find(shape).ok_or_else(|| CliError::usage(format!("there is no shape `{shape}`"), hint))?;
        let mix = Mix::find(mix).ok_or_else(|| CliError::usage(format!("there is no mix `{mix}`"), hint))?;
        Ok(Self { shape, mix })
    }

    /// `llama-3.2-1b-q4_k_m`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.shape.name, self.mix.name)
    }

    /// Bytes of its weights.
    pub fn bytes(&self) -> u64 {
        synth::weight_bytes(self.shape, self.mix)
    }

    fn write(&self, file: &mut impl Write, path: &Path, seed: u64, cancel: &CancelToken) -> Result<(), CliError> {
        let bar = progress(&format!("making {}", self.name()));
        let mut out = BufWriter::new(file);
        let done = synth::write(self.shape, self.mix, seed, &mut out, &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
            if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        bar.finish_and_clear();
        match done.and_then(|()| out.flush().map_err(SynthError::from)) {
            Ok(()) => Ok(()),
            Err(SynthError::Cancelled) => Err(CliError::interrupted()),
            Err(SynthError::Io(e)) if e.kind() == ErrorKind::StorageFull => {
                let cause = format!("no room for {}, which takes {}", path.display(), bytes(self.bytes()));
                Err(CliError::failure(
                    cause,
                    "make room, or choose another folder (TMPDIR for those that are only measured)",
                ))
            }
            Err(SynthError::Io(e)) => Err(CliError::file("write", path, &e)),
        }
    }

    /// Writes it to a temporary folder, with its packed file beside it where `packed` says so.
    pub fn temporary(&self, packed: bool, cancel: &CancelToken) -> Result<Temporary, CliError> {
        let dir = temporary::folder().map_err(|e| CliError::file("write", &std::env::temp_dir(), &e))?;
        let path = dir.path().join(self.name() + ".gguf");
        let mut file = File::create(&path).map_err(|e| CliError::file("write", &path, &e))?;
        self.write(&mut file, &path, 1, cancel)?;
        if packed {
            let model = Model::open(&path, &LoadOptions::default())?;
            match packed::write(&model, &packed::beside(&path), false, cancel, &|_| {}) {
                Ok(_) | Err(PackError::Nothing) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(Temporary { path, _dir: dir })
    }
}

/// A model that disappears with this value.
pub struct Temporary {
    path: PathBuf,
    _dir: Listed<tempfile::TempDir>,
}

impl Temporary {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn progress(what: &str) -> ProgressBar {
    // Without a terminal, indicatif draws nothing.
    let bar = ProgressBar::new(0).with_message(what.to_owned());
    match ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
