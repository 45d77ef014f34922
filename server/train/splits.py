"""Splits a dataset into train and test, and keeps the four parts as parquet.

A row of X_test, as strict JSON, is exactly what `POST /invocation` takes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from server.errors import SetupError
from server.train.frames import check_kinds
from server.train.tables import read_parquet

_PARTS = ("X_train", "X_test", "y_train", "y_test")
_ROW_GROUP_ROWS = 256
"""Small on purpose: row groups are what a swarm hands out, and these datasets are small."""
_MAX_CLASSES = 50
_SOURCE, _CLASSES, _POSITIVE = b"source", b"classes", b"positive_label"


@dataclass(frozen=True, slots=True)
class Splits:
    """Features and labels; `classes` in the order of the probabilities, the positive class the last of two.

    `positive` is the label that was named for it, if any.
    """

    dataset: str
    target: str
    classes: tuple[bool | int | float | str, ...]
    positive: str | None
    source: str
    x_train: pd.DataFrame
    x_test: pd.DataFrame
    y_train: pd.Series
    y_test: pd.Series


def make_splits(
    frame: pd.DataFrame,
    *,
    dataset: str,
    target: str,
    drop: tuple[str, ...],
    positive: str | None,
    test_size: float,
    seed: int,
    source: str,
) -> Splits:
    """Drops columns and rows without a label, settles the classes and splits, each class in the same proportion."""
    _check_columns(frame, target, drop)
    frame = frame[frame[target].notna()].reset_index(drop=True)
    labels, classes = _settle_labels(frame[target], positive)
    is_test = _stratified_test_mask(labels, classes, test_size, np.random.default_rng(seed))
    features = frame.drop(columns=[target, *drop])
    if features.shape[1] == 0:
        raise SetupError(
            "No column is left to learn from.",
            expected="at least one besides the target.",
            action="drop fewer with --drop-cols.",
        )
    check_kinds(features)
    return Splits(
        dataset=dataset,
        target=target,
        classes=classes,
        positive=positive,
        source=source,
        x_train=features[~is_test].reset_index(drop=True),
        x_test=features[is_test].reset_index(drop=True),
        y_train=labels[~is_test].reset_index(drop=True),
        y_test=labels[is_test].reset_index(drop=True),
    )


def write_splits(folder: Path, splits: Splits) -> None:
    """Writes the four files; where they come from, and what the labels mean, goes into the parquet metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    notes = {
        _SOURCE: splits.source.encode(),
        _CLASSES: json.dumps(splits.classes).encode(),
        _POSITIVE: json.dumps(splits.positive).encode(),
    }
    parts = (splits.x_train, splits.x_test, splits.y_train.to_frame(), splits.y_test.to_frame())
    for name, part in zip(_PARTS, parts, strict=True):
        table = pa.Table.from_pandas(part, preserve_index=False)
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), **notes})
        beside = folder / f"{name}.part"  # who is stopped here leaves no half of a file behind
        pq.write_table(table, beside, row_group_size=_ROW_GROUP_ROWS)
        beside.replace(folder / f"{name}.parquet")


def read_splits(folder: Path, dataset: str, target: str | None, positive: str | None) -> Splits | None:
    """Splits written before, or None when a part is missing.

    Raises SetupError when they were made for another target or positive label: models of both would lie side by side.
    """
    paths = {name: folder / f"{name}.parquet" for name in _PARTS}
    if not all(path.is_file() for path in paths.values()):
        return None
    frames = {name: read_parquet(path) for name, path in paths.items()}
    own_target = str(frames["y_train"].columns[0])
    if target is not None and target != own_target:
        raise _made_otherwise(folder, "--target", own_target, target)
    y_train, y_test = frames["y_train"][own_target], frames["y_test"][own_target]
    notes = pq.read_schema(paths["X_train"]).metadata or {}
    if _CLASSES in notes:
        classes = tuple(json.loads(notes[_CLASSES]))
        own_positive = json.loads(notes[_POSITIVE])
        if own_positive != positive:
            raise _made_otherwise(folder, "--positive-label", own_positive, positive)
    else:  # made by others, or before the labels were noted
        _, classes = _settle_labels(pd.concat([y_train, y_test]), positive)
    source = notes.get(_SOURCE, f"splits in {folder}".encode()).decode()
    return Splits(dataset, own_target, classes, positive, source, frames["X_train"], frames["X_test"], y_train, y_test)


def _made_otherwise(folder: Path, option: str, found: str | None, wanted: str | None) -> SetupError:
    return SetupError(
        f"The splits in {folder} were made {_with(option, found)}, and --if-missing keeps what is there.",
        expected=f"splits that were made {_with(option, wanted)}.",
        action="leave --if-missing out to make them again, or give them another --name.",
    )


def _with(option: str, value: str | None) -> str:
    return f"without {option}" if value is None else f"with {option} {value}"


def _check_columns(frame: pd.DataFrame, target: str, drop: tuple[str, ...]) -> None:
    known = [str(name) for name in frame.columns]
    for option, names in (("--target", (target,)), ("--drop-cols", drop)):
        missing = [name for name in names if name not in known]
        if missing:
            raise SetupError(
                f"No column '{missing[0]}' ({option}).",
                expected=f"one of {', '.join(known)}.",
                action=f"correct {option}.",
            )
    if target in drop:
        raise SetupError(
            f"The target '{target}' is also in --drop-cols.",
            expected="a target that stays.",
            action="take it out of --drop-cols.",
        )
    if len(set(known)) != len(known):
        twice = next(name for name in known if known.count(name) > 1)
        raise SetupError(
            f"Column '{twice}' is there twice.", expected="every name once.", action="rename one of them in the file."
        )


def _settle_labels(labels: pd.Series, positive: str | None) -> tuple[pd.Series, tuple[bool | int | float | str, ...]]:
    """Sorted classes, the positive one last; with more than two classes, `positive` against all others as 1 and 0."""
    name = labels.name
    present = labels.dropna()
    if not all(isinstance(value, (bool, int, float, str)) for value in present.tolist()):
        raise SetupError(
            f"The target '{name}' has values such as {present.tolist()[0]!r}.",
            expected="numbers, booleans or strings.",
            action="choose another --target.",
        )
    classes = tuple(sorted(present.unique().tolist(), key=lambda value: (isinstance(value, str), value)))
    if not 2 <= len(classes) <= _MAX_CLASSES:
        raise SetupError(
            f"The target '{name}' has {len(classes)} different value{'s' if len(classes) != 1 else ''}.",
            expected=f"2 to {_MAX_CLASSES} classes.",
            action="choose another --target, or make classes of it.",
        )
    if positive is None:
        return labels, classes
    match = [value for value in classes if str(value) == positive]
    if not match:
        raise SetupError(
            f"The target '{name}' never has the value '{positive}' (--positive-label).",
            expected=f"one of {', '.join(map(str, classes))}.",
            action="correct --positive-label.",
        )
    if len(classes) == 2:
        return labels, (*(value for value in classes if value != match[0]), match[0])
    return (labels == match[0]).astype("int64"), (0, 1)


def _stratified_test_mask(
    labels: pd.Series,
    classes: tuple[object, ...],
    test_size: float,
    rng: np.random.Generator,
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    mask = np.zeros(len(labels), dtype=np.bool_)
    for label in classes:
        positions = np.flatnonzero(labels == label)
        if len(positions) < 2:
            raise SetupError(
                f"The class '{label}' of target '{labels.name}' has only {len(positions)} row.",
                expected="at least 2 rows of every class: one to learn from and one to test with.",
                action="give more rows, or join rare classes with --positive-label.",
            )
        count = min(max(1, round(len(positions) * test_size)), len(positions) - 1)
        mask[rng.permutation(positions)[:count]] = True
    return mask
