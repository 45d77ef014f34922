"""Described files in, their distinct schemas out, each with the first file that has it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from inference_swarm.config.redaction import without_secrets
from inference_swarm.data.data_files import Description
from inference_swarm.errors import DataError


@dataclass(frozen=True, slots=True)
class FileSchema:
    """A schema that some files have: its types by name, the first of the files, and how many they are."""

    schema: pa.Schema
    types: Mapping[str, pa.DataType]
    location: str
    count: int


def check_related(schemas: Sequence[FileSchema]) -> None:
    """Raise DataError for a file that has no column in common with any other: it is of another dataset."""
    counts = Counter(name for each in schemas for name in each.types)
    for number, each in enumerate(schemas):
        if len(schemas) > 1 and each.types and all(counts[name] == 1 for name in each.types):
            other = schemas[0 if number else 1]
            raise DataError(
                f"{each.location} has no column in common with any other file, such as {other.location}.",
                expected="the files of one dataset.",
                action="name only those that belong together.",
            )


def distinct_schemas(descriptions: Sequence[Description]) -> list[FileSchema]:
    """Return distinct schemas, ignoring metadata: pandas writes the number of rows into it, which differs by file."""
    found: list[FileSchema] = []
    for description in descriptions:
        for number in range(len(found) - 1, -1, -1):
            if found[number].schema.equals(description.schema, check_metadata=False):
                found[number] = replace(found[number], count=found[number].count + 1)
                break
        else:
            location = without_secrets(description.file.location)
            types = dict(zip(description.schema.names, description.schema.types, strict=True))
            found.append(FileSchema(description.schema, types, location, 1))
    return found
