"""Write the values of a preset (workflow/presets/NAME.yaml) into params.yaml, keeping its comments.

params.yaml stays the one file that a run reads, so git and DVC record what really ran. Only the keys that the preset
names are touched; the whole file is checked before it is written.
"""

from __future__ import annotations

import difflib
import io
import tempfile
from pathlib import Path
from typing import Any

from childgait.errors import StepError

FOLDER = Path("workflow/presets")
REMARK = 32  # the column of params.yaml's remarks
FREE = ("exclude", "overrides", "camera_views")  # keys whose value is a map with keys of a person's choice


def preset(name: str, params: Path = Path("params.yaml"), folder: Path = FOLDER) -> None:
    """Apply workflow/presets/NAME.yaml to params.yaml."""
    from childgait.files.atomic import write_text
    from childgait.params import load_params

    text = applied(name, params, folder)
    if text == params.read_text(encoding="utf-8"):
        print(f"{params} already holds the preset {name}")
        return
    with tempfile.TemporaryDirectory() as scratch:
        candidate = Path(scratch) / f"{params.name} with the preset {name}"
        candidate.write_text(text, encoding="utf-8")
        load_params(candidate)
    write_text(params, text)
    print(f"{params} now holds the preset {name}; `git diff {params}` shows what changed")


def applied(name: str, params: Path, folder: Path) -> str:
    """The text of params.yaml with the preset's values in it."""
    from ruamel.yaml import YAML

    available = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in available:
        near = difflib.get_close_matches(name, available, n=1)
        raise StepError(
            f"there is no preset {name!r} in {folder}",
            hint=f"did you mean {near[0]!r}?" if near else f"there are {', '.join(available)}",
        )
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096  # a line stays a line
    document = yaml.load(params.read_text(encoding="utf-8"))
    document["preset"] = name
    for part in _with_what_it_is_like(name, folder, yaml):
        for section, values in part.items():
            if section not in document:
                raise unknown(name, section, params)
            lay_over(document[section], values, section, name, params)
    stream = io.StringIO()
    yaml.dump(document, stream)
    return "".join(aligned(line) for line in stream.getvalue().splitlines(keepends=True))


def _with_what_it_is_like(name: str, folder: Path, yaml: Any) -> list[dict[str, Any]]:
    """The preset's values, after those of the preset that it names under `like`."""
    values = yaml.load((folder / f"{name}.yaml").read_text(encoding="utf-8")) or {}
    first = values.pop("like", None)
    return [*(_with_what_it_is_like(first, folder, yaml) if first else ()), values]


def aligned(line: str) -> str:
    """A remark beside a value stands where all of them stand, or one blank behind a long value."""
    value, mark, remark = line.partition(" #")
    return f"{value.rstrip():<{REMARK - 1}}{mark}{remark}" if mark and value.strip() else line


def lay_over(target: Any, values: Any, where: str, name: str, params: Path) -> None:
    """Set each key; sections within sections are laid over in turn, maps that a person fills freely are replaced."""
    for key, value in values.items():
        if key not in target:
            raise unknown(name, f"{where}.{key}", params)
        if isinstance(value, dict) and key not in FREE:
            lay_over(target[key], value, f"{where}.{key}", name, params)
        elif target[key] != value or type(target[key]) is not type(value):
            target[key] = value  # an equal value keeps its clothes, so that nothing else in its line changes


def unknown(name: str, key: str, params: Path) -> StepError:
    return StepError(
        f"the preset {name} sets {key}, which {params} does not have",
        hint="a preset may only change what is there; mend one of the two files",
    )
