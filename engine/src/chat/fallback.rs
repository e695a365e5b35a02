//! Chat templates for files that carry none, by what their vocabulary marks turns with.
//!
//! Written from the formats that the makers of the models document. They know plain conversations: a system message,
//! then `user` and `assistant` in turns; no tools.

use crate::tokenizer::Tokenizer;

/// A way of writing conversations, shared by models of a family.
#[derive(Debug)]
pub struct Family {
    /// What people call it.
    pub name: &'static str,
    /// Its template, in Jinja.
    pub source: &'static str,
    /// Tokens that a vocabulary has if its models are trained so: all of them.
    marks: &'static [&'static str],
}

/// The families; of several that fit, the first.
static FAMILIES: &[Family] = &[
    Family {
        name: "llama-3",
        marks: &["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        source: "{{ bos_token }}{% for m in messages %}\
            {{ '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content | trim + '<|eot_id|>' }}\
            {% endfor %}\
            {% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
    },
    Family {
        name: "deepseek",
        marks: &["<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"],
        source: "{{ bos_token }}{% for m in messages %}\
            {% if m.role == 'system' %}{{ m.content }}\
            {% elif m.role == 'assistant' %}{{ '<｜Assistant｜>' + m.content + '<｜end▁of▁sentence｜>' }}\
            {% else %}{{ '<｜User｜>' + m.content }}{% endif %}{% endfor %}\
            {% if add_generation_prompt %}<｜Assistant｜>{% endif %}",
    },
    Family {
        name: "gemma-4",
        marks: &["<|turn>", "<turn|>", "<|channel>", "<channel|>"],
        // The empty channel stands for reasoning that was left out.
        source: "{{ bos_token }}{% for m in messages %}\
            {{ '<|turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' + m.content | trim + '<turn|>\\n' }}\
            {% endfor %}{% if add_generation_prompt %}{{ '<|turn>model\\n' }}\
            {% if not enable_thinking %}{{ '<|channel>thought\\n<channel|>' }}{% endif %}{% endif %}",
    },
    Family {
        name: "gemma",
        marks: &["<start_of_turn>", "<end_of_turn>"],
        // There is no system role: the message goes before the user's.
        source: "{{ bos_token }}{% set ns = namespace(system='') %}{% for m in messages %}\
            {% if m.role == 'system' %}{% set ns.system = m.content | trim + '\\n\\n' %}{% else %}\
            {{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' + ns.system }}\
            {{ m.content | trim + '<end_of_turn>\\n' }}{% set ns.system = '' %}{% endif %}{% endfor %}\
            {% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}",
    },
    Family {
        name: "phi-4",
        marks: &["<|im_start|>", "<|im_sep|>", "<|im_end|>"],
        source: "{% for m in messages %}\
            {{ '<|im_start|>' + m.role + '<|im_sep|>' + m.content + '<|im_end|>' }}{% endfor %}\
            {% if add_generation_prompt %}<|im_start|>assistant<|im_sep|>{% endif %}",
    },
    Family {
        name: "chatml",
        marks: &["<|im_start|>", "<|im_end|>"],
        source: "{% for m in messages %}\
            {{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}\
            {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    },
    Family {
        name: "phi-3",
        marks: &["<|user|>", "<|assistant|>", "<|end|>"],
        source: "{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' }}{% endfor %}\
            {% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}",
    },
    Family {
        name: "granite",
        marks: &["<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"],
        source: "{% for m in messages %}\
            {{ '<|start_of_role|>' + m.role + '<|end_of_role|>' + m.content + '<|end_of_text|>\\n' }}{% endfor %}\
            {% if add_generation_prompt %}<|start_of_role|>assistant<|end_of_role|>{% endif %}",
    },
    Family {
        name: "mistral",
        marks: &["[INST]", "[/INST]"],
        // The system message goes with the last of the user's.
        source: "{{ bos_token }}{% set ns = namespace(system='') %}{% for m in messages %}\
            {% if m.role == 'system' %}{% set ns.system = m.content + '\\n\\n' %}\
            {% elif m.role == 'assistant' %}{{ m.content + eos_token }}\
            {% else %}{{ '[INST]' + (ns.system if loop.last else '') + m.content + '[/INST]' }}\
            {% endif %}{% endfor %}",
    },
];

/// RWKV's, whose vocabulary has no marks: a blank line ends a turn.
static RWKV: Family = Family {
    name: "rwkv-world",
    marks: &[],
    source: "{{ bos_token }}{% for m in messages %}\
        {{ 'System' if m.role == 'system' else 'Assistant' if m.role == 'assistant' else 'User' }}\
        {{ ': ' + m.content | trim + '\\n\\n' }}\
        {% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}",
};

/// Llama 2 and the first Mistral: their marks are plain text, so that only the model's name tells.
static LLAMA_2: Family = Family {
    name: "llama-2",
    marks: &["<s>", "</s>"],
    source: "{% set ns = namespace(system='') %}{% for m in messages %}\
        {% if m.role == 'system' %}{% set ns.system = '<<SYS>>\\n' + m.content + '\\n<</SYS>>\\n\\n' %}\
        {% elif m.role == 'assistant' %}{{ ' ' + m.content | trim + ' ' + eos_token }}\
        {% else %}{{ bos_token + '[INST] ' + ns.system + m.content | trim + ' [/INST]' }}{% set ns.system = '' %}\
        {% endif %}{% endfor %}",
};

/// How a model without a template was most likely trained to converse. `name`: `general.name` of its file.
///
/// `None`: nothing tells. The vocabulary of a base model may have the marks, too; that cannot be told apart.
pub fn family(tokenizer: &Tokenizer, name: Option<&str>) -> Option<&'static Family> {
    if tokenizer.model_name() == "rwkv" {
        return Some(&RWKV);
    }
    let has = |f: &&'static Family| f.marks.iter().all(|m| tokenizer.token_id(m).is_some());
    let named = || {
        let name = name.unwrap_or_default().to_lowercase();
        let any = |of: &[&str]| of.iter().any(|part| name.contains(part));
        any(&["llama-2", "llama 2", "llama2", "mistral", "mixtral"]) && any(&["chat", "instruct"])
    };
    FAMILIES.iter().find(has).or_else(|| Some(&LLAMA_2).filter(has).filter(|_| named()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{ChatTemplate, Message, RenderInput};

    #[test]
    fn all_render() {
        let messages = ["system", "user", "assistant", "user"].map(|role| Message::new(role, format!("<{role}>")));
        for family in FAMILIES.iter().chain([&LLAMA_2, &RWKV]) {
            let template = ChatTemplate::new(family.source).unwrap();
            let input = RenderInput { messages: &messages, add_generation_prompt: true, ..RenderInput::default() };
            let text = template.render(&RenderInput { bos_token: "B", eos_token: "E", ..input.clone() }).unwrap();
            let have: Vec<_> = text.match_indices("<user>").chain(text.match_indices("<assistant>")).collect();
            assert!(have.len() >= 3 && text.contains("<system>"), "{}: {text}", family.name);
            let open = template.render(&RenderInput { add_generation_prompt: false, ..input }).unwrap();
            assert!(text.len() >= open.len(), "{}", family.name);
        }
    }

    #[test]
    fn llama_2_as_published() {
        let messages =
            [("system", "be"), ("user", "a"), ("assistant", "b"), ("user", "c")].map(|(r, c)| Message::new(r, c));
        let input = RenderInput { messages: &messages, bos_token: "<s>", eos_token: "</s>", ..RenderInput::default() };
        assert_eq!(
            ChatTemplate::new(LLAMA_2.source).unwrap().render(&input).unwrap(),
            "<s>[INST] <<SYS>>\nbe\n<</SYS>>\n\na [/INST] b </s><s>[INST] c [/INST]"
        );
    }
}
