"""Malformed files by the hundred: valid contents of every reader, mutated with a fixed seed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from support.hostile_files import Try, written
from support.user_file_readers import READERS, TEXTS

KINDS = ("cut", "flip", "insert", "repeat", "swap", "cell", "leaf")
CELLS = (
    *(
        "",
        "-1",
        "1e308",
        "1e-320",
        "nan",
        "inf",
        "٨",
        "²",
        "1_0",
        "0x10",
        "true",
        "null",
        "9" * 40,
        "x" * 20_000,
        "\0",
        "a\rb",
    ),
    *(
        '"',
        "a,b",
        "=1+1",
        "-rf",
        "$(id)",
        "../../etc/passwd",
        "/dev/zero",
        "\u2028",
        "\u202e",
        "{x}",
        "0001;id",
        " 3 ",
        "3.0",
    ),
)
LEAVES = (
    *(
        "null",
        "true",
        "-1",
        "0.5",
        "1e308",
        "-0.0",
        "NaN",
        "Infinity",
        "1" + "0" * 400,
        "[]",
        "{}",
        "[[[[]]]]",
        '""',
        '"x"',
    ),
    *(
        '"\\ud800"',
        '"\\u0000"',
        '"$(id)"',
        "[1, 2]",
        '{"a": 1}',
        "[" * 500 + "]" * 500,
        '"' + "x" * 20_000 + '"',
        "2",
        '"0001"',
    ),
)
JSON = ("labels", "frame", "facts", "tombstones", "model", "pretraining", "reply", "answer", "bundle", "ratings")
JSON += (
    "coco",
    "coco_results",
    "mmpose",
    "openpose",
    "annotated_coco",
    "annotated_label_studio",
    "sidecar",
    "model_config",
)
JSON += ("sidecar", "model_config", "completion", "erased_entries")


def mutated_tries(count: int, seed: int = 21) -> Iterator[Try]:
    """Yield `count` mutated files, equally many per reader; the same seed yields the same files."""
    chance, names = random.Random(seed), list(READERS)
    for number in range(count):
        name = names[number % len(names)]
        reader = READERS[name]
        kind, content = mutate(name, reader.valid(), chance)
        if name in TEXTS:  # read by the caller, as UTF-8
            content = content.decode(errors="replace").encode()
        yield Try(f"mutated {name}", f"{number}: {kind}", written(reader.file, content, reader.read), "")


def mutate(name: str, valid: bytes, chance: random.Random) -> tuple[str, bytes]:
    """Return a description of one mutation of a valid content, and the content after it."""
    kinds = [kind for kind in KINDS if kind not in ("cell", "leaf")]
    kinds += ["cell"] * 5 * (Path(READERS[name].file).suffix == ".csv") + ["leaf"] * 5 * (name in JSON)
    kind, place = chance.choice(kinds), chance.randrange(len(valid))
    match kind:
        case "cut":
            return f"cut at byte {place}", valid[:place]
        case "flip":
            bit = 1 << chance.randrange(8)
            return f"bit {bit:#x} of byte {place}", _put(valid, place, 1, bytes([valid[place] ^ bit]))
        case "insert":
            piece = chance.choice(CELLS).encode()
            return f"{_short(piece)} at byte {place}", _put(valid, place, 0, piece)
        case "repeat":
            length = chance.randint(1, 80)
            return f"{length} bytes at {place} twice", _put(valid, place, 0, valid[place : place + length])
        case "swap":
            length = chance.randint(1, 16)
            return f"{length} bytes at {place} random", _put(valid, place, length, chance.randbytes(length))
        case "cell":
            return _change_cell(valid, chance)
    return _change_leaf(valid, chance)


def _put(valid: bytes, place: int, length: int, piece: bytes) -> bytes:
    return valid[:place] + piece + valid[place + length :]


def _short(piece: bytes) -> str:
    return ascii(piece[:20].decode(errors="replace")) + (f" ({len(piece)} bytes)" if len(piece) > 20 else "")


def _change_cell(valid: bytes, chance: random.Random) -> tuple[str, bytes]:
    """Replace one cell of one row of a CSV, or of its header."""
    rows = [row.split(",") for row in valid.decode().splitlines()]
    row = chance.randrange(len(rows))
    column, cell = chance.randrange(len(rows[row])), chance.choice(CELLS)
    title = f"{_short(cell.encode())} in line {row + 1}, column {rows[0][column] if column < len(rows[0]) else column}"
    rows[row][column] = cell
    return title, ("\n".join(",".join(cells) for cells in rows) + "\n").encode()


def _change_leaf(valid: bytes, chance: random.Random) -> tuple[str, bytes]:
    """Replace one value of a JSON document, a leaf or a whole branch."""
    tree = json.loads(valid)
    places = list(_places(tree))
    parent, key, path = chance.choice(places)
    leaf = chance.choice(LEAVES)
    parent[key] = "@here@"
    return f"{path} = {_short(leaf.encode())}", json.dumps(tree).replace('"@here@"', leaf).encode()


def _places(tree: object, path: str = "") -> Iterator[tuple[list | dict, int | str, str]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield tree, key, f"{path}/{key}"
        yield from _places(value, f"{path}/{key}")
