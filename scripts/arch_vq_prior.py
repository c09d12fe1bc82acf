"""Prints how fast two transformers of the same size sample code sequences.

pip install transformers; python scripts/arch_vq_prior.py [--batch 10000] [--repeats 5]

Ours is `nas_plugins.strategies.arch_vq.prior.Prior`, the other is `transformers`' GPT-2 with 4
layers, 4 heads and width 128. Both sample independently, with their key-value caches, in one
process and in turns; the ratio is what counts.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from nas_plugins.strategies.arch_vq.config import PriorConfig
from nas_plugins.strategies.arch_vq.prior import Prior

CODES = 512


def ours(nodes: int, batch: int) -> Callable[[], None]:
    """Samples `batch` sequences with our prior."""
    prior = Prior(nodes, CODES, PriorConfig()).eval()

    def work() -> None:
        codes, cache = torch.zeros(batch, dtype=torch.long), None
        with torch.no_grad():
            for position in range(nodes):
                log_p, cache = prior.step(codes, position, cache)
                codes = torch.multinomial(log_p.exp(), 1)[:, 0]

    return work


def gpt2(nodes: int, batch: int) -> Callable[[], None]:
    """Samples `batch` sequences with GPT-2."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=CODES + 1,
        n_positions=nodes + 1,
        n_embd=128,
        n_layer=4,
        n_head=4,
        bos_token_id=CODES,
        eos_token_id=CODES,
    )
    model = GPT2LMHeadModel(config).eval()

    def work() -> None:
        codes, cache = torch.full((batch, 1), CODES), None
        with torch.no_grad():
            for _ in range(nodes):
                out = model(input_ids=codes, past_key_values=cache, use_cache=True)
                cache = out.past_key_values
                p = torch.softmax(out.logits[:, -1, :CODES].float(), dim=-1)
                codes = torch.multinomial(p, 1)

    return work


def main() -> None:
    """Prints one row per sequence length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(f"{'nodes':>5} {'ours s':>8} {'GPT-2 s':>8} {'ratio':>6}  (batch {options.batch:,})")
    for nodes in (7, 8, 11):
        works = [ours(nodes, options.batch), gpt2(nodes, options.batch)]
        times: list[list[float]] = [[], []]
        for work in works:
            work()
        for _ in range(options.repeats):
            for found, work in zip(times, works, strict=True):
                start = time.perf_counter()
                work()
                found.append(time.perf_counter() - start)
        a, b = map(statistics.median, times)
        print(f"{nodes:5} {a:8.2f} {b:8.2f} {b / a:6.2f}")


if __name__ == "__main__":
    main()
