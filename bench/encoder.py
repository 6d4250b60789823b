"""Measures the encoder's cost against its operation count and transformers' VideoMAE. Writes reports/bench/encoder.md.

    .venv/bin/python bench/encoder.py                        # ViT-S cut to 2 blocks, some minutes
    .venv/bin/python bench/encoder.py --depth 0              # all 12 blocks, about half an hour
    .venv/bin/python bench/encoder.py --only training        # the second table alone: a minute on a GPU
    ... --only training --device cpu --precision fp32 --train-size tiny --train-batch 2 --workers 0     # no GPU

The first table compares on the CPU: one thread, rounds that go through all variants in turn, medians; only ratios carry
over to other machines. Every token costs the same in every clip, so the dense variants may be timed on fewer clips than
the pruned ones. The second table is the rate of ViT-B in training (bf16, residual stream in float32, forward, backward
and AdamW step) on a CUDA device: clips per second, and the share of the matrix rate that large matrix products reach in
the same run; then the same fed by the loader, from files. A part that was not run keeps its lines in the file.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from childgait.models.tokens import Packed, pack
from childgait.models.videomae import SIZES, Size, VideoMAE, VideoMAESettings, compile_blocks
from childgait.training.optim import make_optimizer

SHARES = (0.15, 0.25, 0.35, 0.5)
TOKENS = 1568  # of 16 frames of 224 pixels
NUMBERS = 2 * 16 * 16 * 3  # in a patch
PRECISIONS = {"bf16": torch.bfloat16, "fp32": torch.float32}


def make_packed(share: float | None, clips: int, seed: int = 0) -> Packed:
    """Make noise clips; each keeps share * U(0.6, 1.4) of its tokens, as real masks vary; None keeps all."""
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
        hidden_size=size.width,
        num_hidden_layers=size.depth,
        num_attention_heads=size.heads,
        intermediate_size=size.hidden,
        layer_norm_eps=1e-6,
        qkv_bias=True,
        use_mean_pooling=True,
        num_labels=34,
        attn_implementation=attention,
    )
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


def on_cpu(size: Size, batch: int, dense_batch: int, rounds: int) -> list[str]:
    torch.set_num_threads(1)
    model = VideoMAE(VideoMAESettings(size, 16, 224, 34, 0.0, 0.0))
    packs = {None: make_packed(None, dense_batch)} | {share: make_packed(share, batch) for share in SHARES}
    colours = torch.randn(dense_batch, 16, 3, 224, 224)
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
    clips = {name: batch if name.endswith("%") else dense_batch for name in runs}
    times: dict[str, list[float]] = {name: [] for name in runs}  # seconds per clip
    runs["15%"](), runs["transformers forward"]()  # warm up
    for _ in range(rounds):
        for name, run in runs.items():
            began = time.process_time()
            run()
            times[name].append((time.process_time() - began) / clips[name])
    # Ratios within a round, then the median: what slows a round down slows all of it.
    ratio = lambda a, b: statistics.median(x / y for x, y in zip(times[a], times[b], strict=True))  # noqa: E731
    whole = operations(size, packs[None].lengths) / dense_batch
    memory = {
        share: saved_bytes(lambda share=share: model(packs[share]), model) / len(packs[share].lengths)
        for share in (None, 0.25)
    }
    lines = [
        f"Width {size.width}, {size.depth} blocks, {batch} clips of 16 x 224 x 224 ({dense_batch} where all tokens are "
        f"kept, scaled up), fp32, torch {torch.__version__}, one thread, CPU time, median of {rounds} interleaved "
        "rounds. "
        "No parameters' update.",
        "",
        "| forward and backward | time / dense | operations / dense | time / operations |",
        "|---|---|---|---|",
    ]
    for share in SHARES:
        cost = operations(size, packs[share].lengths) / batch / whole
        took = ratio(f"{share:.0%}", "dense")
        lines.append(f"| {share:.0%} kept | {took:.3f} | {cost:.3f} | {took / cost:.2f} |")
    lines += [
        "",
        "| measure | is | aim |",
        "|---|---|---|",
        f"| dense forward / transformers with SDPA | {ratio('dense forward', 'transformers forward'):.2f} | at "
        "most 1 |",
        f"| dense forward and backward / transformers with SDPA | {ratio('dense', 'transformers'):.2f} | at most 1 |",
        f"| official attention on all tokens / ours at 25 % | {ratio('official attention', '25%'):.1f} | at least 8 |",
        f"| memory kept for backward, 25 % / dense | {memory[0.25] / memory[None]:.2f} | at most 0.40 |",
    ]
    return lines


def matrix_rate(device: str, side: int, dtype: torch.dtype) -> float:
    """Operations per second of large matrix products."""
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / timed(lambda: a @ b, device)


def timed(run: Callable[[], object], device: str, repeats: int = 10) -> float:
    """Median seconds."""
    seconds = []
    for turn in range(repeats + 2):
        began = time.perf_counter()
        run()
        wait(device)
        if turn >= 2:
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def in_training(
    device: str, size: Size, batch: int, workers: int, side: int, steps: int, *, precision: str, compiled: bool
) -> list[str]:
    """Training steps on batches that lie on the device, and on batches that a loader brings from files."""
    name = torch.cuda.get_device_name() if device == "cuda" else device
    rate = matrix_rate(device, side, PRECISIONS[precision])
    model = VideoMAE(VideoMAESettings(size, 16, 224, 34, 0.1, 0.0)).to(device).train()
    if compiled:
        compile_blocks(model)
    optimizer = make_optimizer(model, SimpleNamespace(learning_rate=1e-5, weight_decay=0.05, layer_decay=1.0))

    def step(packed: Packed) -> None:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
            logits = model(packed)
        logits.float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    lines = [
        f"{name}: matrix products {rate / 1e12:.3g} TFLOP/s in {precision}; torch {torch.__version__}, width "
        f"{size.width}, {size.depth} blocks, batch {batch}{', blocks compiled' if compiled else ''}.",
        "",
        "| kept | clips per second | share of the matrix rate | peak GB |",
        "|---|---|---|---|",
    ]

    def row(title: str, seconds: float, done: float, peak: str) -> str:
        return f"| {title} | {batch / seconds:.3g} | {done / seconds / rate:.0%} | {peak} |"

    for share in (None, *SHARES):
        packed = make_packed(share, batch).to(device)
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        seconds = timed(lambda packed=packed: step(packed), device, steps)
        peak = f"{torch.cuda.max_memory_allocated() / 1e9:.1f}" if device == "cuda" else "-"
        title = "all" if share is None else f"{share:.0%}"
        lines.append(row(title, seconds, operations(size, packed.lengths), peak))
    seconds, done, kept = loaded_step(step, device, size, batch, workers, steps)
    title = f"{kept:.0%}, loaded by {workers} processes" if workers else f"{kept:.0%}, loaded in the same process"
    return [*lines, row(title, seconds, done, "-")]


def loaded_step(
    step: Callable[[Packed], None], device: str, size: Size, batch: int, workers: int, steps: int
) -> tuple[float, float, float]:
    """Mean seconds and operations of a step whose batch a loader reads, changes, draws on and cuts; the share kept."""
    from loader import CHANGES, make_clip, settings

    from childgait.training.windows import Windows, make_loader

    loading, _ = settings(size.patch)["as in training: all changes, drawn, pruned"]
    with tempfile.TemporaryDirectory() as folder:
        clips = [make_clip(Path(folder), number, 224) for number in range(4)]
        warm = max(2 * workers, 1)  # batches that a full queue may hold: far fewer than are timed
        steps = max(steps, 5 * warm)
        many = [clips[number % 4] for number in range(batch * (warm + steps))]
        windows = Windows(many, np.zeros((len(many), 34), np.float32), loading, augmentation=CHANGES)
        batches, _ = make_loader(windows, batch_size=batch, workers=workers, shuffle=False, pin_memory=device == "cuda")
        tokens: list[int] = []
        done = began = 0.0
        for number, one in enumerate(batches):
            if number == warm:
                wait(device)
                began = time.perf_counter()
            step(one.to(device).packed)
            if number >= warm:
                tokens += one.packed.lengths
                done += operations(size, one.packed.lengths)
        wait(device)
        seconds = (time.perf_counter() - began) / steps
    return seconds, done / steps, sum(tokens) / len(tokens) / TOKENS


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def parts_of(path: Path) -> dict[str, list[str]]:
    """The file's parts by their heading, so that one run need not make all."""
    results: dict[str, list[str]] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        if line.startswith("## "):
            results[line[3:]] = lines = []
        elif results:
            lines.append(line)
    return {title: "\n".join(lines).strip().splitlines() for title, lines in results.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["comparison", "training"], help="one of the two tables")
    parser.add_argument(
        "--size", choices=list(SIZES), default="small", help="network size of the comparison on the CPU"
    )
    parser.add_argument("--depth", type=int, default=2, help="blocks of it; 0: as many as the size has")
    parser.add_argument("--batch", type=int, default=8, help="clips, pruned")
    parser.add_argument("--dense-batch", type=int, default=2, help="clips that keep every token")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda", help="of the training table; cpu only shows that it runs")
    parser.add_argument("--train-size", choices=list(SIZES), default="base")
    parser.add_argument("--train-batch", type=int, default=64)
    parser.add_argument("--precision", choices=list(PRECISIONS), default="bf16", help="of the training table")
    parser.add_argument("--compile", action="store_true", help="torch.compile the blocks of the training table")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="loader processes")
    parser.add_argument("--out", type=Path, default=Path("reports/bench/encoder.md"))
    arguments = parser.parse_args()
    torch.manual_seed(0)
    parts = parts_of(arguments.out)
    if arguments.only != "training":
        size = SIZES[arguments.size]
        size = replace(size, depth=arguments.depth or size.depth)
        parts["CPU"] = on_cpu(size, arguments.batch, arguments.dense_batch, arguments.rounds)
    if arguments.only != "comparison":
        quick = arguments.device == "cpu"
        if quick or torch.cuda.is_available():
            parts["Training"] = in_training(
                arguments.device,
                SIZES[arguments.train_size],
                arguments.train_batch,
                arguments.workers,
                1024 if quick else 8192,
                2 if quick else 20,
                precision=arguments.precision,
                compiled=arguments.compile,
            )
        else:
            parts["Training"] = [
                "No CUDA device was at hand: clips per second and the share of the matrix rate are not measured here."
            ]
    lines = ["# Encoder", *(line for title, part in parts.items() for line in ("", f"## {title}", "", *part))]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
