"""Locations in, open files and lists of files out: the only module of the stage that knows file systems.

Everything that can go wrong with a file becomes a DataError here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.fs as pafs

from inference_swarm.config.redaction import without_secrets
from inference_swarm.errors import DataError

SOURCES: Final = "a file, a folder of them, a glob, or a URL (s3://, gs://, hdfs://, file://)."
# What a file system may raise: ImportError and ValueError come from those that are looked up by the URL's scheme.
_FAILURES: Final = (OSError, pa.ArrowException, ImportError, ValueError)


@contextmanager
def open_file(location: str) -> Iterator[pa.NativeFile]:
    """The file for random access. Whatever the file system reports while it is open becomes a DataError."""
    if "://" not in location and Path(location).exists() and not Path(location).is_file():
        raise DataError(  # to open a pipe would wait for a writer
            f"{location} is a folder, a pipe or a device.",
            expected="a file, which can be read from any place.",
            action="write the rows to a file first.",
        )
    try:
        file_system, path = _resolve(location)
        with file_system.open_input_file(path) as file:
            yield file
    except FileNotFoundError as error:
        raise missing(location) from error
    except PermissionError as error:
        raise DataError(
            f"{without_secrets(location)} may not be read by this process ({error.strerror or 'permission denied'}).",
            expected="a file that the user of the master and of the workers may read.",
            action="correct its permissions (chmod a+r), or the credentials for the URL.",
        ) from error
    except _FAILURES as error:
        raise unreadable(location, error) from error


def list_url(url: str) -> tuple[pafs.FileInfo, list[str]]:
    """List what is at a URL and, if that is a folder, all files below it, as paths relative to it."""
    try:
        file_system, root = _resolve(url)
        info = file_system.get_file_info(root)
        if info.type != pafs.FileType.Directory:
            return info, []
        children = file_system.get_file_info(pafs.FileSelector(root, recursive=True))
    except _FAILURES as error:
        raise unreadable(url, error) from error
    prefix = root.rstrip("/") + "/"
    return info, sorted(child.path.removeprefix(prefix) for child in children if child.type == pafs.FileType.File)


def existing(locations: Iterable[str]) -> list[str]:
    """Return those of the paths or URLs that exist; all URLs are of one file system."""
    return [location for location in locations if _exists(location)]


def list_folder(location: str) -> list[str]:
    """The names in a folder, given as a path or URL; empty for what is no folder."""
    try:
        file_system, path = _resolve(location)
        if file_system.get_file_info(path).type != pafs.FileType.Directory:
            return []
        return [child.base_name for child in file_system.get_file_info(pafs.FileSelector(path))]
    except _FAILURES as error:
        raise unreadable(location, error) from error


def missing(location: str) -> DataError:
    return DataError(
        f"{without_secrets(location)} does not exist.",
        expected=SOURCES,
        action="check the spelling, and that the master and every worker see the same storage.",
    )


def unreadable(location: str, error: Exception) -> DataError:
    shown = without_secrets(location)
    return DataError(
        f"{shown} cannot be read ({_without_location(str(error), location)}).",
        expected=SOURCES,
        action="check the address, the credentials and that the storage can be reached from here.",
    )


def _without_location(text: str, location: str) -> str:
    """Remove the URL from a library's message, which may repeat it whole or from its scheme on."""
    shown = without_secrets(location)
    text = text.replace(location, shown)
    if shown == location:
        return text
    rest = location.partition("://")[2]
    for secret in (rest, rest.partition("?")[2], rest.partition("?")[0].rpartition("@")[0]):
        if secret:  # a whole word: that of `abfs://c@…` is one letter
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "…", text)
    return text


def _exists(location: str) -> bool:
    if "://" not in location:
        return Path(location).exists()
    try:
        file_system, path = _resolve(location)
        found: bool = file_system.get_file_info(path).type != pafs.FileType.NotFound
    except _FAILURES:
        return False
    return found


@lru_cache(maxsize=256)
def _resolve(location: str) -> tuple[pafs.FileSystem, str]:
    if "://" not in location:
        return pafs.LocalFileSystem(), location
    file_system, path = pafs.FileSystem.from_uri(location)
    return file_system, path
