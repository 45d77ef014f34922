"""A source as users write it (path, folder, glob, URL, several with commas) in; its files, in their order, out."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import quote

import pyarrow.fs as pafs

from inference_swarm.config.redaction import without_secrets
from inference_swarm.data.data_files import FileKind, FoundFile
from inference_swarm.data.storage import SOURCES, existing, list_folder, list_url, missing, unreadable
from inference_swarm.data.table_formats import ICEBERG_MARKER, ICEBERG_METADATA, check_no_table, markers_above
from inference_swarm.errors import DataError

SUFFIXES: Final = {
    ".parquet": FileKind.PARQUET,
    ".parq": FileKind.PARQUET,
    ".pq": FileKind.PARQUET,
    ".csv": FileKind.CSV,
    ".tsv": FileKind.CSV,
    ".jsonl": FileKind.JSON_LINES,
    ".ndjson": FileKind.JSON_LINES,
    ".json": FileKind.JSON_LINES,
    ".arrow": FileKind.ARROW,
    ".feather": FileKind.ARROW,
    ".ipc": FileKind.ARROW,
}
_OTHER_SPLITS: Final = ("X_train", "y_train", "y_test")
_MAX_NAMED: Final = 3  # in a note; the rest is counted


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a source, and a note for each unexpected decision."""

    files: tuple[FoundFile, ...]
    notes: tuple[str, ...] = ()


def list_files(source: str) -> Listing:
    """All files of a source as absolute paths or URLs: in the order given, sorted by name inside a folder or glob.

    Folders are searched with their subfolders for the files of one format, whatever the case of their suffix. Names
    that begin with `_` or `.` are left out, as all tools do that write folders; `_key=value` is a partition.
    """
    whole = [source] if _is_there(source) else [part.strip() for part in source.split(",")]
    parts = [part for part in whole if part]
    if not parts:
        raise DataError("The data source is empty.", expected=SOURCES, action="name the file with the rows to send.")
    listings = [_list_part(part) for part in parts]
    files = tuple(file for listing in listings for file in listing.files)
    for location, count in Counter(file.location for file in files).items():
        if count > 1:
            raise DataError(
                f"{without_secrets(location)} is in the data source twice.",
                expected="every file once; its rows would be sent twice otherwise.",
                action="name it once.",
            )
    return Listing(files, tuple(note for listing in listings for note in listing.notes))


def kind_of_name(name: str) -> FileKind | None:
    """The format that a file's suffix names."""
    return SUFFIXES.get(PurePosixPath(name).suffix.lower())


def source_name(source: str) -> str:
    """A short name for what a source holds: that of its file or folder, without suffix, pattern, query or secret.

    The X_test.parquet of a dataset has the name of its folder.
    """
    first = without_secrets(source.split(",")[0].strip()).rstrip("/")
    path = first.partition("://")[2] or first
    named = [part for part in path.split("/") if part and not glob.has_magic(part) and part not in (".", "..")]
    while named and "=" in named[-1]:
        named.pop()
    if not named:
        return ""
    last = named[-1]
    stem = last[: -len(PurePosixPath(last).suffix)] if kind_of_name(last) else last
    return named[-2] if stem == "X_test" and len(named) > 1 else stem


def _is_there(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # as several names too long for one, or in a folder that may not be read: said of each
        return False


def _list_part(part: str) -> Listing:
    try:
        return _list_url(part) if "://" in part else _list_local(part)
    except OSError as error:
        raise unreadable(part, error) from error


def _list_local(path: str) -> Listing:
    place = Path(path)
    if glob.has_magic(path) and not place.exists():
        found = sorted(match for match in glob.glob(path, recursive=True) if Path(match).is_file())
        if not found:
            raise _no_match(path)
        for folder in dict.fromkeys(str(Path(match).absolute().parent) for match in found):
            check_no_table(folder, (), _markers(folder))
        return Listing(tuple(FoundFile(str(Path(match).absolute()), match) for match in found))
    if place.is_dir():
        root = place.absolute()
        names = sorted(_walk(root))
        check_no_table(str(root), names, _markers(str(root)))
        chosen, notes = _choose(path, names)
        return Listing(tuple(FoundFile(str(root / name), name) for name in chosen), notes)
    if not place.exists():
        raise missing(path)
    folder = str(place.absolute().parent)
    return Listing((FoundFile(str(place.absolute()), path),), _table_note(path, folder))


def _list_url(url: str) -> Listing:
    location, question_mark, query = url.partition("?")
    query = question_mark + query
    has_magic = "*" in location or "[" in location
    # A glob is listed from its last folder without a pattern.
    fixed = location if not has_magic else location[: min(location.find(c) for c in "*[" if c in location)]
    base = (fixed if not has_magic else fixed.rpartition("/")[0]).rstrip("/")
    info, inside = list_url(base + query)
    if info.type == pafs.FileType.File and not has_magic:
        return Listing((FoundFile(url, location),))
    if info.type == pafs.FileType.NotFound and not has_magic:
        raise missing(url)
    check_no_table(base, inside, _markers(base, query))
    notes: tuple[str, ...] = ()
    if has_magic:
        pattern = location[len(base) + 1 :].split("/")
        inside = [name for name in inside if _matches(name.split("/"), pattern)]
        if not inside:
            raise _no_match(url)
        return Listing(tuple(FoundFile(_url_of(base, name, query), f"{base}/{name}") for name in inside))
    inside, notes = _choose(url, inside)
    return Listing(tuple(FoundFile(_url_of(base, name, query), name) for name in inside), notes)


def _walk(root: Path) -> Iterator[str]:
    """Yield all files below a folder, links followed; a folder that is reached twice is listed once."""
    seen: set[str] = set()
    for folder, inner, names in os.walk(root, onerror=_raise, followlinks=True):
        seen.add(os.path.realpath(folder))
        inner[:] = sorted(name for name in inner if os.path.realpath(os.path.join(folder, name)) not in seen)
        seen.update(os.path.realpath(os.path.join(folder, name)) for name in inner)
        yield from (Path(folder, name).relative_to(root).as_posix() for name in names)


def _raise(error: OSError) -> None:
    raise error


def _markers(folder: str, query: str = "") -> list[str]:
    """Return the markers of tables that exist in a folder or above it, without the query of their URL."""
    found = [marker.removesuffix(query) for marker in existing(marker + query for marker in markers_above(folder))]
    # A catalog names the metadata of an Iceberg table; without one they are known by their suffix.
    places = [marker for marker in markers_above(folder) if marker.endswith(ICEBERG_MARKER)]
    folders = existing(marker.rpartition("/")[0] + query for marker in places)
    tables = [each for each in folders if any(name.endswith(ICEBERG_METADATA) for name in list_folder(each))]
    return found + [each.removesuffix(query) + "/" + ICEBERG_MARKER.rpartition("/")[2] for each in tables]


def _url_of(base: str, name: str, query: str) -> str:
    """The URL of a listed name, which is decoded again when it is opened: the folder `k=a%20b` becomes `k=a%2520b`."""
    return f"{base}/{quote(name, safe='/=+:@,~!$&()*')}{query}"


def _choose(source: str, names: Iterable[str]) -> tuple[list[str], tuple[str, ...]]:
    """Return the files of a folder that hold its rows, and notes about the others."""
    visible: dict[FileKind | None, list[str]] = {}
    hidden: list[str] = []
    for name in names:
        parts = PurePosixPath(name).parts
        kind = kind_of_name(name)
        folders = [part for part in parts[:-1] if "=" not in part]
        if any(part.startswith(("_", ".")) for part in (*folders, parts[-1])):
            if kind is not None and not parts[-1].startswith(("_metadata", "_common_metadata", ".")):
                hidden.append(name)
        elif kind is not None or "." not in parts[-1]:
            visible.setdefault(kind, []).append(name)
    notes: list[str] = []
    shown = without_secrets(source)
    if hidden:
        notes.append(f"{shown}: files whose name or folder begins with _ or . are left out: {_named(hidden)}")
    kinds = [kind for kind in FileKind if kind in visible]
    if not kinds:
        if None not in visible:
            raise _no_match(source)
        return visible[None], (*notes, *_partition_note(source))
    if len(kinds) > 1 and kinds[0] != FileKind.PARQUET:
        raise DataError(
            f"{shown} holds files of {len(kinds)} formats: {', '.join(kinds)}.",
            expected="the files of one dataset, in one format.",
            action=f"name those that are meant, such as {shown}/*.{kinds[0]}",
        )
    chosen = visible[kinds[0]]
    tests = {PurePosixPath(name).parent for name in chosen if PurePosixPath(name).stem == "X_test"}
    splits = [n for n in chosen if PurePosixPath(n).stem in _OTHER_SPLITS and PurePosixPath(n).parent in tests]
    if splits:
        chosen = [name for name in chosen if name not in splits]
        notes.append(f"{shown}: of its splits only X_test is sent, not {_named(splits)}")
    others = [name for kind in kinds[1:] for name in visible[kind]]
    if others:
        notes.append(f"{shown}: only its {kinds[0]} files are sent, not {_named(others)}")
    return chosen, (*notes, *_partition_note(source))


def _partition_note(source: str) -> tuple[str, ...]:
    """Return a note for a folder that is itself a partition of something larger."""
    shown = without_secrets(source).rstrip("/")
    keys = [part for part in shown.split("/") if "=" in part]
    if not keys:
        return ()
    return (f"{shown}: {', '.join(keys)} is above this folder and becomes no column; {shown}/* would make it one",)


def _table_note(path: str, folder: str) -> tuple[str, ...]:
    try:
        check_no_table(folder, (), _markers(folder))
    except DataError as refusal:
        return (f"{path} is sent whole although {refusal.found}",)
    return ()


def _named(names: list[str]) -> str:
    first = ", ".join(names[:_MAX_NAMED])
    return first if len(names) <= _MAX_NAMED else f"{first} and {len(names) - _MAX_NAMED} more"


def _matches(names: list[str], patterns: list[str]) -> bool:
    if not patterns:
        return not names
    if patterns[0] == "**":
        return any(_matches(names[skip:], patterns[1:]) for skip in range(len(names) + 1))
    return bool(names) and fnmatch.fnmatchcase(names[0], patterns[0]) and _matches(names[1:], patterns[1:])


def _no_match(location: str) -> DataError:
    return DataError(
        f"{without_secrets(location)} holds no parquet file, nor one of another format that can be sent.",
        expected=f"at least one file whose name ends with {', '.join(SUFFIXES)} (or that the glob matches).",
        action="check the folder or the glob.",
    )
