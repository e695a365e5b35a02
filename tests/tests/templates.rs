//! Chat templates of common models render as the Python reference renders them, or refuse where it refuses.

use hewn_engine::chat::{ChatTemplate, Message, RenderInput, TemplateError};
use hewn_tests::shared;
use serde_json::Value;

#[test]
fn shared_templates() {
    let Some(dir) = shared() else { return };
    let dir = dir.join("templates");
    let json: Value = serde_json::from_str(&std::fs::read_to_string(dir.join("expected.json")).unwrap()).unwrap();
    let text = |key: &str| json[key].as_str().unwrap();
    let now = chrono::NaiveDateTime::parse_from_str(text("now"), "%Y-%m-%dT%H:%M:%S").unwrap();
    let mut wrong = Vec::new();
    for (name, rendered) in json["rendered"].as_object().unwrap() {
        let source = std::fs::read_to_string(dir.join(format!("{name}.jinja"))).unwrap();
        let template = ChatTemplate::new(&source).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut right = 0;
        for (i, want) in rendered.as_array().unwrap().iter().enumerate() {
            let conversation = &json["conversations"][i];
            let messages: Vec<Message> = serde_json::from_value(conversation["messages"].clone()).unwrap();
            let got = template.render(&RenderInput {
                messages: &messages,
                tools: conversation.get("tools").cloned(),
                add_generation_prompt: true,
                bos_token: text("bos_token"),
                eos_token: text("eos_token"),
                extra: serde_json::Map::new(),
                now: Some(now),
            });
            let same = match (&got, want["ok"].as_str()) {
                (Ok(got), Some(want)) => got == want,
                (Err(TemplateError::Raised(m)), None) => want["error"].as_str().unwrap().ends_with(m.as_str()),
                _ => false,
            };
            right += usize::from(same);
            if !same {
                wrong.push(format!("{name}, conversation {i}:\n got {got:?}\nwant {want}"));
            }
        }
        println!("{name}: {right} of {} conversations", rendered.as_array().unwrap().len());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
