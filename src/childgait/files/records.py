"""The form of a record (`*.record.json`), which engine/record.py writes and lineage/ reads."""

from __future__ import annotations

from typing import NotRequired, TypedDict, final


@final
class FileEntry(TypedDict):
    """A file in a record, or an input folder as a whole."""

    path: str  # relative to the repository's root
    sha256: str
    bytes: int
    md5: NotRequired[str]  # of raw files, as DVC names them
    files: NotRequired[int]  # number of files in an input folder
    subjects: NotRequired[list[str]]  # children in a table with a column `subject`


@final
class FolderEntry(TypedDict):
    """An output folder with every file in it."""

    path: str
    contents: list[OutputEntry]


OutputEntry = FileEntry | FolderEntry


class Environment(TypedDict):
    """The environment of a job."""

    lock_sha256: str | None
    python: NotRequired[str]  # version of the interpreter; not in records of earlier versions


class Record(TypedDict):
    """Everything that is equal when the same data, params and code run again."""

    step: str
    inputs: dict[str, list[FileEntry]]  # by the step's argument
    outputs: dict[str, list[OutputEntry]]  # by the step's argument
    values: dict[str, object]  # plain arguments
    params: dict[str, dict[str, object]]  # sections of params.yaml
    code: dict[str, str]  # sha256 by source file
    environment: Environment
