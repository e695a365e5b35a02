//! Conversations: the file's chat template or that of its family, and reasoning told apart from the answer.

mod bounds;
mod builtins;
mod fallback;
mod guard;
mod json;
mod prepare;
pub mod prompt;
mod python;
mod template;
pub mod think;

pub use fallback::{Family, family};
pub use template::{ChatTemplate, Message, RenderInput, TemplateError, template_from_gguf};
pub use think::{Channel, Marks, ThinkParser};

#[cfg(test)]
mod tests;
