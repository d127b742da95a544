"""Random groups of answers, and every recipe's loss written a second time, from the papers, in loops over floats."""

from math import exp, inf, log, sqrt

import numpy as np
import torch

from pgtheory.objectives import Groups


def random_groups(rng, prompts=3, answers=4, tokens=3, spread=0.3, binary=True):
    """Log-probabilities and rewards as arrays, with one group of equals and answers of every length from none."""
    old = -rng.exponential(size=(prompts, answers, tokens)) - 0.1
    rewards = rng.integers(0, 2, (prompts, answers)) * 1.0 if binary else rng.normal(size=(prompts, answers))
    if binary:
        rewards[:, :2] = [1, 0]
    rewards[0] = rewards[0, 0]
    lengths = rng.integers(1, tokens + 1, (prompts, answers))
    lengths[-1, -1] = 0
    return {
        "log_prob": old + spread * rng.normal(size=old.shape),
        "log_prob_old": old,
        "rewards": rewards,
        "mask": np.arange(tokens) < lengths[..., None],
        "log_prob_ref": old + spread * rng.normal(size=old.shape),
    }


def as_groups(arrays, dtype=torch.float64, **fields):
    tensors = {k: torch.as_tensor(v) for k, v in arrays.items()}
    return Groups(**{k: v if v.dtype == torch.bool else v.to(dtype) for k, v in tensors.items()} | fields)


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def std(values, ddof):
    centre = mean(values)
    return sqrt(sum((v - centre) ** 2 for v in values) / (len(values) - ddof))


def advantages(name, rewards, lengths):
    """Advantage of each answer, in lists."""
    if name in ("reinforce", "reinforce++"):
        found = [[r for r in group] for group in rewards]
    elif name == "rloo":
        found = [[r - (sum(group) - r) / (len(group) - 1) for r in group] for group in rewards]
    else:
        found = [[r - mean(group) for r in group] for group in rewards]
    if name.startswith("reinforce++"):
        tokens = [a for row, ns in zip(found, lengths) for a, n in zip(row, ns) for _ in range(n)]
        centre, spread = mean(tokens), sqrt(std(tokens, 1) ** 2 + 1e-8)
        return [[(a - centre) / spread for a in row] for row in found]
    if name in ("reinforce", "rloo", "dr-grpo"):
        return found
    if name == "grpo-batch":
        spread = std([r for group in rewards for r in group], 1) + 1e-4
        return [[a / spread for a in row] for row in found]
    ddof, epsilon = {"grpo-paper": (0, 1e-12), "grpo-trl": (1, 1e-4), "sapo": (1, 1e-4)}.get(name, (1, 1e-6))
    return [[a / (std(group, ddof) + epsilon) for a in row] for row, group in zip(found, rewards)]


def target(name, reward, group):
    """Target ratio of an answer with a binary reward, at a temperature of zero and bounds of 0.2."""
    p = mean(group)
    if p in (0, 1):
        return 1.0
    if name == "gbpo-median":
        median = (sorted(group)[(len(group) - 1) // 2] + sorted(group)[len(group) // 2]) / 2
        return 1 + 0.2 * float(np.sign(reward - median))
    minority = min(p / (1 - p), (1 - p) / p)
    if reward > 0:
        return 1 + 0.2 * (1 if p <= 0.5 else minority)
    return 1 - 0.2 * (1 if p >= 0.5 else minority)


def clipped(ratio, A, low, high, dual=inf):
    loss = max(-A * ratio, -A * min(max(ratio, 1 - low), 1 + high))
    return min(loss, -A * dual) if A < 0 else loss


def token_loss(name, A, s, s_frozen, mean_s, mean_frozen, log_prob, x, rho_star):
    """Loss of one token; what carries no gradient is passed a second time, frozen."""
    rho = exp(s)
    if name in ("reinforce", "rloo"):
        return -rho * A
    if name in ("gspo", "gspo-token"):
        s = mean_s if name == "gspo" else mean_frozen + s - s_frozen
        return clipped(exp(s), A, 3e-4, 4e-4)
    if name == "cispo":
        return -min(exp(s_frozen), 5.0) * A * log_prob
    if name == "sapo":
        tau = 1.0 if A > 0 else 1.05
        return -4 / tau * A / (1 + exp(-tau * (rho - 1)))
    if name.startswith("gbpo"):
        return abs(A) * abs(rho - rho_star)
    if name == "r2vpo":
        return -(rho * A - (rho - 1) ** 2)
    loss = clipped(rho, A, 0.2, 0.28 if name == "dapo" else 0.2, {"grpo": 3.0, "dapo": 10.0}.get(name, inf))
    return loss + 0.04 * (exp(x) - 1 - x) if name == "grpo-paper" else loss


def real(name, logits, labels):
    """REAL and its variants over prompts; answers without tokens are None."""
    losses, answers = [], []
    for group, right in zip(logits, labels):
        plus = [s / 0.5 for s, y in zip(group, right) if y and s is not None]
        minus = [s / 0.5 for s, y in zip(group, right) if not y and s is not None]
        if plus and minus:
            losses.append(log(1 + sum(exp(-s) for s in plus)) + log(1 + sum(exp(s) for s in minus)))
            answers += [log(1 + exp(-s)) for s in plus] + [log(1 + exp(s)) for s in minus]
        else:
            losses.append(0.0)
    if name == "real-bce":
        return mean(answers) if answers else 0.0
    there = [sum(s is not None for s in group) for group in logits]
    return sum(n * loss for n, loss in zip(there, losses)) / sum(there)


def loss_of(name, arrays, log_prob):
    """The recipe's scalar at these log-probabilities; gradients are stopped at those in the arrays."""
    rewards, mask = arrays["rewards"].tolist(), arrays["mask"].tolist()
    lengths = [[sum(row) for row in group] for group in mask]
    now, frozen = log_prob.tolist(), arrays["log_prob"].tolist()
    old, ref = arrays["log_prob_old"].tolist(), arrays["log_prob_ref"].tolist()
    A = advantages(name, rewards, lengths)
    sequences, logits = [], []
    for p, group in enumerate(rewards):
        logits.append([])
        for i, reward in enumerate(group):
            T = [t for t, there in enumerate(mask[p][i]) if there]
            s = [now[p][i][t] - old[p][i][t] for t in T]
            s_frozen = [frozen[p][i][t] - old[p][i][t] for t in T]
            logits[-1].append(mean(s) if T else None)
            if not T or (name == "dapo" and len(set(group)) == 1):
                continue
            rho_star = target(name, reward, group) if name.startswith("gbpo") else None
            sequences.append(
                [
                    token_loss(name, A[p][i], s[k], s_frozen[k], mean(s), mean(s_frozen), now[p][i][t],
                               ref[p][i][t] - now[p][i][t], rho_star)
                    for k, t in enumerate(T)
                ]
            )  # fmt: skip
    if name.startswith("real"):
        return real(name, logits, [[r > 0 for r in group] for group in rewards])
    if name in ("reinforce", "rloo"):
        return mean(map(sum, sequences))
    if name == "dr-grpo":
        return mean(map(sum, sequences)) / 1024
    if name in ("grpo-paper", "gspo", "gspo-token", "sapo"):
        return mean(map(mean, sequences))
    return sum(map(sum, sequences)) / sum(map(len, sequences))


def slopes(name, arrays, h=1e-6):
    """Central differences of ``loss_of`` in every log-probability."""
    found = np.zeros_like(arrays["log_prob"])
    for index in zip(*np.nonzero(arrays["mask"])):
        ahead, behind = arrays["log_prob"].copy(), arrays["log_prob"].copy()
        ahead[index] += h
        behind[index] -= h
        found[index] = (loss_of(name, arrays, ahead) - loss_of(name, arrays, behind)) / (2 * h)
    return found
