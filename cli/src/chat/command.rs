//! The commands of a chat: lines that begin with a slash.

use crate::errors::CliError;
use std::path::PathBuf;

/// A command.
#[derive(Debug, PartialEq)]
pub enum Command {
    Reset,
    System(Option<String>),
    Regen,
    Undo,
    Forget,
    Save(PathBuf),
    Load(PathBuf),
    Stats,
    Help,
    Quit,
}

impl Command {
    /// Reads a line; `None` when it is a message.
    pub fn parse(line: &str) -> Option<Result<Self, CliError>> {
        let rest = line.strip_prefix('/')?;
        let (word, arg) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let arg = arg.trim();
        let file = |make: fn(PathBuf) -> Self| match arg {
            "" => Err(CliError::usage(format!("/{word} needs a file name"), format!("for example /{word} talk.json"))),
            path => Ok(make(PathBuf::from(path))),
        };
        let alone = |command: Self| match arg {
            "" => Ok(command),
            _ => Err(CliError::usage(format!("/{word} takes nothing after it"), "/help lists the commands")),
        };
        Some(match word {
            "reset" => alone(Self::Reset),
            "system" => Ok(Self::System((!arg.is_empty()).then(|| arg.to_owned()))),
            "regen" => alone(Self::Regen),
            "undo" => alone(Self::Undo),
            "forget" => alone(Self::Forget),
            "save" => file(Self::Save),
            "load" => file(Self::Load),
            "stats" => alone(Self::Stats),
            "help" => alone(Self::Help),
            "quit" | "exit" => alone(Self::Quit),
            // A path or a fraction is a message; only a bare unknown word is a slip.
            _ if word.is_empty() || !word.chars().all(|c| c.is_ascii_lowercase()) => return None,
            _ => Err(CliError::usage(format!("there is no command /{word}"), "/help lists the commands")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        assert!(Command::parse("hello /reset").is_none());
        assert!(Command::parse("/usr/bin is a path").is_none());
        assert_eq!(Command::parse("/reset").unwrap().unwrap(), Command::Reset);
        assert_eq!(Command::parse("/system be brief").unwrap().unwrap(), Command::System(Some("be brief".into())));
        assert_eq!(Command::parse("/system").unwrap().unwrap(), Command::System(None));
        assert_eq!(Command::parse("/save a b.json").unwrap().unwrap(), Command::Save("a b.json".into()));
        assert!(Command::parse("/save").unwrap().is_err());
        assert!(Command::parse("/nonsense").unwrap().is_err());
        assert!(Command::parse("/reset now").unwrap().is_err());
    }
}
