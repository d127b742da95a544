"""A step of GRPO on a language model of a million parameters: ours against TRL's trainer, in one run.

    python bench/language_model.py [--size million] [--steps 8] [--repeats 3] [--threads 1] [--only step]

128 answers of 16 tokens to 16 prompts, one update, the same Llama with the same weights, in float32 on the CPU. Its
thousand characters make an early end rare, so that both sample 16 tokens. Every contender runs in a process of its
own; they take turns, and medians over the repeats of medians over steps count, without the first two steps. TRL is
there twice: with what it does by default and we do not (bfloat16, activations recomputed, a log of each step)
switched off, and as it comes. Beside it, the parts of our step, and the memory of log-probabilities at a vocabulary of
128k, in chunks and with all logits.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from functools import partial
from itertools import pairwise

CONTENDERS = ("ours", "trl", "trl as it comes")
LIKE_OURS = {
    "bf16": False,
    "gradient_checkpointing": False,
    "logging_strategy": "no",
}  # what TRL has switched on
ALPHABET = "".join(chr(0x4E00 + i) for i in range(1000))
PROMPTS, GROUP, NEW, BEFORE = 16, 8, 16, 8
SHAPES = {
    "million": {
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
    },
    "nano": {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4},
}
RATE = 1e-4


def reward(text):
    """Something to learn: the share of characters from the alphabet's first half."""
    return sum(character < ALPHABET[500] for character in text) / NEW


def prompts(n):
    import random

    rng = random.Random(0)
    return ["".join(rng.choices(ALPHABET, k=BEFORE)) for _ in range(n)]


def llama(size):
    """The model and its tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from small_llm.tokenizer import character_tokenizer

    tokenizer = character_tokenizer(ALPHABET)
    torch.manual_seed(0)
    special = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = LlamaConfig(
        **SHAPES[size], **special, vocab_size=len(tokenizer), bos_token_id=None, tie_word_embeddings=True
    )
    return LlamaForCausalLM(config), tokenizer


def now():
    """Seconds of the clock, and those that this process computed: on a busy machine the second is steadier."""
    return time.perf_counter(), time.process_time()


def our_loop(size, steps):
    """The state of our training."""
    from dataclasses import dataclass

    from small_llm.config import Config
    from small_llm.loop import Loop
    from small_llm.tasks import Problem, Task

    @dataclass(frozen=True)
    class FirstHalf(Task):
        name: str = "first half"
        alphabet: str = ALPHABET
        max_new_tokens: int = NEW

        def draw(self, rng, n):
            drawn = rng.integers(len(ALPHABET), size=(n, BEFORE))
            return [Problem("".join(ALPHABET[i] for i in row), "") for row in drawn.tolist()]

        def verify(self, problem, completion):
            return reward(completion)

        def vote(self, problem, completion):
            return completion

    model, tokenizer = llama(size)
    config = Config(
        recipe="grpo-trl", steps=steps, prompts=PROMPTS, group_size=GROUP, learning_rate=RATE, measure_every=0
    )
    task = FirstHalf()
    return Loop(config, model.eval(), tokenizer, task, task)


def ours(size, steps):
    """Seconds of each step, and its rewards."""
    loop = our_loop(size, steps)
    marks, rewards = [], []
    for _ in range(steps):
        rewards.append(loop.step()["reward/mean"])
        marks.append(now())
    return marks, rewards


def trl(size, steps, **settings):
    """The same of TRL's trainer."""
    import tempfile

    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    model, tokenizer = llama(size)
    marks, rewards = [], []

    class Mark(TrainerCallback):
        def on_step_end(self, *_, **__):
            marks.append(now())

    def scored(completions, **_):
        found = [reward(text) for text in completions]
        rewards.append(statistics.mean(found))
        return found

    with tempfile.TemporaryDirectory() as folder:
        arguments = GRPOConfig(
            output_dir=folder, per_device_train_batch_size=PROMPTS * GROUP, num_generations=GROUP,
            max_completion_length=NEW, max_steps=steps, learning_rate=RATE, lr_scheduler_type="constant",
            beta=0.0, temperature=1.0, use_cpu=True, report_to="none", save_strategy="no", disable_tqdm=True,
            **settings,
        )  # fmt: skip
        GRPOTrainer(
            model=model, reward_funcs=scored, args=arguments, processing_class=tokenizer, callbacks=[Mark()],
            train_dataset=Dataset.from_list([{"prompt": text} for text in prompts(PROMPTS * steps)]),
        ).train()  # fmt: skip
    return marks, rewards


def one(contender, size, steps, threads):
    import warnings

    import torch

    warnings.filterwarnings("ignore")
    torch.set_num_threads(threads)
    run = {"ours": ours, "trl": partial(trl, **LIKE_OURS), "trl as it comes": trl}[contender]
    marks, rewards = run(size, steps)
    clock, busy = ([b - a for a, b in pairwise(times[1:])] for times in zip(*marks))
    return {
        "seconds": statistics.median(clock),
        "cpu": statistics.median(busy),
        "first": rewards[0],
        "last": rewards[-1],
    }


def spawn(*arguments):
    code = f"import json, sys; sys.path.insert(0, {str(sys.path[0])!r}); import language_model; "
    code += "print(); print(json.dumps(language_model.one(*json.loads(sys.argv[1]))))"
    threads = {**os.environ, "OMP_NUM_THREADS": str(arguments[-1]), "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, "-c", code, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=threads)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def whole_steps(options):
    found = {contender: [] for contender in CONTENDERS}
    for _ in range(options.repeats):
        for contender in CONTENDERS:
            found[contender].append(spawn(contender, options.size, options.steps, options.threads))
    middle = {
        contender: {name: statistics.median(run[name] for run in runs) for name in ("seconds", "cpu")}
        for contender, runs in found.items()
    }
    print(f"one step, 128 answers of 16 tokens, one update, {options.threads} thread(s)")
    for contender, runs in found.items():
        mine, us = middle[contender], middle["ours"]
        print(
            f"  {contender:<15} {mine['seconds']:7.3f} s, {mine['seconds'] / us['seconds']:5.2f} x ours   "
            f"computing {mine['cpu']:7.3f} s, {mine['cpu'] / us['cpu']:5.2f} x ours "
            f"({', '.join(format(run['cpu'], '.3f') for run in runs)})   "
            f"reward {runs[-1]['first']:.3f} -> {runs[-1]['last']:.3f}",
            flush=True,
        )


def parts(options):
    """Milliseconds of sampling, of the log-probabilities without gradients, and of the update."""
    import numpy as np
    import torch

    torch.set_num_threads(options.threads)
    loop = our_loop(options.size, 1)
    experience = loop.draw()
    pieces = {
        "sampling": loop.draw,
        "log-probabilities": lambda: loop.learner.discrepancy(experience),
        "update": lambda: loop.learner.update(experience, np.random.default_rng(0), RATE, measured=False),
    }
    print("parts of our step: milliseconds of computing")
    for name, piece in pieces.items():
        piece()
        taken = []
        for _ in range(options.steps):
            _, start = now()
            piece()
            taken.append(1e3 * (now()[1] - start))
        print(f"  {name:<18} {statistics.median(taken):7.1f}", flush=True)


def memory():
    import torch

    from small_llm.speed import log_prob_memory

    print("log-probabilities there and back at a vocabulary of 131072, float32: MiB at once")
    for tokens in (128, 256, 512):
        chunked, plain = (
            log_prob_memory(
                torch.device("cpu"), vocabulary=131072, tokens=tokens, chunk=chunk, dtype=torch.float32
            )["bytes"]
            / 2**20
            for chunk in (32, None)
        )
        print(
            f"  {tokens:>5} tokens: {chunked:7.0f} in chunks of 32, {plain:7.0f} with all logits", flush=True
        )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", choices=tuple(SHAPES), default="million")
    parser.add_argument("--only", default="", help="step, parts or memory")
    options = parser.parse_args()
    if options.only in "step":
        whole_steps(options)
    if options.only in "parts":
        parts(options)
    if options.only in "memory":
        memory()


if __name__ == "__main__":
    main()
