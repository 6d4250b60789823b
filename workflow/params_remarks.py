"""Write the remark beside each key of params.yaml: its description in src/childgait/params.py.

    python workflow/params_remarks.py            # lists the keys whose remark differs; exit 1 if there are any
    python workflow/params_remarks.py --write    # writes the remarks (`make remarks`)

Values are not touched. Keys below `exclude`, `overrides` and `camera_views` are free and have no remark.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from childgait.commands.preset import align_remark
from childgait.params import descriptions

PARAMS = Path(__file__).resolve().parent.parent / "params.yaml"
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


def main() -> int:
    text, changed = with_remarks(PARAMS.read_text(encoding="utf-8"))
    if changed and "--write" in sys.argv[1:]:
        PARAMS.write_text(text, encoding="utf-8")
        print(f"params.yaml: wrote {len(changed)} remark(s)")
        return 0
    if changed:
        print(f"params.yaml: the remarks of {', '.join(changed)} differ from params.py. Hint: run `make remarks`.")
    return int(bool(changed))


if __name__ == "__main__":
    sys.exit(main())
