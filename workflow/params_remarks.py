"""Write what src/childgait/params.py states into params.yaml (the remark beside each key) and into its JSON schema.

    python workflow/params_remarks.py            # lists the keys whose remark differs; exit 1 if there are any
    python workflow/params_remarks.py --write    # writes the remarks and the schema (`make remarks`)

Editors with a YAML language server read workflow/params.schema.json, complete keys and mark values out of range.

Values are not touched. Keys below `exclude`, `overrides` and `camera_views` are free and have no remark.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from pydantic.json_schema import models_json_schema

from childgait.commands.preset import align_remark
from childgait.params import SECTIONS, descriptions

PARAMS = Path(__file__).resolve().parent.parent / "params.yaml"
SCHEMA = Path(__file__).resolve().parent / "params.schema.json"
KEY = re.compile(r"^(?P<indent> *)(?P<key>[a-z_][a-z0-9_]*):")


def with_remarks(text: str) -> tuple[str, list[str]]:
    """Return the text of params.yaml with the declared remarks, and the keys whose remark changed."""
    remarks = descriptions()
    path: list[str] = []
    lines, changed = [], []
    for line in text.splitlines():
        if match := KEY.match(line):
            path = [*path[: len(match["indent"]) // 2], match["key"]]
            if remark := remarks.get(".".join(path)):
                value = line.partition(" #")[0].rstrip()
                wanted = align_remark(f"{value} # {remark}")
                if line != wanted:
                    changed.append(".".join(path))
                line = wanted
        lines.append(line)
    return "\n".join(lines) + "\n", changed


def schema_text() -> str:
    """Return the JSON schema of params.yaml: every section with its keys, types, ranges and descriptions."""
    models = [(model, "validation") for model in SECTIONS.values()]
    references, schema = models_json_schema(models, ref_template="#/$defs/{model}")
    sections = {name: references[model, "validation"] for name, model in SECTIONS.items()}
    schema |= {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "params.yaml of childgait",
        "type": "object",
        "properties": {"preset": {"type": "string", "description": "name of the last preset"}, **sections},
        "required": ["preset", *SECTIONS],
        "additionalProperties": False,
    }
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    text, changed = with_remarks(PARAMS.read_text(encoding="utf-8"))
    schema = schema_text()
    if not SCHEMA.exists() or SCHEMA.read_text(encoding="utf-8") != schema:
        if "--write" in sys.argv[1:]:
            SCHEMA.write_text(schema, encoding="utf-8")
            print(f"wrote {SCHEMA.name}")
        else:
            changed.append(SCHEMA.name)
    if changed and "--write" in sys.argv[1:]:
        PARAMS.write_text(text, encoding="utf-8")
        print(f"params.yaml: wrote {len(changed)} remark(s)")
        return 0
    if changed:
        print(f"params.yaml: the remarks of {', '.join(changed)} differ from params.py. Hint: run `make remarks`.")
    return int(bool(changed))


if __name__ == "__main__":
    sys.exit(main())
