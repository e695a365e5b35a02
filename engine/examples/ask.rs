//! From a question to an answer, word by word:
//!
//!     cargo run --release -p hewn-engine --example ask -- models/hewn-tiny.gguf "What is 12 + 30?"

use hewn_engine::chat::{Channel, ChatTemplate, Message, family, prompt, template_from_gguf};
use hewn_engine::sampler::SamplerOptions;
use hewn_engine::tokenizer::Tokenizer;
use hewn_engine::{
    CancelToken, CpuIsa, Event, GenerateOptions, LoadOptions, Model, Runner, RunnerOptions, Sequence, SequenceOptions,
    Team, Thinking, default_threads, generate,
};
use std::error::Error;
use std::io::{Write, stdout};
use std::path::Path;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, question] = &args[..] else { return Err("usage: ask MODEL.gguf QUESTION".into()) };

    // One model serves any number of runners and sequences; a team is the threads that compute.
    let model = Arc::new(Model::open(Path::new(path), &LoadOptions::default())?);
    let team = Arc::new(Team::new(default_threads(), CpuIsa::best())?);
    let mut runner = Runner::new(model.clone(), team, &RunnerOptions::default())?;
    let tokenizer = Tokenizer::from_gguf(model.gguf())?;

    // The file's chat template, else that of the family which its vocabulary tells; else the question is continued.
    let name = model.gguf().metadata().str("general.name")?;
    let usual = || family(&tokenizer, name).map(|f| f.source.to_owned());
    let source = template_from_gguf(model.gguf())?.or_else(usual);
    let prompt = match source {
        Some(source) => prompt::chat(&tokenizer, &ChatTemplate::new(&source)?, &[Message::new("user", question)])?,
        None => prompt::plain(&tokenizer, question),
    };

    let options = GenerateOptions {
        max_tokens: Some(512),
        sampler: SamplerOptions { temperature: 0.0, ..SamplerOptions::default() },
        think: Thinking { parse: true, opened: prompt.opened, budget: None },
        ..GenerateOptions::default()
    };
    // What a conversation has said so far stays in its sequence. Another thread may cancel.
    let mut seq = Sequence::new(&model, &SequenceOptions::default())?;
    let cancel = CancelToken::new();
    let mut show = |event: Event<'_>| {
        if let Event::Text { channel: Channel::Answer, text } = event {
            print!("{text}");
            // An answer goes on where nobody reads it.
            let _ = stdout().flush();
        }
    };
    let answer = generate(&mut runner, &tokenizer, &mut seq, &prompt.tokens, &options, &cancel, &mut show)?;
    println!();
    let t = answer.timings;
    eprintln!("{:?}: {} tokens, {:.1} a second", answer.finish, t.generated, t.decode_speed());
    Ok(())
}
