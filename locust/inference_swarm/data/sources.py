"""A source as users write it (path, folder, glob, URL, several with commas) in; its files, opened for reading, out.

The only module of the stage that knows file systems: everything that can go wrong with a file becomes a DataError here.
"""

from __future__ import annotations

import fnmatch
import glob
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.fs as pafs

from inference_swarm.errors import DataError

_SUFFIXES: Final = (".parquet", ".parq", ".pq")
_PATHS: Final = "a parquet file, a folder of them, a glob, or a URL (s3://, gs://, hdfs://, file://)."


def list_files(source: str) -> list[str]:
    """All files of a source as absolute paths or URLs: in the order given, sorted by name inside a folder or glob.

    Folders are searched with their subfolders for *.parquet; names that begin with `_` or `.` are left out.
    """
    whole = [source] if Path(source).exists() else [part.strip() for part in source.split(",")]
    parts = [part for part in whole if part]
    if not parts:
        raise DataError("The data source is empty.", expected=_PATHS, action="name the file with the rows to send.")
    files = [file for part in parts for file in (_list_url(part) if "://" in part else _list_local(part))]
    for number, file in enumerate(files):
        if file in files[:number]:
            raise DataError(
                f"{without_query(file)} is in the data source twice.",
                expected="every file once; its rows would be sent twice otherwise.",
                action="name it once.",
            )
    return files


def without_query(location: str) -> str:
    """The location for messages and records: a URL's query may hold access keys, and so may its authority."""
    if "://" not in location:
        return location
    scheme, _, rest = location.partition("?")[0].partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


@contextmanager
def open_file(location: str) -> Iterator[pa.NativeFile]:
    """The file for random access. Whatever the file system reports while it is open becomes a DataError."""
    try:
        file_system, path = _resolve(location)
        with file_system.open_input_file(path) as file:
            yield file
    except FileNotFoundError as error:
        raise _missing(location) from error
    except PermissionError as error:
        raise DataError(
            f"{without_query(location)} may not be read by this process ({error.strerror or 'permission denied'}).",
            expected="a file that the user of the master and of the workers may read.",
            action="correct its permissions (chmod a+r), or the credentials for the URL.",
        ) from error
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(location, error) from error


def _list_local(path: str) -> list[str]:
    if glob.has_magic(path) and not Path(path).exists():
        found = [Path(match) for match in sorted(glob.glob(path, recursive=True)) if Path(match).is_file()]
        if not found:
            raise _no_match(path)
        return [str(match.absolute()) for match in found]
    place = Path(path)
    if place.is_dir():
        found = sorted(file for file in place.rglob("*") if file.is_file() and _is_data(str(file.relative_to(place))))
        if not found:
            raise _no_match(path)
        return [str(file.absolute()) for file in found]
    if not place.exists():
        raise _missing(path)
    return [str(place.absolute())]


def _list_url(url: str) -> list[str]:
    location, question_mark, query = url.partition("?")
    has_magic = "*" in location or "[" in location
    # A glob is listed from its last folder without a pattern.
    fixed = location if not has_magic else location[: min(location.find(c) for c in "*[" if c in location)]
    base = fixed if not has_magic else fixed.rpartition("/")[0]
    try:
        file_system, root = _resolve(base + question_mark + query)
        info = file_system.get_file_info(root)
        if info.type == pafs.FileType.File and not has_magic:
            return [url]
        if info.type == pafs.FileType.NotFound:
            raise _missing(url)
        children = file_system.get_file_info(pafs.FileSelector(root, recursive=True))
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(url, error) from error
    prefix = root.rstrip("/") + "/"
    inside = sorted(child.path.removeprefix(prefix) for child in children if child.type == pafs.FileType.File)
    if has_magic:
        pattern = location[len(base) + 1 :].split("/")
        inside = [name for name in inside if _matches(name.split("/"), pattern)]
    else:
        inside = [name for name in inside if _is_data(name)]
    if not inside:
        raise _no_match(url)
    return [f"{base.rstrip('/')}/{name}{question_mark}{query}" for name in inside]


def _matches(names: list[str], patterns: list[str]) -> bool:
    if not patterns:
        return not names
    if patterns[0] == "**":
        return any(_matches(names[skip:], patterns[1:]) for skip in range(len(names) + 1))
    return bool(names) and fnmatch.fnmatchcase(names[0], patterns[0]) and _matches(names[1:], patterns[1:])


def _is_data(relative: str) -> bool:
    return relative.endswith(_SUFFIXES) and not any(part.startswith(("_", ".")) for part in Path(relative).parts)


@lru_cache(maxsize=256)
def _resolve(location: str) -> tuple[pafs.FileSystem, str]:
    if "://" not in location:
        return pafs.LocalFileSystem(), location
    file_system, path = pafs.FileSystem.from_uri(location)
    return file_system, path


def _missing(location: str) -> DataError:
    return DataError(
        f"{without_query(location)} does not exist.",
        expected=_PATHS,
        action="check the spelling, and that the master and every worker see the same storage.",
    )


def _no_match(location: str) -> DataError:
    return DataError(
        f"{without_query(location)} holds no parquet file.",
        expected=f"at least one file whose name ends with {', '.join(_SUFFIXES)} (or that the glob matches).",
        action="check the folder or the glob.",
    )


def _unreadable(location: str, error: Exception) -> DataError:
    return DataError(
        f"{without_query(location)} cannot be read ({str(error).replace(location, without_query(location))}).",
        expected=_PATHS,
        action="check the address, the credentials and that the storage can be reached from here.",
    )
