"""Names of a dataset's columns in, the columns to send out: which, in which order, under which names. Pure."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from inference_swarm.config.redaction import without_secrets
from inference_swarm.config.value_types import split_names
from inference_swarm.errors import DataError

# What pandas calls the column in which it keeps an index that has no name; the second when it was in a CSV file.
_INDEX_NAME = re.compile(r"__index_level_\d+__|Unnamed: 0(\.\d+)*")


@dataclass(frozen=True, slots=True)
class SentColumn:
    """A column of the files, or of their partitions, and its name in the request."""

    source: str
    name: str


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """The columns that the user asked for; empty: every column that is a feature, under its own name."""

    columns: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    rename: dict[str, str] = field(default_factory=dict)
    label: str = ""
    instant: str = ""
    """The column with the instant of each row; it is not sent unless `columns` names it."""

    @classmethod
    def of_settings(cls, columns: str, drop: str, rename: str, label: str, instant: str = "") -> ColumnChoice:
        """Parse the settings' texts with `split_names`. Raises DataError for a rename without `=`."""
        pairs: dict[str, str] = {}
        for text in split_names(rename):
            old, equals, new = text.partition("=")
            if not equals or not old.strip() or not new.strip():
                raise DataError(
                    f"--rename has {text!r}.", expected="old=new, with commas between several", action="correct it."
                )
            if pairs.setdefault(old.strip(), new.strip()) != new.strip():
                raise DataError(
                    f"--rename names {old.strip()!r} twice, as {pairs[old.strip()]!r} and {new.strip()!r}.",
                    expected="each column once.",
                    action="leave one of them out.",
                )
        return cls(tuple(split_names(columns)), tuple(split_names(drop)), pairs, label, instant)

    @property
    def left_out(self) -> frozenset[str]:
        """Return the columns that the user excluded."""
        instant = () if self.instant in self.columns else (self.instant,)
        return frozenset(name for name in (*self.drop, self.label, *instant) if name)

    def resolve(self, names: Sequence[str]) -> ColumnChoice:
        """Return the same choice with names as the data have them: spaces around one, as in `a, b` of CSV, may lack."""
        counts = Counter(name.strip() for name in names)
        known = {name.strip(): name for name in names if counts[name.strip()] == 1} | {name: name for name in names}
        columns, drop = (tuple(known.get(name, name) for name in some) for some in (self.columns, self.drop))
        rename = {known.get(old, old): new for old, new in self.rename.items()}
        label, instant = (known.get(name, name) for name in (self.label, self.instant))
        return ColumnChoice(columns, drop, rename, label, instant)

    def apply(self, names: Sequence[str], index: Collection[str], source: str) -> tuple[SentColumn, ...]:
        """Return the columns to send. Raises DataError for a missing name, or when nothing is left.

        `index`: those in which pandas stores a frame's index, which `to_dict` does not send either; they are sent only
        if named. The label is not sent.
        """
        self._check_known(names, source)
        if self.columns:
            wanted = list(dict.fromkeys(self.columns))
        else:
            wanted = [name for name in dict.fromkeys(names) if name not in index]
        left_out = self.left_out
        chosen = [SentColumn(name, self.rename.get(name, name)) for name in wanted if name not in left_out]
        occurrences = Counter(names)
        check_columns([column.source for column in chosen for _ in range(occurrences[column.source])], source)
        check_columns([column.name for column in chosen], source)
        return tuple(chosen)

    def _check_known(self, names: Sequence[str], source: str) -> None:
        asked = [("--columns", self.columns), ("--drop-columns", self.drop), ("--rename", tuple(self.rename))]
        known = set(names)
        asked += [("--label-column", (self.label,)), ("--time-column", (self.instant,))]
        for option, wanted in asked:
            for name in filter(None, wanted):
                if name not in known:
                    nearest = difflib.get_close_matches(name, names, n=1)
                    raise DataError(
                        f"{option} names {name!r}, which {source} does not have.",
                        expected=f"one of its columns: {_some(names)}.",
                        action=f"use {nearest[0]!r} if that was meant." if nearest else "correct the name.",
                    )


def check_columns(names: Sequence[str], source: str = "The dataset") -> None:
    """Raise DataError unless a JSON object can hold these columns: at least one, all of different names."""
    if not names:
        raise DataError(
            f"{source} has no columns.",
            expected="at least one feature column, which becomes a key of the JSON body.",
            action="write the file again with the model's feature columns, or correct --columns and --drop-columns.",
        )
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(
            f"{source}: column name {repeated[0]!r} occurs {names.count(repeated[0])} times.",
            expected="every column to have a name of its own; a JSON object has each key once.",
            action="rename or drop the repeated columns (--rename, --drop-columns), or write the file again.",
        )


def index_columns(schema: pa.Schema, location: str) -> frozenset[str]:
    """Return the columns in which pandas stores a frame's index, by its metadata or, without any, by their names.

    DataError for metadata that cannot be read: it is unknown then which columns are features.
    """
    unnamed = {name for name in schema.names if not name or _INDEX_NAME.fullmatch(name)}  # of CSV, it has no name
    text = (schema.metadata or {}).get(b"pandas")
    if text is None:
        return frozenset(unnamed)
    try:
        entries = json.loads(text)["index_columns"]
        named = {entry for entry in entries if isinstance(entry, str)}
        if not isinstance(entries, list) or len(named) + sum(isinstance(entry, dict) for entry in entries) < len(
            entries
        ):
            raise TypeError("index_columns is not a list of names")
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{without_secrets(location)} has pandas metadata that cannot be read ({text[:60]!r}), so it is unknown "
            "which of its columns are an index and not features.",
            expected='JSON with a list "index_columns", or no pandas metadata.',
            action="name the columns to send with --columns, or write the file again.",
        ) from error
    return frozenset((unnamed | named) & set(schema.names))


def index_note(index: Iterable[str]) -> str:
    """Return the note for columns that are left out as an index."""
    return f"{_some(sorted(index))} is the index of a pandas frame and is not sent; --columns would send it"


def _some(names: Sequence[str], limit: int = 20) -> str:
    shown = ", ".join(repr(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
