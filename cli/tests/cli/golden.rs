//! Texts of a trained model, token by token as the reference wrote them, through the binary.

use crate::support::{arg, hewn, shared};

#[test]
fn the_golden_stories() {
    let (Some(model), Some(list)) = (shared("models/stories260k.gguf"), shared("models/stories260k.greedy.json"))
    else {
        return;
    };
    let stories: serde_json::Value = serde_json::from_slice(&std::fs::read(list).unwrap()).unwrap();
    let stories = stories.as_array().unwrap();
    assert_eq!(stories.len(), 3);
    for story in stories {
        let (prompt, text) = (story["prompt"].as_str().unwrap(), story["text"].as_str().unwrap());
        let n = story["tokens"].as_array().unwrap().len().to_string();
        let args = ["run", arg(&model), "--raw", prompt, "--temp", "0", "--kv", "f32", "-n", &n];
        let expected = format!("{prompt}{text}\n");
        for more in [&[][..], &["--no-mmap"], &["--isa", "scalar", "--threads", "1"], &["--chunk", "1"]] {
            let done = hewn(&[&args, more].concat()).ok();
            assert_eq!(done.text(), expected, "{more:?}");
        }
        let json = hewn(&[&args[..], &["--json"]].concat()).ok().json();
        assert_eq!(json["tokens"], story["tokens"]);
        assert_eq!(json["text"], story["text"]);
    }
}
