"""What the encoder costs against the arithmetic and against transformers' VideoMAE. Writes reports/bench/encoder.md.

    .venv/bin/python bench/encoder.py                        # one CPU thread, ViT-S cut to 2 blocks, some minutes
    .venv/bin/python bench/encoder.py --depth 12 --batch 2   # the whole depth, fewer clips

CPU: time of one thread, rounds that go through all variants in turn, medians; ratios are what counts. Where there is a
CUDA device, also the rate of ViT-B in training (bf16, residual stream in float32): clips a second, and the share of the
matrix rate that large matrix products reach in the same run.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from childgait.models.tokens import Packed, pack
from childgait.models.videomae import SIZES, Size, VideoMAE, VideoMAESettings

SHARES = (0.15, 0.25, 0.35, 0.5)
TOKENS = 1568  # of 16 frames of 224 pixels
NUMBERS = 2 * 16 * 16 * 3  # in a patch


def make_packed(share: float | None, clips: int, seed: int = 0) -> Packed:
    """Noise clips; each keeps share * U(0.6, 1.4) of its tokens, as real masks spread, the mean as asked. None: all."""
    rng = np.random.default_rng(seed)
    spread = rng.uniform(0.6, 1.4, clips)
    counts = [TOKENS if share is None else round(share * each * TOKENS) for each in spread / spread.mean()]
    index = [np.sort(rng.choice(TOKENS, count, replace=False)) for count in counts]
    patches = [rng.integers(0, 256, (count, NUMBERS), dtype=np.uint8) for count in counts]
    return pack([torch.from_numpy(p) for p in patches], [torch.from_numpy(i) for i in index])


def operations(size: Size, lengths: tuple[int, ...]) -> float:
    """Floating-point operations of forward and backward; the patches need no gradient."""
    embed = 2 * NUMBERS * size.width * sum(lengths)
    linear = 2 * (4 * size.width**2 + 2 * size.width * size.hidden) * sum(lengths)
    attention = sum(4 * n * n * size.width for n in lengths)
    return 2 * embed + 3 * size.depth * (linear + attention)


def transformers_model(size: Size, attention: str) -> nn.Module:
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification

    config = VideoMAEConfig(
        hidden_size=size.width, num_hidden_layers=size.depth, num_attention_heads=size.heads,
        intermediate_size=size.hidden, layer_norm_eps=1e-6, qkv_bias=True, use_mean_pooling=True, num_labels=34,
        attn_implementation=attention,
    )  # fmt: skip
    return VideoMAEForVideoClassification(config)


def learn(forward: Callable[[], torch.Tensor], model: nn.Module) -> None:
    forward().square().sum().backward()
    model.zero_grad(set_to_none=True)


def look(forward: Callable[[], torch.Tensor]) -> None:
    with torch.no_grad():
        forward()


def saved_bytes(forward: Callable[[], torch.Tensor], model: nn.Module) -> int:
    """What forward keeps for backward, parameters aside: the part of memory that grows with tokens."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    seen: dict[int, int] = {}
    alive = []  # so that no address is used twice

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = forward()
    del result
    return sum(seen.values())


def on_cpu(size: Size, batch: int, rounds: int) -> list[str]:
    torch.set_num_threads(1)
    model = VideoMAE(VideoMAESettings(size, 16, 224, 34, 0.0, 0.0))
    packs = {None: make_packed(None, batch)} | {share: make_packed(share, batch) for share in SHARES}
    colours = torch.randn(batch, 16, 3, 224, 224)
    fused, eager = transformers_model(size, "sdpa"), transformers_model(size, "eager")
    runs: dict[str, Callable[[], None]] = {
        "dense forward": lambda: look(lambda: model(packs[None])),
        "transformers forward": lambda: look(lambda: fused(colours).logits),
        "dense": lambda: learn(lambda: model(packs[None]), model),
        "transformers": lambda: learn(lambda: fused(colours).logits, fused),
        "official attention": lambda: learn(lambda: eager(colours).logits, eager),
    }
    for share in SHARES:
        runs[f"{share:.0%}"] = lambda share=share: learn(lambda: model(packs[share]), model)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            began = time.process_time()
            run()
            if turn:  # the first round warms up
                times[name].append(time.process_time() - began)
    # Ratios within a round, then the median: what slows a round down slows all of it.
    ratio = lambda a, b: statistics.median(x / y for x, y in zip(times[a], times[b], strict=True))  # noqa: E731
    whole = operations(size, packs[None].lengths)
    memory = {share: saved_bytes(lambda share=share: model(packs[share]), model) for share in (None, 0.25)}
    lines = [
        f"Width {size.width}, {size.depth} blocks, {batch} clips of 16 x 224 x 224, fp32, torch {torch.__version__}, one "
        f"thread, CPU time, median of {rounds} interleaved rounds. No parameters' update.", "",
        "| forward and backward | time / dense | operations / dense | time / operations |", "|---|---|---|---|",
    ]  # fmt: skip
    for share in SHARES:
        cost = operations(size, packs[share].lengths) / whole
        took = ratio(f"{share:.0%}", "dense")
        lines.append(f"| {share:.0%} kept | {took:.3f} | {cost:.3f} | {took / cost:.2f} |")
    lines += [
        "", "| measure | is | aim |", "|---|---|---|",
        f"| dense forward / transformers with SDPA | {ratio('dense forward', 'transformers forward'):.2f} | at most 1 |",
        f"| dense forward and backward / transformers with SDPA | {ratio('dense', 'transformers'):.2f} | at most 1 |",
        f"| official attention on all tokens / ours at 25 % | {ratio('official attention', '25%'):.1f} | at least 8 |",
        f"| memory kept for backward, 25 % / dense | {memory[0.25] / memory[None]:.2f} | at most 0.40 |",
    ]  # fmt: skip
    return lines


def matrix_rate(device: str, side: int) -> float:
    """Operations a second of large bf16 matrix products."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / timed(lambda: a @ b, device)


def timed(run: Callable[[], object], device: str, repeats: int = 10) -> float:
    """Median seconds."""
    seconds = []
    for turn in range(repeats + 3):
        began = time.perf_counter()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        if turn >= 3:
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def on_gpu(device: str, size: Size, batch: int, side: int = 8192) -> list[str]:
    """Training steps of ViT-B, batches already on the device, as the loader's pinned copies would be."""
    model = VideoMAE(VideoMAESettings(size, 16, 224, 34, 0.1, 0.0)).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    rate = matrix_rate(device, side)
    lines = [
        f"{torch.cuda.get_device_name() if device == 'cuda' else device}: matrix products {rate / 1e12:.0f} TFLOP/s in "
        f"bf16; batch {batch}; forward, backward and AdamW step.", "",
        "| kept | clips a second | share of the matrix rate | peak GB |", "|---|---|---|---|",
    ]  # fmt: skip
    for share in (None, *SHARES):
        packed = make_packed(share, batch).to(device)

        def step(packed: Packed = packed) -> None:
            with torch.autocast(device, dtype=torch.bfloat16):
                logits = model(packed)
            logits.float().square().mean().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        seconds = timed(step, device)
        peak = torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else float("nan")
        done = operations(size, packed.lengths) / seconds / rate
        lines.append(f"| {'all' if share is None else f'{share:.0%}'} | {batch / seconds:.0f} | {done:.0%} | {peak:.1f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=list(SIZES), default="small")
    parser.add_argument("--depth", type=int, default=2, help="blocks; 0: as many as the size has")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("reports/bench/encoder.md"))
    asked = parser.parse_args()
    torch.manual_seed(0)
    size = SIZES[asked.size]
    size = replace(size, depth=asked.depth or size.depth)
    lines = ["# Encoder", "", "## CPU", "", *on_cpu(size, asked.batch, asked.rounds), "", "## GPU", ""]
    if torch.cuda.is_available():
        lines += on_gpu("cuda", SIZES["base"], 64)
    else:
        lines.append("No CUDA device was at hand: clips a second and the share of the matrix rate are not measured here.")
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
