"""What the exporter writes, read back; needs torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest

torch = pytest.importorskip("torch")

import evaluate  # noqa: E402
import export  # noqa: E402
import vocab  # noqa: E402
from model import Model, Shape  # noqa: E402

SMALL = Shape(hidden=64, layers=2, feed_forward=96, heads=4, kv_heads=2, head_size=16, context=64)


@pytest.fixture
def model() -> Model:
    torch.manual_seed(1)
    m = Model(SMALL).eval()
    torch.nn.init.normal_(m.layers[1].qkv.bias)
    return m


@pytest.mark.parametrize("kind", ["F32", "F16"])
def test_file_holds_the_weights(model, tmp_path, kind):
    path = tmp_path / "m.gguf"
    export.write(model, path, kind)
    file = gguf.GGUFReader(path)
    got = {t.name: t.data for t in file.tensors}
    assert len(got) == 3 + 12 * SMALL.layers
    for name, want in export.tensors(model).items():
        kept = want.astype(np.float16) if kind == "F16" and want.ndim == 2 else want
        assert np.array_equal(got[name].reshape(want.shape), kept), name
    qkv = model.layers[1].qkv
    assert np.array_equal(got["blk.1.attn_k.bias"], qkv.bias[64:96].detach().numpy())
    assert file.fields["general.architecture"].contents() == "qwen2"
    assert file.fields["tokenizer.ggml.tokens"].contents() == vocab.tokens()
    assert file.fields["tokenizer.ggml.eos_token_id"].contents() == vocab.END


def test_cached_steps_agree_with_whole_sequences(model):
    ids = torch.randint(0, 256, (2, 12))
    past = [[] for _ in model.layers]
    with torch.no_grad():
        whole = model(ids)
        steps = [model(ids[:, :5], past)] + [model(ids[:, i : i + 1], past) for i in range(5, 12)]
    torch.testing.assert_close(torch.cat(steps, 1), whole, rtol=1e-4, atol=1e-4)


def test_answer_is_what_follows_the_thinking():
    assert evaluate.answer_of("A1\n</think>\n\n42") == "42"
    assert evaluate.answer_of("42 and never an end") == ""


@pytest.mark.slow
def test_fifty_steps_lower_the_loss_and_resume(tmp_path):
    """About a minute."""
    train = Path(export.__file__).parent / "train.py"
    run = [sys.executable, str(train), "--run", str(tmp_path), "--layers", "2", "--check", "0", "--no-compile",
           "--size", "512", "--warmup", "10"]
    subprocess.run([*run, "--steps", "50"], check=True)
    subprocess.run([*run, "--steps", "100", "--decay", "20"], check=True)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").open()]
    losses = [x["loss"] for x in log if "loss" in x]
    assert len(losses) == 2 and losses[1] < 0.8 * losses[0] < 5.0
    assert log[-1]["at"]["step"] == 100
    again = [x for x in log if "start" in x][1]
    assert again["at"]["step"] == 50
    assert (tmp_path / "stable.pt").exists()
