"""Small models with opinions, and their log-probabilities by hand: an answer at a time, no padding, no cache."""

import numpy as np
import torch

from small_llm.models import load

ALPHABET = "0123456789+="
PROMPTS = ["1+2=", "12+345=", "7=", "99+1=98+2="]


class Sums:
    """What a model from scratch asks of a task."""

    alphabet = ALPHABET


def nano(dtype=torch.float32, seed=0):
    """The nano model with layers so strong that each token has a say in what follows it."""
    model, tokenizer = load("nano", task=Sums(), dtype=dtype, seed=seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.mul_(8 if "layers" in name and "norm" not in name else 3 if "embed" in name else 1)
    return model, tokenizer


def same(one, two):
    """Whether two models have the same weights."""
    a, b = one.state_dict(), two.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def distributions(model, rollouts, row, temperature=1.0, top_p=1.0):
    """Probabilities [length, V] that an answer's tokens were drawn from, by one pass over the bare sequence."""
    prompt = row // rollouts.groups
    prompt_ids = rollouts.prompt_ids[prompt][rollouts.prompt_mask[prompt]]
    ids = rollouts.completion_ids[row][rollouts.completion_mask[row]]
    with torch.no_grad():
        logits = model(input_ids=torch.cat([prompt_ids, ids])[None]).logits[0].double().numpy()
    scaled = logits[len(prompt_ids) - 1 : -1] / temperature
    probs = np.exp(scaled - scaled.max(-1, keepdims=True))
    probs /= probs.sum(-1, keepdims=True)
    return np.stack([nucleus(p, top_p) for p in probs])


def nucleus(probs, top_p):
    """The fewest most likely tokens whose probability reaches top_p, renormalised."""
    kept, total = np.zeros_like(probs), 0.0
    for token in np.argsort(-probs):
        if total >= top_p:
            break
        kept[token] = probs[token]
        total += probs[token]
    return kept / total


def log_probs_by_hand(model, rollouts, temperature=1.0, top_p=1.0):
    """Log-probabilities [P*G, T], 0 behind an answer's end."""
    found = np.zeros(rollouts.completion_ids.shape)
    for row in range(len(found)):
        ids = rollouts.completion_ids[row][rollouts.completion_mask[row]].tolist()
        probs = distributions(model, rollouts, row, temperature, top_p)
        with np.errstate(divide="ignore"):
            found[row, : len(ids)] = np.log(probs[np.arange(len(ids)), ids])
    return found
