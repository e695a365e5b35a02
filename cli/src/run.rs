//! `hewn run`: one prompt, one answer.

use crate::args::{RunArgs, Think};
use crate::errors::CliError;
use crate::output::{Interrupt, Printer, closing_line, memory, note};
use crate::prompt_cache::PromptCache;
use crate::{bundled, prompt, setup};
use hewn_engine::chat::Message;
use hewn_engine::{Event, FinishReason, GenerateOptions, Generation, Thinking, generate};
use serde_json::json;

/// Runs the subcommand.
pub fn run(mut a: RunArgs) -> Result<(), CliError> {
    let interrupt = Interrupt::install()?;
    bundled::sort_out(&mut a);
    let a = &a;
    let g = &a.generate;
    let no_model = |e: CliError| match bundled::perhaps_a_prompt(a) {
        Some(hint) => e.hint_also(&hint),
        None => e,
    };
    let text = match &a.ask {
        Some(text) => text.clone(),
        None => prompt::read(a.prompt.as_deref(), a.file.as_deref()).map_err(no_model)?,
    };
    let empty = || CliError::usage("the prompt is empty", "give some text, as in `hewn run \"2+3\"`");
    if a.model.model.is_none() && text.trim().is_empty() {
        // `hewn run` alone in a script would ask nothing.
        return Err(match (&a.prompt, &a.ask, &a.file) {
            (None, None, None) => {
                CliError::usage("there is neither a model nor a prompt", "give one, as in `hewn run \"2+3\"`")
            }
            _ => empty(),
        });
    }
    let mut runner = setup::runner(&a.model, g.quiet).map_err(no_model)?;
    let tokenizer = setup::tokenizer(&runner)?;
    let template = if a.raw { None } else { setup::template(&runner, &tokenizer, &g.template)? };
    let prompt = match &template {
        // Whatever the template writes around it, nothing was asked.
        Some(_) if text.trim().is_empty() && g.system.is_none() => return Err(empty()),
        Some(template) => {
            let system = g.system.iter().map(|s| Message::new("system", s));
            let messages: Vec<Message> = system.chain([Message::new("user", &text)]).collect();
            prompt::chat(&tokenizer, template, &messages)?
        }
        None => {
            if !a.raw {
                let asks = g.system.is_some() || g.think_budget.is_some() || g.template.chat_template_kwargs.is_some();
                if asks {
                    let hint = "leave out --system, --think-budget and --chat-template-kwargs, or use a chat model";
                    return Err(CliError::usage("the file has no chat template, nor marks of a known one", hint));
                }
                note("the file has no chat template: continuing the prompt as plain text");
            }
            prompt::plain(&tokenizer, &text)
        }
    };
    if prompt.tokens.is_empty() {
        return Err(empty());
    }
    let (cache, mut seq) = PromptCache::open(a, &runner)?;
    setup::speculate(&mut runner, &tokenizer, &a.model, g)?;
    let seed = g.seed.unwrap_or_else(setup::clock_seed);
    let think = Thinking { parse: template.is_some(), opened: prompt.opened, budget: g.think_budget };
    let options = GenerateOptions {
        max_tokens: g.max_tokens,
        sampler: g.sampler(),
        seed,
        stop: g.stop.clone(),
        think,
        ignore_eos: g.ignore_eos,
    };
    let mut printer = Printer::new(g, &interrupt.cancel);
    // With the first event the prompt has been accepted: an error prints nothing.
    let mut echo = (template.is_none() && !a.no_echo && !a.json).then_some(&text);
    let result = interrupt.guard(|cancel| {
        let on = &mut |e: Event<'_>| {
            if let Some(prompt) = echo.take() {
                printer.print(prompt, false);
            }
            if !a.json || matches!(e, Event::Prefill { .. }) {
                printer.event(e);
            }
        };
        generate(&mut runner, &tokenizer, &mut seq, &prompt.tokens, &options, cancel, on)
    });
    printer.finish()?;
    let result = result?;
    setup::tell_of_draft(&mut runner);
    if a.json {
        println_json(a, &result, seed)?;
    }
    if !g.quiet {
        note(&format!("{}; {}", closing_line(&result.timings), ended(&result.finish)));
    }
    let remedy = match result.finish {
        FinishReason::MaxTokens => Some("raise -n"),
        FinishReason::ContextFull if seq.ctx() < runner.model().config().ctx => Some("raise --ctx"),
        FinishReason::ContextFull => Some("shorten the prompt; the model was trained for no longer context"),
        _ => None,
    };
    let hidden = template.is_some() && g.think == Think::Hide && !a.json;
    if hidden && result.text.is_empty() && !result.reasoning.is_empty() {
        let remedy = remedy.map_or(String::new(), |r| format!("{r}, or "));
        note(&format!("there is reasoning, but no answer yet: {remedy}see it with --think show"));
    } else if let Some(remedy) = remedy.filter(|_| !g.quiet) {
        note(&format!("the answer is cut off: {remedy}"));
    }
    cache.keep(&runner, &mut seq, prompt.tokens.len())?;
    // What was stopped is no answer. One that is cut off was asked for with -n: scripts find `finish` in --json.
    if result.finish == FinishReason::Cancelled { Err(CliError::interrupted()) } else { Ok(()) }
}

/// Why there is no more text.
fn ended(finish: &FinishReason) -> String {
    match finish {
        FinishReason::Eog => "ended by the model".to_owned(),
        FinishReason::MaxTokens => "cut off by -n".to_owned(),
        FinishReason::Stop(s) => format!("ended by --stop {s:?}"),
        FinishReason::ContextFull => "cut off by the full context".to_owned(),
        FinishReason::Cancelled => "stopped".to_owned(),
    }
}

fn println_json(a: &RunArgs, r: &Generation, seed: u64) -> Result<(), CliError> {
    use std::io::Write;
    let t = &r.timings;
    let finish = match &r.finish {
        FinishReason::Eog => "eos".to_owned(),
        FinishReason::MaxTokens => "max_tokens".to_owned(),
        FinishReason::Stop(s) => format!("stop:{s}"),
        FinishReason::ContextFull => "context_full".to_owned(),
        FinishReason::Cancelled => "cancelled".to_owned(),
    };
    let value = json!({
        "model": bundled::name(a.model.model.as_deref()),
        "text": r.text,
        "reasoning": r.reasoning,
        "tokens": r.tokens,
        "finish": finish,
        "seed": seed,
        "timings": {
            "prompt_tokens": t.prompt_tokens,
            "cached_tokens": t.cached_tokens,
            "prompt_seconds": t.prefill.as_secs_f64(),
            "prompt_tokens_per_second": t.prefill_speed(),
            "first_token_seconds": t.first_token.as_secs_f64(),
            "generated_tokens": t.generated,
            "generated_seconds": t.decode.as_secs_f64(),
            "generated_tokens_per_second": t.decode_speed(),
            "guessed_tokens": t.guessed,
            "right_guesses": t.right,
        },
        "memory": memory().map(|m| json!({"peak": m.peak, "file": m.file, "private": m.private})),
    });
    writeln!(std::io::stdout().lock(), "{value:#}")?;
    Ok(())
}
