"""Generators go on from their states to the bit, also through a checkpoint."""

import numpy as np
import pytest
import torch

from pgtheory.deep import checkpoint
from pgtheory.deep.random_state import (
    BIT_GENERATORS,
    numpy_generator,
    numpy_state,
    torch_generator,
    torch_state,
)


@pytest.mark.parametrize("name", BIT_GENERATORS)
def test_numpy_draws_and_children_go_on(tmp_path, name):
    family = np.random.SeedSequence((2**90, 3), spawn_key=(4,))
    generator = np.random.Generator(getattr(np.random, name)(family))
    generator.integers(0, 9, size=3, dtype=np.int32)  # leaves half a word behind
    generator.spawn(2)
    path = checkpoint.save(tmp_path / "a.safetensors", {}, {"rng": numpy_state(generator)})
    again = numpy_generator(checkpoint.load(path)[1]["rng"])
    assert numpy_state(again) == numpy_state(generator)
    for rng in (lambda g: g, lambda g: g.spawn(1)[0]):
        a, b = rng(again), rng(generator)
        assert (
            a.integers(0, 9, size=5, dtype=np.int32).tolist()
            == b.integers(0, 9, size=5, dtype=np.int32).tolist()
        )
        assert a.standard_normal(1000).tobytes() == b.standard_normal(1000).tobytes()


def test_torch_draws_go_on(tmp_path):
    generator = torch.Generator().manual_seed(2**40)
    torch.randn(3, generator=generator)  # an odd number: half of a pair waits
    path = checkpoint.save(tmp_path / "a.safetensors", {"rng": torch_state(generator)}, {})
    again = torch_generator(checkpoint.load(path)[0]["rng"])
    assert torch.equal(torch.randn(5, generator=again), torch.randn(5, generator=generator))
    assert torch.equal(torch.randperm(99, generator=again), torch.randperm(99, generator=generator))


def test_other_things_are_refused():
    with pytest.raises(TypeError, match="generator must be a Generator"):
        numpy_state(np.random.RandomState(0))
    with pytest.raises(TypeError, match="generator must be a Generator"):
        torch_state(np.random.default_rng(0))
    state = numpy_state(np.random.default_rng(0))
    bad = {**state, "state": {**state["state"], "bit_generator": "seed"}}
    for wrong in ({}, bad, {**state, "entropy": "x"}):
        with pytest.raises(ValueError, match="must come from numpy_state"):
            numpy_generator(wrong)
    with pytest.raises(ValueError, match="must come from torch_state"):
        torch_generator(torch.zeros(3, dtype=torch.uint8))
