"""Operations by hand, and peaks of devices that are known."""

from types import SimpleNamespace

import pytest
import torch
from tiny_models import nano

from small_llm.flops import DEVICES, Cost, known, utilisation
from small_llm.models import llama_config

torch.set_num_threads(1)
H100 = "NVIDIA H100 80GB HBM3"
TINY = SimpleNamespace(
    model_type="llama", hidden_size=8, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
    head_dim=2, intermediate_size=10, vocab_size=7,
)  # fmt: skip


def test_weights_by_hand():
    # a layer: queries and output 8 x 8 each, keys and values 8 x 4 each, three of 8 x 10 in the MLP
    assert Cost.of(TINY) == Cost(body=3 * (128 + 64 + 240), head=56, context=3 * 8, cache=2 * 3 * 4)


def test_weights_are_those_of_the_models_matrices():
    model, tokenizer = nano()
    matrices = [p.numel() for name, p in model.named_parameters() if "proj" in name]
    cost = Cost.of(model.config)
    assert (cost.body, cost.head) == (sum(matrices), model.lm_head.weight.numel())
    billion = Cost.of(llama_config("1b", tokenizer))
    assert billion.body + 2 * billion.head == pytest.approx(1.1e9, rel=0.001)  # TinyLlama's size


def test_a_pass_by_hand():
    cost = Cost.of(TINY)
    # a prompt of 2 and an answer of 3: four tokens are read, with 1 + 2 + 3 + 4 pairs, and three predicted
    one = 2 * 1296 * 4 + 4 * 24 * 10 + 2 * 56 * 3
    assert cost.forward([2], [3]) == one == 11664
    assert cost.forward([2, 2], [3, 3]) == 2 * one
    assert cost.forward([2, 1], [3, 1]) == one + 2 * 1296 + 4 * 24 + 2 * 56
    assert cost.training([2], [3]) == 3 * one
    # of another answer, two more tokens are read, which meet 3 and 4 tokens, and three more predicted
    assert cost.forward([2], [3, 3]) == one + 2 * 1296 * 2 + 4 * 24 * 7 + 2 * 56 * 3
    assert cost.forward([2, 1], [3, 3, 1, 1]) == cost.forward([2], [3, 3]) + cost.forward([1], [1, 1])


def test_a_pass_against_the_count_of_a_profiler():
    from torch.utils.flop_counter import FlopCounterMode

    model, _ = nano()
    model.config._attn_implementation = "eager"  # a fused kernel hides its products
    ids = torch.zeros(1, 9, dtype=torch.long)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=ids)
    # it counts all pairs, also those that the causal mask empties, and the head at every token
    cost = Cost.of(model.config)
    full = 2 * cost.body * 9 + 4 * cost.context * 81 + 2 * cost.head * 9
    assert counter.get_total_flops() == full
    assert cost.forward([1], [9]) == full - 4 * cost.context * 36


def test_decoding_is_bound_by_weights():
    cost = Cost.of(TINY)
    assert cost.decoding_seconds(DEVICES[H100]) == pytest.approx(2 * 1352 / 3.35e12)


@pytest.mark.parametrize(
    "changes", [{"model_type": "gpt2"}, {"layer_types": ["sliding_attention", "full_attention"]}]
)
def test_what_is_not_counted_is_refused(changes):
    with pytest.raises(ValueError, match="with full attention, for its operations to be counted; got"):
        Cost.of(SimpleNamespace(**{**vars(TINY), **changes}))


def model_on(device, dtype=torch.bfloat16, config=TINY):
    return SimpleNamespace(device=torch.device(device), dtype=dtype, config=config)


@pytest.mark.parametrize(
    ("name", "peak"),
    [(H100, 989e12), ("NVIDIA H100 PCIe", 756e12), ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None)],
)
def test_utilisation_of_known_devices_only(name, peak, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    found = utilisation(model_on("cuda"), [2], [3], epochs=4, seconds=2.0)
    assert found == (None if peak is None else pytest.approx(4 * 3 * 11664 / 2.0 / peak))


def test_no_utilisation_rather_than_a_guess(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: H100)
    assert known("cpu") is None
    other = SimpleNamespace(**{**vars(TINY), "model_type": "gpt2"})
    for model in (model_on("cpu"), model_on("cuda", torch.float32), model_on("cuda", config=other)):
        assert utilisation(model, [2], [3], epochs=1, seconds=1.0) is None
