"""Reads files that people write or deliver: strictly, up to stated sizes, with one sentence for every malformed file.

`read_bytes` and `read_text` refuse what is no regular file (a FIFO would block for ever) and files above a limit.
`parse_json`, `parse_yaml` and `read_rows` refuse what the standard readers accept in silence: a key or a column that
occurs twice, an open quotation mark, a row of another length, endless nesting, numbers of thousands of digits.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
import reprlib
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from childgait.errors import StepError

LARGEST_TEXT = 32 << 20  # bytes of a table, labels.json or params.yaml
LARGEST_PARAMS = 1 << 20  # bytes of params.yaml and of a preset
LONGEST_NUMBER = 30  # characters of a number
LONGEST_FIELD = 10_000  # characters of a field of a table
DEEPEST_YAML = 20  # levels of nesting; params.yaml has four
_NUMBER = re.compile(r"[-+]?([0-9]{1,12}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][-+]?[0-9]{1,3})?")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlong = 40


def shorten(value: object) -> str:
    """Format a value for a message: at most a few entries, levels and characters of it."""
    return _SHORT.repr(value)


def shorten_error(error: BaseException) -> str:
    """Format the message of another library's exception: one line of at most 200 characters."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def mask(name: str) -> str:
    """Format a name that may be a person's: its first letter and its length, so that logs do not keep it."""
    return f"{name[:1]}… ({len(name)} characters)"


# --- bytes and text


def check_regular(path: Path) -> os.stat_result:
    """Fail unless the path leads to a regular file; opens nothing."""
    state = path.stat()
    _refuse_other_kinds(path, state.st_mode)
    return state


def _refuse_other_kinds(path: Path, mode: int) -> None:
    kind = next((words for is_kind, words in _KINDS if is_kind(mode)), None)
    if kind is not None:
        raise StepError(f"{path} is {kind}, not a file", hint="replace it by the file itself")


def read_bytes(path: Path, limit: int = LARGEST_TEXT) -> bytes:
    """Read a regular file of at most `limit` bytes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO without a writer opens at once
    with os.fdopen(descriptor, "rb") as stream:
        _refuse_other_kinds(path, os.fstat(descriptor).st_mode)
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise StepError(
            f"{path} is larger than {limit >> 20} MB", hint="check that it is the file it should be, and not another"
        )
    return content


def read_text(path: Path, limit: int = LARGEST_TEXT) -> str:
    """Read a text file in UTF-8, with or without the byte order mark that spreadsheets write."""
    content = read_bytes(path, limit)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StepError(
            f"{path} is not text in UTF-8 (byte {error.start})",
            hint='save it as "CSV UTF-8" in the spreadsheet, or as UTF-8',
        ) from None
    if "\0" in text:
        raise StepError(f"{path} contains a zero byte", hint="save it as plain text in UTF-8")
    return text


def parse_number(text: str) -> float:
    """Parse a decimal number as people write it; NaN for anything else, such as 1_0, ٨, 0x10 or inf."""
    return float(text) if _NUMBER.fullmatch(text.strip()) else math.nan


# --- JSON


def parse_json(content: bytes, where: str, *, nan: bool = False, hint: str = "correct the file at that place") -> Any:
    """Parse JSON; `where` names it in messages, `nan` accepts NaN and Infinity, which JSON does not have."""

    def constant(name: str) -> float:
        if not nan:
            raise ValueError(f"{name} is no number of JSON")
        return float(name)

    try:
        text = content.decode(json.detect_encoding(content))
        value = json.loads(text, object_pairs_hook=_unique_keys, parse_int=_parse_int, parse_constant=constant)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()  # fails on half a character
    except RecursionError:
        raise StepError(f"{where} is nested too deeply", hint=hint) from None
    except UnicodeError:
        raise StepError(f"{where} is not JSON (text that is not UTF-8)", hint=hint) from None
    except ValueError as error:
        raise StepError(f"{where} is not JSON ({error})", hint=hint) from None
    return value


def _parse_int(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {shorten(twice)} stands twice in one object")
    return mapping


def read_json(path: Path, *, hint: str = "correct the file at that place", limit: int = LARGEST_TEXT) -> Any:
    """Read and parse a JSON file."""
    return parse_json(read_bytes(path, limit), str(path), hint=hint)


def read_model_config(folder: Path) -> dict[str, Any]:
    """Read the config.json of a model folder that transformers wrote; empty if there is none."""
    path = folder / "config.json"
    hint = "copy the model's folder again"
    values = read_json(path, hint=hint) if path.is_file() else {}
    if not isinstance(values, dict):
        raise StepError(f"{path} contains no configuration", hint=hint)
    return values


def read_facts(path: Path, *keys: str) -> dict[str, object]:
    """Read the JSON object that an earlier step wrote; fail unless it has these keys."""
    hint = "run the step that makes it again"
    facts = read_json(path, hint=hint)
    if not isinstance(facts, dict) or any(key not in facts for key in keys):
        raise StepError(f"{path} lacks {' and '.join(keys)}", hint=hint)
    return facts


# --- YAML


def parse_yaml(text: str, where: str) -> Any:
    """Parse YAML of plain values: no alias, no key twice, no deep nesting."""
    import yaml

    try:
        return yaml.load(text, Loader=_strict_loader())
    except yaml.YAMLError as error:
        raise StepError(
            f"{where} is not YAML: {' '.join(str(error).split())[:300]}", hint="correct that line"
        ) from None
    except (ValueError, OverflowError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise StepError(f"{where} contains a value that cannot be read ({reason})", hint="correct that value") from None


def _strict_loader() -> type:
    import yaml

    class StrictLoader(yaml.SafeLoader):
        """SafeLoader that refuses aliases (a few lines of them fill the memory), keys given twice and deep nesting."""

        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.composer.ComposerError(
                    None, None, "an alias (*name) is not read: write the value out", self.peek_event().start_mark
                )
            if self.depth >= DEEPEST_YAML:
                raise yaml.composer.ComposerError(
                    None, None, f"nested more than {DEEPEST_YAML} levels deep", self.peek_event().start_mark
                )
            self.depth += 1
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            names: set[str] = set()
            for key, _ in node.value:
                if key.value in names if isinstance(key.value, str) else False:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {shorten(key.value)} stands twice", key.start_mark
                    )
                names.add(str(key.value)[:1000])
            return super().construct_mapping(node, deep)

        def construct_yaml_int(self, node: Any) -> int:
            if len(str(node.value)) > LONGEST_NUMBER:
                raise yaml.constructor.ConstructorError(None, None, "a number of too many digits", node.start_mark)
            return int(super().construct_yaml_int(node))

    StrictLoader.add_constructor("tag:yaml.org,2002:int", StrictLoader.construct_yaml_int)
    return StrictLoader


# --- tables


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines of a text file that are not blank, with their numbers from 1."""
    lines = re.split(r"\r\n|\r|\n", read_text(path))  # str.splitlines also splits at other characters
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def read_rows(
    path: Path, columns: Sequence[str], aliases: Mapping[str, str] | None = None
) -> list[tuple[int, dict[str, str]]]:
    """Return every row of a CSV file with its line number; `columns` are required, `aliases` are other names of them.

    A line is a row: a field cannot contain a newline, so that an open quotation mark swallows no further row. A line
    that begins with # is a comment.
    """
    numbered = [(number, line) for number, line in read_lines(path) if not line.startswith("#")]
    header = [(aliases or {}).get(name, name) for name in parse_line(path, *numbered[0])] if numbered else []
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise StepError(f"{path} has the column {shorten(twice[0])} twice", hint="keep one of them")
    if missing := [name for name in columns if name not in header]:
        raise StepError(
            f"{path} lacks the column(s) {', '.join(missing)}",
            hint=f"its first line is {', '.join(columns)}, separated by commas (a spreadsheet may write semicolons)",
        )
    rows = []
    for number, line in numbered[1:]:
        values = parse_line(path, number, line)
        if not values:
            continue
        if len(values) != len(header):
            raise StepError(
                f"{path}, line {number}: has more or fewer values than columns ({len(values)}, not {len(header)})",
                hint='put a text that contains a comma into quotes: "…"',
            )
        rows.append((number, dict(zip(header, values, strict=True))))
    return rows


def parse_line(path: Path, number: int, line: str) -> list[str]:
    """Parse one line of CSV."""
    try:
        values = next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        what = "an open quotation mark" if "unexpected end" in str(error) else str(error)
        raise StepError(
            f"{path}, line {number}: cannot be read as CSV ({what})",
            hint='close the quotation mark in the same line; write a quotation mark within a text twice: ""',
        ) from None
    if longest := next((value for value in values if len(value) > LONGEST_FIELD), None):
        raise StepError(
            f"{path}, line {number}: a field has {len(longest):,} characters, more than {LONGEST_FIELD:,}",
            hint="a quotation mark may be missing",
        )
    return values
