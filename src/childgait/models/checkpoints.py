"""Published VideoMAE weights, read strictly into our encoder: every missing or unused key is listed.

Reads a file by path and sha256, in any of the forms in circulation:

    .pth / .pt / .bin   {'module': …} fine-tuned, {'model': …} pre-trained with `encoder.` and a decoder, or bare
    .safetensors        official names under `model.` (VideoMAE v2 on the model hub), or transformers' VideoMAE names

and yields what was loaded. Pickled files are read with weights_only=True. Half precision becomes float32. A bias on k
is left out and named: it cancels in the softmax, so nothing changes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from childgait.errors import StepError
from childgait.files.weights import check_sha256
from childgait.models.videomae import SIZES, Size, VideoMAE

log = logging.getLogger(__name__)

State = dict[str, Tensor]

# What a file may lack (the encoder keeps its own) and what it may have beyond the encoder.
_MAY_LACK = re.compile(r"(fc_norm|head)\.")
_MAY_EXCEED = re.compile(r"norm\.|head\.|decoder\.|mask_token$|encoder_to_decoder\.|blocks\.\d+\.attn\.k_bias$")
_PREFIXES = ("_orig_mod.", "module.", "model.", "backbone.", "encoder.")

_TRANSFORMERS = (  # of transformers' VideoMAE names; the file's prefix is stripped before
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^encoder\.layer\.(\d+)\.layernorm_before\.", r"blocks.\1.norm1."),
    (r"^encoder\.layer\.(\d+)\.layernorm_after\.", r"blocks.\1.norm2."),
    (r"^encoder\.layer\.(\d+)\.attention\.attention\.(query|key|value)\.weight$", r"blocks.\1.attn.\2"),
    (r"^encoder\.layer\.(\d+)\.attention\.attention\.([qkv])(?:uery|ey|alue)\.bias$", r"blocks.\1.attn.\2_bias"),
    (r"^encoder\.layer\.(\d+)\.attention\.attention\.([qv])_bias$", r"blocks.\1.attn.\2_bias"),
    (r"^encoder\.layer\.(\d+)\.attention\.output\.dense\.", r"blocks.\1.attn.proj."),
    (r"^encoder\.layer\.(\d+)\.intermediate\.dense\.", r"blocks.\1.mlp.fc1."),
    (r"^encoder\.layer\.(\d+)\.output\.dense\.", r"blocks.\1.mlp.fc2."),
    (r"^layernorm\.", "norm."),
    (r"^classifier\.", "head."),
)


@dataclass(frozen=True)
class Loaded:
    """The result of loading: `kept` are initial values that the file lacks, `unused` the file's other keys."""

    sha256: str
    taken: tuple[str, ...]
    kept: tuple[str, ...]
    unused: tuple[str, ...]


def load_checkpoint(encoder: VideoMAE, path: Path, expected_sha256: str) -> Loaded:
    """Load the file into the encoder; fail without a change if it does not fit."""
    checked = check_checkpoint(path, expected_sha256)
    state = official(read_state(path))
    _check_size(path, state, encoder.settings.size)
    expected = encoder.state_dict()
    head = [name for name in state if name.startswith("head.") and name in expected]
    if any(state[name].shape != expected[name].shape for name in head):  # another task's head is not ours
        expected = {name: value for name, value in expected.items() if not name.startswith("head.")}
    _check_keys(path, state, expected)
    taken = {name: value.to(torch.float32) for name, value in state.items() if name in expected}
    encoder.load_state_dict(taken, strict=False)
    loaded = Loaded(
        checked,
        tuple(sorted(taken)),
        tuple(sorted(set(encoder.state_dict()) - set(taken))),
        tuple(sorted(set(state) - set(taken))),
    )
    log.info(
        "%s: %d tensors taken; not in the file: %s; in the file and not used: %s",
        path.name,
        len(taken),
        ", ".join(loaded.kept) or "none",
        ", ".join(loaded.unused) or "none",
    )
    return loaded


def check_checkpoint(path: Path, expected: str) -> str:
    """Return the sha256 of the file that finetune.weights names, after comparing it with finetune.weights_sha256."""
    if not path.is_file():
        raise StepError(f"there is no checkpoint {path}", hint="check finetune.weights in params.yaml")
    return check_sha256(path, expected, key="finetune.weights_sha256")


def read_state(path: Path) -> State:
    """Read the tensors of a file under its own names, without a wrapper `model` or `module`."""
    if path.suffix == ".safetensors":
        import safetensors
        from safetensors.torch import load_file

        try:
            return check_tensors(path, load_file(path))
        except (safetensors.SafetensorError, RuntimeError) as error:
            raise _unreadable(path, error) from None
    import pickle
    import zipfile

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "unsupported" in str(error).lower() and _is_pickle(path):
            raise StepError(
                f"{path} holds more than tensors, and its code is not run",
                hint="keep only the weights: torch.save({'module': checkpoint['module']}, …) where you trust the file",
            ) from None
        raise _unreadable(path, error) from None
    except (RuntimeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from None
    for wrapper in ("model", "module"):  # the order of the official loader
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise StepError(f"{path} is no table of tensors", hint="give a file of VideoMAE weights")
    return check_tensors(path, {str(name): value for name, value in content.items()})


def check_tensors(path: Path, state: State) -> State:
    """Return the state; fail unless every tensor contains finite real numbers."""
    for name, value in state.items():
        if name.endswith("num_batches_tracked"):  # the counter of a batch norm is an integer
            continue
        if not value.is_floating_point():
            kind = str(value.dtype).removeprefix("torch.")
            raise StepError(
                f"{path}: {name} is of type {kind}", hint="give weights of floating point, not quantised ones"
            )
        if not torch.isfinite(value).all():
            raise StepError(
                f"{path}: {name} contains NaN or infinity", hint="the training diverged: give other weights"
            )
    return state


def _is_pickle(path: Path) -> bool:
    """Decide whether a file begins as a pickle or as a zip of one; a damaged file has any other bytes."""
    with path.open("rb") as stream:
        return stream.read(2) in (b"PK", *(bytes((0x80, protocol)) for protocol in range(2, 6)))


def _unreadable(path: Path, error: Exception) -> StepError:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return StepError(f"{path} cannot be read as weights ({reason})", hint="it may be cut off: fetch it again")


def official(state: State) -> State:
    """Rename to the official names; join q, k and v weights, keep the biases as q_bias and v_bias."""
    if any(".layernorm_before." in name for name in state):
        state = _from_transformers(state)
    else:
        bare = {_bare(name): value for name, value in state.items()}
        if len(bare) < len(state):
            names = [_bare(name) for name in state]
            twice = next(name for name in names if names.count(name) > 1)
            raise StepError(
                f"the weights contain {twice} under two prefixes", hint="give a file of one network, not of two"
            )
        state = bare
    for name in [name for name in state if name.endswith(".attn.qkv.bias")]:  # one bias for all three, as timm has it
        block = name.removesuffix("qkv.bias")
        for letter, part in zip("qkv", state.pop(name).chunk(3), strict=True):
            state[f"{block}{letter}_bias"] = part
    return state


def _bare(name: str) -> str:
    """Remove the prefixes of wrappers; `encoder_to_decoder` and `decoder.` are no wrappers and stay."""
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _from_transformers(state: State) -> State:
    named: State = {}
    for name, value in state.items():
        name = name.removeprefix("videomae.")
        for pattern, replacement in _TRANSFORMERS:
            name = re.sub(pattern, replacement, name)
        named[name] = value
    for name in [name for name in named if name.endswith(".attn.query")]:
        block = name.removesuffix("query")
        parts = [named.pop(block + part, None) for part in ("query", "key", "value")]
        present = [part for part in parts if part is not None]
        if len(present) == 3:
            named[block + "qkv.weight"] = torch.cat(present)
    return named


def check_state(path: Path, given: Mapping[str, Tensor], own: Mapping[str, Tensor], owner: str, hint: str) -> None:
    """Fail unless two state dicts agree in names and shapes; list the first differences."""
    problems = [f"missing: {name}" for name in own if name not in given]
    problems += [f"unknown: {name}" for name in given if name not in own]
    problems += [
        f"{name} is {list(given[name].shape)}, not {list(value.shape)}"
        for name, value in own.items()
        if name in given and given[name].shape != value.shape
    ]
    if problems:
        more = f" and {len(problems) - 4} more" if len(problems) > 4 else ""
        raise StepError(f"{path} does not fit {owner}: {'; '.join(problems[:4])}{more}", hint=hint)


def _check_size(path: Path, state: State, size: Size) -> None:
    """Fail with the size of the file's encoder, before a hundred shapes fail one by one."""
    weight = state.get("patch_embed.proj.weight")
    if weight is None or weight.ndim != 5:
        raise StepError(
            f"{path} has no patch embedding of VideoMAE; it begins with {', '.join(sorted(state)[:3])}",
            hint="give weights of VideoMAE or VideoMAE v2",
        )
    blocks = {int(match[1]) for name in state if (match := re.match(r"blocks\.(\d+)\.", name))}
    actual = (weight.shape[0], len(blocks), weight.shape[-1])
    if actual != (size.width, size.depth, size.patch):
        names = [name for name, one in SIZES.items() if (one.width, one.depth, one.patch) == actual]
        mine = [name for name, one in SIZES.items() if one == size]
        raise StepError(
            f"{path} is of width {actual[0]} with {actual[1]} blocks and patches of {actual[2]} pixels, "
            f"the model of width {size.width} with {size.depth} and {size.patch}{f' ({mine[0]})' if mine else ''}",
            hint=f"set finetune.encoder.size to {names[0]}" if names else "give weights of the model's size",
        )


def _check_keys(path: Path, state: State, wanted: Mapping[str, Tensor]) -> None:
    missing = sorted(name for name in wanted if name not in state and not _MAY_LACK.match(name))
    extra = sorted(name for name in state if name not in wanted and not _MAY_EXCEED.match(name))
    shapes = [
        f"{name} is {list(state[name].shape)}, not {list(value.shape)}"
        for name, value in wanted.items()
        if name in state and state[name].shape != value.shape
    ]
    problems = [
        f"missing: {', '.join(missing)}" if missing else "",
        f"unknown: {', '.join(extra)}" if extra else "",
        "; ".join(shapes),
    ]
    if any(problems):
        raise StepError(
            f"{path} does not fit the encoder: {'; '.join(filter(None, problems))}",
            hint="it is another variant (layer scale, learned positions, cosine attention) or a damaged file",
        )
