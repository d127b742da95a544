"""Models by name: sizes, seeds, round trips, and clear words for everything else."""

import json

import pytest
import torch
from tiny_models import ALPHABET, PROMPTS, Sums, generator, same

from small_llm.models import llama_config, load
from small_llm.rollout import sample
from small_llm.tokenizer import character_tokenizer, encode_prompts

torch.set_num_threads(1)


# -- from scratch ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "least", "most"), [("nano", 125e3, 140e3), ("small", 10e6, 50e6), ("1b", 1.05e9, 1.15e9)]
)
def test_sizes(name, least, most):
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(llama_config(name, character_tokenizer(ALPHABET)))
    assert least < sum(p.numel() for p in model.parameters()) < most


def test_seeds_decide_and_global_state_is_left_alone():
    state = torch.random.get_rng_state()
    models = [load("nano", task=Sums(), seed=seed)[0] for seed in (0, 0, 1)]
    assert torch.equal(state, torch.random.get_rng_state())
    assert same(models[0], models[1])
    assert not same(models[0], models[2])
    assert not models[0].training


def test_a_task_by_name_and_a_dtype():
    model, tokenizer = load("nano", task="add2", dtype=torch.float64)
    assert model.dtype == torch.float64
    assert load("nano", task="add2")[0].dtype == torch.float32
    assert encode_prompts(tokenizer, ["1+2="])


def test_a_saved_model_comes_back_from_its_folder(tmp_path):
    model, tokenizer = load("nano", task=Sums(), seed=5)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    for where in (tmp_path, str(tmp_path)):
        again, reread = load(where)
        assert same(model, again)
        drawn = [sample(m, t, PROMPTS, groups=3, max_new_tokens=8, generator=generator()) for m, t in
                 ((model, tokenizer), (again, reread))]  # fmt: skip
        assert drawn[0].texts == drawn[1].texts
        assert torch.equal(drawn[0].log_prob, drawn[1].log_prob)


# -- characters -----------------------------------------------------------------------------------------------


def test_a_character_is_a_token():
    alphabet = "b a\n\u00e9\U0001f600+.\t"
    tokenizer = character_tokenizer(alphabet)
    assert len(tokenizer) == len(alphabet) + 2
    ids = tokenizer(alphabet)["input_ids"]
    assert len(ids) == len(set(ids)) == len(alphabet)
    assert tokenizer.decode(ids) == alphabet
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (0, 1)
    assert tokenizer.decode([*ids, 1, 0, 0], skip_special_tokens=True) == alphabet
    assert character_tokenizer(sorted(alphabet)).get_vocab() == tokenizer.get_vocab()


@pytest.mark.parametrize(
    ("alphabet", "message"), [("", "at least one"), (["ab"], "single characters, got 'ab'")]
)
def test_alphabets_that_are_none(alphabet, message):
    with pytest.raises(ValueError, match=message):
        character_tokenizer(alphabet)


# -- what cannot be loaded ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("nanoo", None, r"one of nano, small, 1b, smollm2-135m, a folder .* got 'nanoo'"),
        ("./no/such/folder", None, "got './no/such/folder'"),
        ("nano", None, "pass task=..., such as task='add2', got None"),
        ("nano", "no-such-task", "no-such-task"),
    ],
)
def test_unknown_names(name, task, message):
    with pytest.raises(ValueError, match=message):
        load(name, task=task)


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match="dtype must be a floating-point"):
        load("nano", task=Sums(), dtype=torch.int64)
    with pytest.raises(ValueError, match="seed must be at least 0"):
        load("nano", task=Sums(), seed=-1)


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(ValueError, match=r"holds no model: expected config.json"):
        load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(ValueError, match="cannot load a model and its tokenizer"):
        load(tmp_path)


def saved(folder, **configuration):
    """A nano model's folder with changes to its configuration."""
    model, tokenizer = load("nano", task=Sums())
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | configuration))
    return model


def test_code_beside_a_model_is_never_run(tmp_path):
    saved(
        tmp_path,
        model_type="strange",
        auto_map={"AutoConfig": "strange.C", "AutoModelForCausalLM": "strange.M"},
    )
    (tmp_path / "strange.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(ValueError, match="cannot load"):
        load(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_pickled_weights_are_never_read(tmp_path):
    model = saved(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="safetensors"):
        load(tmp_path)
