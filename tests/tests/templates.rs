//! Chat templates of common models render as the Python reference renders them, or refuse where it refuses.

use hewn_engine::chat::{ChatTemplate, Message, RenderInput, TemplateError, family, template_from_gguf};
use hewn_engine::tokenizer::{Tokenizer, VocabSource};
use hewn_loader::{Gguf, GgufWriter, MetaValue, OpenOptions};
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

/// A byte-level vocabulary of these control tokens.
fn vocabulary(tokens: &[&str]) -> Tokenizer {
    let tokens: Vec<&[u8]> = tokens.iter().map(|t| t.as_bytes()).collect();
    let types = Some(vec![3; tokens.len()]);
    let merges = Some(Vec::new().into());
    Tokenizer::new(VocabSource { model: "gpt2", tokens: tokens.into(), types, merges, ..VocabSource::default() })
        .unwrap()
}

/// What a family's template writes is what the published one of a member writes, for plain conversations.
#[test]
fn families_write_as_their_members() {
    let Some(dir) = shared() else { return };
    let of = |roles: &[&str]| -> Vec<Message> {
        roles.iter().enumerate().map(|(i, role)| Message::new(*role, format!("text {i} of {role}\n\nmore"))).collect()
    };
    let plain = of(&["user", "assistant", "user"]);
    let system = of(&["system", "user", "assistant", "user"]);
    let single = of(&["user"]);
    let file = |name: &str| std::fs::read_to_string(dir.join("templates").join(format!("{name}.jinja"))).unwrap();
    let gemma = Gguf::open(&dir.join("vocab/gemma-4.gguf"), &OpenOptions::default()).unwrap();
    let gemma = template_from_gguf(&gemma).unwrap().unwrap();
    // Family, marks, a member's template, what that adds at the end, whether it takes system messages.
    let cases: [(&str, &[&str], String, &str, bool); 7] = [
        ("chatml", &["<|im_start|>", "<|im_end|>"], file("Qwen-Qwen3-0.6B"), "", true),
        ("phi-3", &["<|user|>", "<|assistant|>", "<|end|>"], file("microsoft-Phi-3.5-mini-instruct"), "", true),
        ("gemma", &["<start_of_turn>", "<end_of_turn>"], file("google-gemma-2-2b-it"), "", false),
        ("mistral", &["[INST]", "[/INST]"], file("mistralai-Mistral-Nemo-Instruct-2407"), "", true),
        (
            "deepseek",
            &["<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", "<|im_start|>", "<|im_end|>"],
            file("deepseek-ai-DeepSeek-R1-Distill-Llama-8B"),
            "<think>\n",
            true,
        ),
        (
            "granite",
            &["<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"],
            file("ibm-granite-granite-3.3-2B-Instruct"),
            "",
            true,
        ),
        ("gemma-4", &["<|turn>", "<turn|>", "<|channel>", "<channel|>"], gemma, "", true),
    ];
    for (name, marks, member, end, takes_system) in cases {
        let family = family(&vocabulary(marks), None).unwrap();
        assert_eq!(family.name, name);
        let [ours, theirs] = [family.source, &member].map(|source| ChatTemplate::new(source).unwrap());
        for messages in [&single, &plain, &system] {
            let input = RenderInput {
                messages,
                add_generation_prompt: true,
                bos_token: "<bos>",
                eos_token: "<eos>",
                ..RenderInput::default()
            };
            let have = ours.render(&input).unwrap();
            if messages[0].role == "system" && !takes_system {
                assert!(theirs.render(&input).is_err() && have.contains(&messages[0].content));
            } else if messages[0].role == "system" || name != "granite" {
                // Granite's own writes a system message with the date where there is none.
                assert_eq!(have + end, theirs.render(&input).unwrap(), "{name}");
            }
        }
    }
}

#[test]
fn families_are_known_by_vocabulary_and_name() {
    let name = |tokens: &[&str], model: Option<&str>| family(&vocabulary(tokens), model).map(|f| f.name);
    assert_eq!(name(&["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"], None), Some("llama-3"));
    assert_eq!(name(&["<|im_start|>", "<|im_sep|>", "<|im_end|>"], None), Some("phi-4"));
    assert_eq!(name(&["<|im_start|>"], None), None);
    assert_eq!(name(&["<s>", "</s>"], Some("Llama-2-7b-chat-hf")), Some("llama-2"));
    assert_eq!(name(&["<s>", "</s>"], Some("Llama-2-7b-hf")), None);
    assert_eq!(name(&["<s>", "</s>"], Some("tinyllama-1.1b-chat")), None);
    assert_eq!(name(&["<s>", "</s>"], None), None);
}
