//! `hewn chat`: a conversation in the terminal, or line by line through a pipe.

mod command;
mod input;
mod session;

use crate::args::ChatArgs;
use crate::errors::CliError;
use crate::output::note;
use command::Command;
use input::{Input, Line};
use session::Session;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// A second Ctrl-C at the prompt within this time quits; later, it gives up another line.
const AGAIN: Duration = Duration::from_secs(2);

const HELP: &str = "\
/reset         forget the conversation
/system TEXT   set the system message (nothing: remove it)
/regen         answer the last message anew, with another seed
/undo          take back the last message and its answer
/forget        forget the first message and its answer, which makes room in a full context
/save FILE     write the conversation to a file
/load FILE     read it back (at most 64 MiB)
/stats         speed and memory of the last answer
/help          this list
/quit          leave (also Ctrl-D, or Ctrl-C twice)
A line that ends with \\ goes on; \"\"\" starts and ends a text of several lines. Ctrl-C stops an answer.";

/// Runs the subcommand.
pub fn run(a: &ChatArgs) -> Result<(), CliError> {
    let mut session = Session::open(a)?;
    let mut input = Input::open()?;
    if input.is_terminal() && !a.generate.quiet {
        note("/help lists the commands");
    }
    let mut given_up: Option<Instant> = None;
    loop {
        let line = match input.next()? {
            Line::Text(text) => text,
            Line::Nothing => continue,
            Line::GivenUp if given_up.is_some_and(|at| at.elapsed() < AGAIN) => return Err(CliError::interrupted()),
            Line::GivenUp => {
                note("Ctrl-C once more, or Ctrl-D, quits");
                given_up = Some(Instant::now());
                continue;
            }
            Line::End => return Ok(()),
        };
        given_up = None;
        let result = match Command::parse(&line) {
            None => session.say(&line).map(ControlFlow::Continue),
            Some(Ok(command)) => obey(&mut session, command),
            Some(Err(e)) => Err(e),
        };
        match result {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => return Ok(()),
            // A mistake at the prompt does not end the conversation; in a pipe nobody is there to mend it.
            Err(e) if input.is_terminal() => {
                e.report();
            }
            Err(e) => return Err(e),
        }
    }
}

fn obey(session: &mut Session<'_>, command: Command) -> Result<ControlFlow<()>, CliError> {
    match command {
        Command::Reset => session.reset(),
        Command::System(text) => session.set_system(text),
        Command::Regen => session.regenerate()?,
        Command::Undo => session.undo()?,
        Command::Forget => session.forget()?,
        Command::Save(path) => session.save(&path)?,
        Command::Load(path) => session.load(&path)?,
        Command::Stats => session.stats(),
        Command::Help => note(HELP),
        Command::Quit => return Ok(ControlFlow::Break(())),
    }
    Ok(ControlFlow::Continue(()))
}
