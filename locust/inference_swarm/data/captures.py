"""The files of a capture in, their manifest out: a row is a recorded request, in the order of the files."""

from __future__ import annotations

import pyarrow as pa

from inference_swarm.config.redaction import locations_without_secrets, without_secrets
from inference_swarm.data.capture_check import Tally
from inference_swarm.data.capture_files import CaptureFile, describe_capture
from inference_swarm.data.capture_formats import CAPTURED
from inference_swarm.data.manifest import BLOCK_ROWS, Columns, Manifest
from inference_swarm.data.sources import list_files
from inference_swarm.data.storage import open_file
from inference_swarm.errors import DataError


def read_capture(source: str, trace_format: str, time_column: str = "", block_rows: int = BLOCK_ROWS) -> Manifest:
    """Read the manifest of a capture: file, folder, glob, URL, several. DataError says what is wrong with which record.

    `time_column` is the column with the instants where the format has another name for it.
    """
    listing, shown = list_files(source), locations_without_secrets(source)
    files: list[CaptureFile] = []
    tally = Tally()
    for found in listing.files:
        with open_file(found.location) as opened:
            files.append(describe_capture(found.location, opened, trace_format, time_column))
        tally.add(files[-1].tally)
    if tally.records == tally.without_body:
        raise DataError(
            f"{shown} has {tally.records:,} records, of which none has the body of its request.",
            expected="at least one request to send.",
            action="name other files; a capture of responses alone (CaptureMode Output) cannot be replayed.",
        )
    return Manifest(
        tuple(each.file for each in files),
        Columns.plain(CAPTURED),
        block_rows,
        notes=(*listing.notes, *tally.notes(shown)),
        instant_field=_common_instant(files),
    )


def _common_instant(files: list[CaptureFile]) -> pa.Field:
    named = [each for each in files if each.instant.name]  # a file of blank lines has no columns
    first = named[0]
    for each in named:
        if each.instant != first.instant:
            here, there = (f"{one.instant.name} ({one.instant.type})" for one in (first, each))
            raise DataError(
                f"{without_secrets(first.file.location)} has its instants in {here}, "
                f"{without_secrets(each.file.location)} in {there}.",
                expected="the files of one capture, with their instants in one column of one type.",
                action="replay them one after the other, or write them again alike.",
            )
    return first.instant
