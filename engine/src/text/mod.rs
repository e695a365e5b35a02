//! From token bytes to text that is safe to show.

mod stop;
mod utf8;

pub use stop::StopMatcher;
pub use utf8::Utf8Assembler;
