"""Writes one recording in file formats of gait laboratories: TRC and MOT (OpenSim), COCO keypoints, Excel workbooks.

Pixel coordinates have y downwards from the top left pixel's centre. TRC has y upwards from the picture's bottom, as
OpenSim expects, and z = 0: one camera measures no depth.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from childgait.domain.poses import Poses, Status
from childgait.domain.skeleton import BONES, INDEX, POINTS

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_SHEETS = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"


class CocoImage(TypedDict):
    """One frame of a COCO data set."""

    id: int
    file_name: str
    seconds: float
    width: int
    height: int


class CocoAnnotation(TypedDict):
    """The child in one frame of a COCO data set."""

    id: int
    image_id: int
    category_id: int
    keypoints: list[float]  # x, y and visibility per point
    num_keypoints: int
    scores: list[float]
    bbox: list[float]  # x, y, width, height
    area: float
    iscrowd: int


class CocoCategory(TypedDict):
    """The names and bones of the keypoints of a COCO data set."""

    id: int
    name: str
    supercategory: str
    keypoints: list[str]
    skeleton: list[list[int]]  # pairs of points, counted from 1


class CocoDataset(TypedDict):
    """A COCO keypoint data set."""

    info: dict[str, str]
    images: list[CocoImage]
    annotations: list[CocoAnnotation]
    categories: list[CocoCategory]


def write_trc(path: Path, poses: Poses, rate: float, height: int, metres_per_pixel: float | None) -> None:
    """Write keypoints as markers, in m with a scale, else in px. A missing point has empty cells, as OpenSim reads."""
    scale, unit, digits = (1.0, "px", 3) if metres_per_pixel is None else (metres_per_pixel, "m", 6)
    places = poses.xy.astype(np.float64)
    places[..., 1] = height - 1 - places[..., 1]
    frames, points = poses.score.shape
    keys = "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames"
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{path.name}",
        keys,
        f"{rate:.6f}\t{rate:.6f}\t{frames}\t{points}\t{unit}\t{rate:.6f}\t1\t{frames}",
        "Frame#\tTime\t" + "\t\t\t".join(POINTS) + "\t\t",
        "\t\t" + "\t".join(f"X{n}\tY{n}\tZ{n}" for n in range(1, points + 1)),
        "",
    ]
    for number, (seconds, row) in enumerate(zip(poses.seconds, places * scale, strict=True), 1):
        cells = [f"{x:.{digits}f}\t{y:.{digits}f}\t0" if np.isfinite(x + y) else "\t\t" for x, y in row]
        lines.append(f"{number}\t{seconds:.6f}\t" + "\t".join(cells))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_mot(path: Path, name: str, seconds: Floats, columns: Mapping[str, Floats]) -> None:
    """Write curves over time as an OpenSim motion file, angles in degrees; a missing value is nan."""
    table = np.column_stack([seconds, *columns.values()])
    rows = ["\t".join(f"{value:.6f}" if np.isfinite(value) else "nan" for value in row) for row in table]
    header = [name, "version=1", f"nRows={len(table)}", f"nColumns={table.shape[1]}", "inDegrees=yes", "endheader"]
    path.write_text("\n".join([*header, "\t".join(["time", *columns]), *rows]) + "\n", encoding="utf-8")


def coco_keypoints(video: str, poses: Poses, width: int, height: int) -> CocoDataset:
    """Return a COCO keypoint data set: one image per frame, one annotation per frame in which the child has a point.

    The visibility is 0 for a missing point, 1 for an interpolated one and 2 for a measured or corrected one.
    """
    visibility = np.select([poses.status == Status.MISSING, poses.status == Status.FILLED], [0, 1], 2)
    annotations: list[CocoAnnotation] = []
    for frame, (places, marks, score) in enumerate(zip(poses.xy, visibility, poses.score, strict=True)):
        known = places[marks > 0].astype(np.float64)
        if not len(known):
            continue
        box = [round(float(edge), 3) for edge in (*known.min(axis=0), *np.ptp(known, axis=0))]
        points = np.column_stack([np.where(marks[:, None] > 0, places, 0), marks])
        annotations.append(
            {
                "id": frame + 1,
                "image_id": frame + 1,
                "category_id": 1,
                "keypoints": [round(float(x), 3) if index % 3 < 2 else int(x) for index, x in enumerate(points.flat)],
                "num_keypoints": len(known),
                "scores": [round(float(value), 3) for value in score],
                "bbox": box,
                "area": round(box[2] * box[3], 3),
                "iscrowd": 0,
            }
        )
    images: list[CocoImage] = [
        {
            "id": n + 1,
            "file_name": f"{video}_{n:06d}.png",
            "seconds": round(float(at), 6),
            "width": width,
            "height": height,
        }
        for n, at in enumerate(poses.seconds)
    ]
    skeleton = [[INDEX[first] + 1, INDEX[second] + 1] for first, second in BONES]  # COCO counts from 1 here
    category: CocoCategory = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(POINTS),
        "skeleton": skeleton,
    }
    return {
        "info": {"description": f"keypoints of {video}; (0, 0) is the centre of the top left pixel"},
        "images": images,
        "annotations": annotations,
        "categories": [category],
    }


def write_xlsx(path: Path, tables: Mapping[str, pl.DataFrame]) -> None:
    """Write an Excel workbook with one sheet per table; the same tables give the same bytes."""
    names = list(tables)
    numbers = range(1, len(names) + 1)
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        f'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
        + "".join(
            f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_TYPE}.worksheet+xml"/>' for n in numbers
        )
        + "</Types>",
        "_rels/.rels": _relations({"rId1": ("officeDocument", "xl/workbook.xml")}),
        "xl/workbook.xml": f'<workbook xmlns="{_SHEETS}" xmlns:r="{_OFFICE}"><sheets>'
        + "".join(
            f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="rId{n}"/>'
            for n, name in zip(numbers, names, strict=True)
        )
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": _relations(
            {f"rId{n}": ("worksheet", f"worksheets/sheet{n}.xml") for n in numbers}
        ),
    }
    parts |= {f"xl/worksheets/sheet{n}.xml": _sheet(tables[name]) for n, name in zip(numbers, names, strict=True)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, text in parts.items():
            entry = zipfile.ZipInfo(part)  # dated 1980-01-01
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, _XML + text)


def _relations(targets: Mapping[str, tuple[str, str]]) -> str:
    inner = "".join(
        f'<Relationship Id="{key}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for key, (kind, target) in targets.items()
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{inner}</Relationships>'


def _sheet(table: pl.DataFrame) -> str:
    rows = [table.columns, *table.iter_rows()]
    inner = "".join(f'<row r="{number}">' + "".join(map(_cell, row)) + "</row>" for number, row in enumerate(rows, 1))
    return f'<worksheet xmlns="{_SHEETS}"><sheetData>{inner}</sheetData></worksheet>'


def _cell(value: str | float | None) -> str:
    """Return a cell: a number, a text, or empty for null and NaN, which Excel has no number for."""
    if isinstance(value, str):
        return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return "<c/>" if value is None or not np.isfinite(value) else f"<c><v>{value!r}</v></c>"
