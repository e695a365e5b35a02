//! What the user sees while text is generated: the text, a progress bar, a closing line.

use crate::args::{GenerateArgs, Think};
use crate::errors::CliError;
pub use crate::interrupt::Interrupt;
use hewn_engine::chat::Channel;
use hewn_engine::{CancelToken, Event, Timings};
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Streams text to standard output.
pub struct Printer {
    think: Think,
    terminal: bool,
    start: Instant,
    bar: Option<ProgressBar>,
    last: Option<Channel>,
    ends_line: bool,
    failed: Option<io::Error>,
    cancel: CancelToken,
}

impl Printer {
    /// A printer; an output that cannot be written to raises `cancel`.
    pub fn new(g: &GenerateArgs, cancel: &CancelToken) -> Self {
        Self {
            think: g.think,
            terminal: io::stdout().is_terminal(),
            start: Instant::now(),
            bar: None,
            last: None,
            ends_line: true,
            failed: None,
            cancel: cancel.clone(),
        }
    }

    /// Shows an event.
    pub fn event(&mut self, e: Event<'_>) {
        match e {
            Event::Prefill { done, total } => self.progress(done, total),
            Event::Token(_) => self.clear_bar(),
            Event::Text { channel: Channel::Reasoning, .. } if self.think == Think::Hide => {}
            Event::Text { channel, text } => {
                if self.last == Some(Channel::Reasoning) && channel == Channel::Answer {
                    self.print(if self.ends_line { "\n" } else { "\n\n" }, false);
                }
                self.last = Some(channel);
                self.print(text, channel == Channel::Reasoning && self.think == Think::Dim);
            }
        }
    }

    /// Prints text as it is (a terminal gets no control characters).
    pub fn print(&mut self, text: &str, dim: bool) {
        self.clear_bar();
        if self.failed.is_some() {
            return;
        }
        // A model must not drive the terminal.
        let text = if self.terminal {
            text.replace(|c: char| c.is_control() && c != '\n' && c != '\t', "")
        } else {
            text.to_owned()
        };
        if !text.is_empty() {
            self.ends_line = text.ends_with('\n');
        }
        let style = anstyle::Style::new().dimmed();
        let mut out = anstream::stdout().lock();
        // Without colours the text goes past anstream, which would take control characters out of it too.
        let result = if dim && out.current_choice() != anstream::ColorChoice::Never {
            write!(out, "{style}{text}{style:#}")
        } else {
            io::stdout().lock().write_all(text.as_bytes())
        };
        if let Err(e) = result.and_then(|()| out.flush()) {
            self.failed = Some(e);
            self.cancel.cancel();
        }
    }

    /// Ends the last line; passes on what went wrong while writing.
    pub fn finish(mut self) -> Result<(), CliError> {
        if !self.ends_line {
            self.print("\n", false);
        }
        self.clear_bar();
        self.failed.map_or(Ok(()), |e| Err(e.into()))
    }

    fn progress(&mut self, done: usize, total: usize) {
        if done >= total || !io::stderr().is_terminal() {
            return self.clear_bar();
        }
        if self.bar.is_none() && self.start.elapsed() > Duration::from_secs(1) {
            let bar = ProgressBar::new(total as u64);
            if let Ok(style) =
                ProgressStyle::with_template("reading the prompt {bar:30} {pos}/{len} tokens, {eta} left")
            {
                bar.set_style(style);
            }
            self.bar = Some(bar);
        }
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
        }
    }

    fn clear_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// Speed, time to first token and memory in one line.
pub fn closing_line(t: &Timings) -> String {
    let cached = if t.cached_tokens > 0 { format!(" ({} known)", t.cached_tokens) } else { String::new() };
    let mut line = if t.prefill.is_zero() {
        format!("stopped before the {} tokens of the prompt were read", t.prompt_tokens)
    } else {
        let (read, written) = (t.prefill_speed(), t.decode_speed());
        format!(
            "prompt {}{cached} tokens, {read:.1}/s; generated {} tokens, {written:.1}/s",
            t.prompt_tokens, t.generated
        )
    };
    if t.guessed > 0 {
        line += &format!(" ({} of {} guesses right)", t.right, t.guessed);
    }
    if t.generated > 0 {
        line += &format!("; first token after {}", duration(t.first_token));
    }
    if let Some(m) = memory() {
        let of_it = format!("now {} from the file, {} private", bytes(m.file), bytes(m.private));
        line += &format!("; memory {} at most, {of_it}", bytes(m.peak));
    }
    line
}

/// A duration as people say it.
pub fn duration(d: Duration) -> String {
    if d < Duration::from_secs(1) { format!("{} ms", d.as_millis()) } else { format!("{:.1} s", d.as_secs_f64()) }
}

/// Bytes in the customary units.
pub fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", n as f64 / 1e6),
        _ => format!("{:.2} GB", n as f64 / 1e9),
    }
}

/// `1.54 B`, `260.0 K`.
pub fn count(n: u64) -> String {
    match n {
        0..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{:.1} K", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} M", n as f64 / 1e6),
        _ => format!("{:.2} B", n as f64 / 1e9),
    }
}

/// Memory of this process.
#[derive(Clone, Copy)]
pub struct ProcessMemory {
    /// The most that was ever resident.
    pub peak: u64,
    /// Resident now and backed by files, the mapped model above all.
    pub file: u64,
    /// Resident now and private.
    pub private: u64,
}

/// As the kernel tells; `None` where it does not.
pub fn memory() -> Option<ProcessMemory> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    };
    Some(ProcessMemory { peak: field("VmHWM")?, file: field("RssFile")?, private: field("RssAnon")? })
}

/// A line on standard error about something that went wrong and does not matter to the result.
pub fn warn(text: &str) {
    let style = anstyle::AnsiColor::Yellow.on_default().bold();
    tell(format_args!("{style}warning:{style:#} {}", harmless(text)));
}

/// A dim line on standard error.
pub fn note(text: &str) {
    let style = anstyle::Style::new().dimmed();
    tell(format_args!("{style}{}{style:#}", harmless(text)));
}

/// A line on standard error. Where that cannot be written to (a full disk), the work goes on.
pub fn tell(line: fmt::Arguments<'_>) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// Without control characters but ends of lines and tabs: names and messages come from files, which must not drive the
/// terminal.
pub fn harmless(text: &str) -> String {
    let keeps = |c: char| !c.is_control() || c == '\n' || c == '\t';
    text.chars().map(|c| if keeps(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}
