//! Variables of the chat template.

use clap::Args;
use serde_json::{Map, Value};

/// What every template gets from the program.
const OWN: [&str; 5] = ["messages", "tools", "add_generation_prompt", "bos_token", "eos_token"];

#[derive(Args)]
pub struct TemplateArgs {
    /// Further variables for the chat template, as a JSON object: `{"enable_thinking": true}`. Which ones count is the
    /// template's business.
    #[arg(long, value_name = "JSON", value_parser = variables)]
    pub chat_template_kwargs: Option<Map<String, Value>>,
}

fn variables(text: &str) -> Result<Map<String, Value>, String> {
    let all: Map<String, Value> = serde_json::from_str(text).map_err(|e| format!("expected a JSON object: {e}"))?;
    match all.keys().find(|name| OWN.contains(&name.as_str())) {
        Some(name) => Err(format!("`{name}` comes from the conversation and the file")),
        None => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_an_object() {
        let all = variables(r#"{"enable_thinking": false, "n": [1, "x"]}"#).unwrap();
        assert_eq!((all.len(), &all["enable_thinking"]), (2, &Value::Bool(false)));
        for wrong in ["", "[1]", "enable_thinking=true", "{\"a\":1", "3"] {
            assert!(variables(wrong).unwrap_err().contains("a JSON object"), "{wrong}");
        }
        assert!(variables(&"[".repeat(100_000)).is_err());
        assert!(variables(r#"{"messages": []}"#).unwrap_err().contains("`messages`"));
    }
}
