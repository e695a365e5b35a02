//! Chat templates of common models render as the Python reference renders them, or refuse where it refuses.

use hewn_engine::chat::{ChatTemplate, Message, RenderInput, TemplateError, template_from_gguf};
use hewn_loader::{Gguf, GgufWriter, MetaValue};
use hewn_tests::shared;
use serde_json::Value;

#[test]
fn shared_templates() {
    let Some(dir) = shared() else { return };
    let dir = dir.join("templates");
    let json: Value = serde_json::from_str(&std::fs::read_to_string(dir.join("expected.json")).unwrap()).unwrap();
    let text = |key: &str| json[key].as_str().unwrap();
    let now = chrono::NaiveDateTime::parse_from_str(text("now"), "%Y-%m-%dT%H:%M:%S").unwrap();
    let files = std::fs::read_dir(&dir).unwrap().map(|f| f.unwrap().path());
    let files: Vec<_> = files.filter(|f| f.extension().is_some_and(|e| e == "jinja")).collect();
    assert_eq!(files.len(), json["rendered"].as_object().unwrap().len(), "every template has expectations");
    let mut wrong = Vec::new();
    println!("{:48} right  of  bytes", "template");
    for (name, rendered) in json["rendered"].as_object().unwrap() {
        let source = std::fs::read_to_string(dir.join(format!("{name}.jinja"))).unwrap();
        let template = ChatTemplate::new(&source).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(rendered.as_array().unwrap().len(), json["conversations"].as_array().unwrap().len());
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
        println!("{name:48} {right:5} {:3} {:6}", rendered.as_array().unwrap().len(), source.len());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The template of a file, found by its key, and what a file without one gives.
#[test]
fn templates_of_files() {
    for template in [Some("{{ messages[0].content }}!"), None] {
        let mut writer = GgufWriter::new();
        if let Some(template) = template {
            writer.meta("tokenizer.chat_template", MetaValue::Str(template.into())).unwrap();
        }
        let mut file = Vec::new();
        writer.write_to(&mut file, []).unwrap();
        let gguf = Gguf::from_bytes(file).unwrap();
        let found = template_from_gguf(&gguf).unwrap();
        assert_eq!(found.as_deref(), template);
        if let Some(source) = found {
            let messages = [Message::new("user", "hi")];
            let input = RenderInput { messages: &messages, ..RenderInput::default() };
            assert_eq!(ChatTemplate::new(&source).unwrap().render(&input).unwrap(), "hi!");
        }
    }
    let mut writer = GgufWriter::new();
    writer.meta("tokenizer.chat_template", MetaValue::U32(1)).unwrap();
    let mut file = Vec::new();
    writer.write_to(&mut file, []).unwrap();
    let error = template_from_gguf(&Gguf::from_bytes(file).unwrap()).unwrap_err().to_string();
    assert!(error.contains("tokenizer.chat_template"), "{error}");
}
