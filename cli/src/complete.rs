//! `hewn completions` and `hewn man`, made from the command line's own description.

use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::errors::CliError;
use crate::outfile::OutputFile;
use clap::{Command, CommandFactory};
use std::io::{Write, stdout};
use std::path::Path;

/// Prints a completion script.
pub fn completions(a: &CompletionsArgs) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(a.shell, &mut Cli::command(), "hewn", &mut script);
    Ok(stdout().lock().write_all(&script)?)
}

/// Writes the page of a command and of those below it, each of which is whole or not there, also where the disk is full.
fn pages(command: &Command, dir: &Path) -> Result<(), CliError> {
    for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        pages(below, dir)?;
    }
    let man = clap_mangen::Man::new(command.clone());
    let mut page = Vec::new();
    man.render(&mut page)?;
    let mut out = OutputFile::open(&dir.join(man.get_filename()), "")?;
    let fail = out.fail();
    out.write_all(&page).map_err(|e| fail(&e))?;
    out.keep()
}

/// Prints the manual page, or writes one a subcommand.
pub fn man(a: &ManArgs) -> Result<(), CliError> {
    match &a.dir {
        Some(dir) => {
            let mut all = Cli::command().disable_help_subcommand(true);
            all.build();
            pages(&all, dir)
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            Ok(stdout().lock().write_all(&page)?)
        }
    }
}
