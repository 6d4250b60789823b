"""Write the values of a preset (workflow/presets/NAME.yaml) into params.yaml, keeping its remarks.

params.yaml stays the one file that a run reads, so git and DVC record the values that were used. Only the keys of the
preset are changed; the whole file is checked before it is written.
"""

from __future__ import annotations

import difflib
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from childgait.errors import StepError

if TYPE_CHECKING:
    from childgait.params import JsonSection

FOLDER = Path("workflow/presets")
REMARK = 32  # column of the remarks in params.yaml
FREE = ("exclude", "overrides", "camera_views")  # keys whose value is a mapping with keys of the user's choice


def preset(name: str, params: Path = Path("params.yaml"), folder: Path = FOLDER) -> None:
    """Apply workflow/presets/NAME.yaml to params.yaml."""
    from childgait.files.atomic import write_text
    from childgait.params import load_params

    text = apply_preset(name, params, folder)
    if text == params.read_text(encoding="utf-8"):
        print(f"{params} already holds the preset {name}")
        return
    with tempfile.TemporaryDirectory() as scratch:
        candidate = Path(scratch) / f"{params.name} with the preset {name}"
        candidate.write_text(text, encoding="utf-8")
        load_params(candidate)
    write_text(params, text)
    print(f"{params} now holds the preset {name}; `git diff {params}` shows what changed")


def apply_preset(name: str, params: Path, folder: Path) -> str:
    """Return the text of params.yaml with the preset's values."""
    from ruamel.yaml import YAML

    available = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in available:
        near = difflib.get_close_matches(name, available, n=1)
        raise StepError(
            f"there is no preset {name!r} in {folder}",
            hint=f"did you mean {near[0]!r}?" if near else f"there are {', '.join(available)}",
        )
    yaml = YAML()  # quotes as DVC writes them, so that `dvc exp run -S` changes no other line
    yaml.width = 4096  # never wrap a line
    document = yaml.load(params.read_text(encoding="utf-8"))
    document["preset"] = name
    for values in _chain(name, folder, yaml):
        for section, part in values.items():
            if section not in document:
                raise unknown_key_error(name, section, params)
            set_values(document[section], part, section, name, params)
    stream = io.StringIO()
    yaml.dump(document, stream)
    return "".join(align_remark(line) for line in stream.getvalue().splitlines(keepends=True))


def _chain(name: str, folder: Path, yaml: Any) -> list[dict[str, JsonSection]]:
    """List the values of the presets that this one builds on (`like`), then its own."""
    values = yaml.load((folder / f"{name}.yaml").read_text(encoding="utf-8")) or {}
    base = values.pop("like", None)
    return [*(_chain(base, folder, yaml) if base else ()), values]


def align_remark(line: str) -> str:
    """Move the remark of a line of params.yaml to its column, or one blank behind a longer value."""
    value, mark, remark = line.partition(" #")
    return f"{value.rstrip():<{REMARK - 1}}{mark}{remark}" if mark and value.strip() else line


def set_values(target: Any, values: Any, where: str, name: str, params: Path) -> None:
    """Set each key of a section. A section within it is merged; a mapping with free keys (FREE) is replaced."""
    for key, value in values.items():
        if key not in target:
            raise unknown_key_error(name, f"{where}.{key}", params)
        if isinstance(value, dict) and key not in FREE:
            set_values(target[key], value, f"{where}.{key}", name, params)
        elif target[key] != value or type(target[key]) is not type(value):
            target[key] = value  # an equal value is left untouched, to keep its YAML formatting


def unknown_key_error(name: str, key: str, params: Path) -> StepError:
    """Return the error for a key of a preset that params.yaml does not have, with its new name if it was renamed."""
    from childgait.params import RENAMED

    if new := RENAMED.get(key):
        return StepError(f"the preset {name} sets {key}, which is called {new} now", hint="rename it in the preset")
    return StepError(
        f"the preset {name} sets {key}, which {params} does not have",
        hint="a preset may only change keys of params.yaml; correct one of the two files",
    )
