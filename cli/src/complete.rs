//! `hewn completions` and `hewn man`, made from the command line's own description.

use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::errors::CliError;
use clap::CommandFactory;
use std::io::{Write, stdout};

/// Prints a completion script.
pub fn completions(a: &CompletionsArgs) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(a.shell, &mut Cli::command(), "hewn", &mut script);
    Ok(stdout().lock().write_all(&script)?)
}

/// Prints the manual page, or writes one a subcommand.
pub fn man(a: &ManArgs) -> Result<(), CliError> {
    match &a.dir {
        Some(dir) => clap_mangen::generate_to(Cli::command(), dir).map_err(|e| CliError::file("write to", dir, &e)),
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            Ok(stdout().lock().write_all(&page)?)
        }
    }
}
