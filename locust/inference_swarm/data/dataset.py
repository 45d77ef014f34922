"""A data source in, its manifest out: the columns of all files, their types, and a line for all that was decided.

Reads footers, and of parquet only such columns as do not say what they hold. Text files are read once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pyarrow as pa

from inference_swarm.config.redaction import locations_without_secrets, without_secrets
from inference_swarm.data.arrow_types import (
    extension_name,
    holds_binary,
    lost_meaning,
    makes_doubles,
    plain_type,
    text_type,
    unify_types,
    with_nulls_noted,
    with_timestamp_unit,
)
from inference_swarm.data.columns import ColumnChoice, index_columns, index_note
from inference_swarm.data.conform import check_castable, does_not_fit
from inference_swarm.data.data_files import DataFile
from inference_swarm.data.examine import examine
from inference_swarm.data.file_schemas import check_related, distinct_schemas
from inference_swarm.data.json_rows import check_encodable
from inference_swarm.data.manifest import BLOCK_ROWS, Columns, Manifest
from inference_swarm.data.notes import Notes
from inference_swarm.data.partitions import partition_fields, partition_texts, partition_values
from inference_swarm.data.probe import BinaryProbe, Int96Probe
from inference_swarm.data.readers import describe_file
from inference_swarm.data.sources import Listing, list_files
from inference_swarm.errors import DataError

_EVERYTHING = ColumnChoice()
_KNOWN_EXTENSIONS = ("arrow.uuid", "arrow.json", "arrow.bool8", "arrow.fixed_shape_tensor")
_REFUSED_EXTENSIONS = ("pandas.period",)  # months, say, as their number since 1970
_GEOMETRIES = ("geoarrow.wkb", "ogc.wkb")


def read_manifest(
    source: str,
    label_source: str | None = None,
    block_rows: int = BLOCK_ROWS,
    choice: ColumnChoice = _EVERYTHING,
    *,
    are_labels_used: bool = True,
    are_labels_needed: bool | None = None,
) -> Manifest:
    """Read the manifest of all files of a source. DataError says what is wrong with which file.

    Unused labels are read too, since a problem with them may be one of the rows; but it is only noted, as it is with
    labels that are used but not needed. Without `are_labels_needed` what is used is needed.
    """
    files = _Files(list_files(source), locations_without_secrets(source))
    columns = files.choose(choice)
    rows = sum(file.rows for file in files.data_files(()))
    if rows == 0:
        raise DataError(
            f"{files.shown} has no rows.",
            expected="at least one row to send.",
            action="make the data again, or name another file.",
        )
    instant = files.instant(choice.resolve(files.names).instant) if choice.instant else None
    data_files, notes = files.data_files(columns.partitions), files.notes.lines()
    manifest = Manifest(data_files, columns, block_rows, (), notes, instant_field=instant)
    if label_source is None:
        return manifest
    if choice.label:
        raise DataError(
            f"There are two sources of labels: the column {choice.label!r} and the file {label_source!r}.",
            expected="--label-column or --labels.",
            action="leave one of them out.",
        )
    try:
        labels, label_field = _read_labels(label_source, files, rows)
    except DataError as error:
        if are_labels_used if are_labels_needed is None else are_labels_needed:
            raise
        return replace(manifest, notes=(*manifest.notes, f"labels are not used: {error.found}"))
    if not are_labels_used:
        return manifest
    return replace(manifest, columns=replace(columns, label=label_field), labels=labels)


def _read_labels(source: str, features: _Files, rows: int) -> tuple[tuple[DataFile, ...], pa.Field]:
    try:
        labels = _Files(list_files(source), locations_without_secrets(source))
    except DataError as error:
        if source in features.names:
            raise DataError(
                f"--labels is {source!r}, which is a column and not a file.",
                expected="a file with the labels alone; a column of the data has an option of its own.",
                action=f"use --label-column {source}",
            ) from error
        raise
    columns = labels.choose(_EVERYTHING)
    files = labels.data_files(columns.partitions)
    label_rows = sum(file.rows for file in files)
    if len(columns.schema) != 1:
        raise DataError(
            f"{labels.shown} has {len(columns.schema)} columns: {', '.join(columns.schema.names)}.",
            expected="one column with the label of each row.",
            action="write the label column alone.",
        )
    if label_rows != rows:
        raise DataError(
            f"{labels.shown} has {label_rows} rows, {features.shown} has {rows}.",
            expected="one label for each row, in the same order.",
            action="make both files from the same split.",
        )
    return files, columns.read[0]


class _Files:
    """The files of one source, described."""

    def __init__(self, listing: Listing, shown: str) -> None:
        self._descriptions = [describe_file(found) for found in listing.files]
        self._partition_texts = [partition_texts(found.partition_path) for found in listing.files]
        self._schemas = distinct_schemas(self._descriptions)
        check_related(self._schemas)
        first = without_secrets(listing.files[0].location)
        self.shown = first if len(listing.files) == 1 else f"{first} and {len(listing.files) - 1} more"
        self._source = shown
        self.notes = Notes(shown, listing.notes)
        self._bytes: dict[str, BinaryProbe] = {}
        self._instants: dict[str, Int96Probe] = {}
        self._int96 = frozenset().union(*(description.int96 for description in self._descriptions))
        self._encoded = {name: kind for each in self._descriptions for name, kind in each.encoded.items()}
        for each in self._schemas:
            self._encoded |= {field.name: "WKB" for field in each.schema if extension_name(field) in _GEOMETRIES}
        self._refused = {
            name: (without_secrets(description.file.location), kind)
            for description in self._descriptions
            for name, kind in description.refused.items()
        }
        counts: Counter[str] = Counter()
        for each in self._schemas:
            counts |= Counter(each.schema.names)
        self._partitions = [field for field in partition_fields(self._partition_texts) if field.name not in counts]
        self._partition_types = {field.name: field.type for field in self._partitions}
        # A name stands here as often as in the file that has it most often.
        self.names = [*counts.elements(), *(field.name for field in self._partitions)]

    def data_files(self, partitions: Sequence[str]) -> tuple[DataFile, ...]:
        """The files with their values of these partitions."""
        fields = [field for field in self._partitions if field.name in partitions]
        return tuple(
            replace(description.file, partition=partition_values(texts, fields))
            for description, texts in zip(self._descriptions, self._partition_texts, strict=True)
        )

    def choose(self, choice: ColumnChoice) -> Columns:
        """Return the columns to send, with their types. Decisions are written to `notes`."""
        choice = choice.resolve(self.names)
        index: frozenset[str] = frozenset()
        if not choice.columns:
            index = self._index()
            unsaid = index - choice.left_out
            if unsaid:
                self.notes.add(index_note(unsaid))
        sent = choice.apply(self.names, index, self._source)
        label_names = [choice.label] if choice.label else []
        self._examine(dict.fromkeys((*(column.source for column in sent), *label_names)))
        fields = [self._field(column.source) for column in sent]
        schema = pa.schema([field.with_name(column.name) for field, column in zip(fields, sent, strict=True)])
        check_encodable(schema)
        label = self._field(choice.label) if choice.label else None
        used = {*(column.source for column in sent), *label_names}
        partitions = [field for field in self._partitions if field.name in used]
        if partitions:
            said = ", ".join(f"{field.name} ({field.type})" for field in partitions)
            self.notes.add(f"folders of partitions are sent as columns: {said}")
        return Columns(
            schema,
            tuple(column.source for column in sent),
            tuple(field.name for field in partitions),
            label,
        )

    def instant(self, name: str) -> pa.Field:
        """The column with the instant of each row."""
        if name in self._partition_types:
            raise DataError(
                f"--time-column names {name!r}, which is a folder of {self._source}.",
                expected="a column of the files: rows of one folder would all have one instant.",
                action="name the column with the instants.",
            )
        self._examine((name,))
        return self._field(name)

    def _index(self) -> frozenset[str]:
        found: dict[bytes, frozenset[str]] = {}
        for description in self._descriptions:
            metadata = (description.schema.metadata or {}).get(b"pandas", b"-")
            key = metadata + repr(description.schema.names).encode() if metadata == b"-" else metadata
            if key not in found:
                found[key] = index_columns(description.schema, description.file.location)
        return frozenset().union(*found.values())

    def _field(self, name: str) -> pa.Field:
        if name in self._partition_types:
            return pa.field(name, self._partition_types[name])
        holders = [each for each in self._schemas if name in each.types]
        refused = self._refused.get(name)
        for each in holders:
            extension = extension_name(each.schema.field(name))
            if extension in _REFUSED_EXTENSIONS:
                refused = each.location, extension
            elif extension and extension not in _KNOWN_EXTENSIONS:
                self.notes.add_column(name, f"has the extension type {extension}; what it stores is sent")
            if lost := lost_meaning(each.types[name]):
                refused = each.location, lost
        if refused is not None:
            location, kind = refused
            raise DataError(
                f"Column {name!r} of {location} has the type {kind}, which JSON has no form for.",
                expected="a type that docs/data.md lists.",
                action="leave it out with --drop-columns, or convert it (to seconds, text or lists, say).",
            )
        field = pa.field(name, self._type(name))
        for each in holders:
            check_castable(each.types[name], field, each.location)
        self._check_integers(field)
        if any(name in description.nulls for description in self._descriptions):
            field = with_nulls_noted(field)
        absent = len(self._descriptions) - sum(each.count for each in holders)
        if absent:
            self.notes.add_column(name, f"is missing in {absent} of {len(self._descriptions)} files and is null there")
            field = with_nulls_noted(field)
        return field

    def _check_integers(self, field: pa.Field) -> None:
        """Raise DataError for integers of a text file, which are read as the dataset's doubles and would change."""
        for description in self._descriptions:
            if field.name in description.wide:
                kind = plain_type(description.schema.field(field.name).type)
                if makes_doubles(kind, field.type):
                    raise does_not_fit(field, kind, description.file.location, "integers of 2^53 and more")

    def _examine(self, names: Iterable[str]) -> None:
        """Look into the columns whose types do not say what they hold. DataError for types without a common one."""
        for name in names:
            kinds = self._kinds(name)
            has_bytes = [kind for kind in kinds if holds_binary(kind)]
            if has_bytes:
                unify_types(name, {text_type(kind): location for kind, location in kinds.items()})
                if name not in self._encoded:
                    self._bytes[name] = BinaryProbe(has_bytes[0])
            if name in self._int96:
                self._instants[name] = Int96Probe(next(iter(kinds)))
        examine(self._descriptions, self._bytes, self._instants)

    def _kinds(self, name: str) -> dict[pa.DataType, str]:
        """Return the plain types that the column has, with the first file of each."""
        kinds: dict[pa.DataType, str] = {}
        for each in self._schemas:
            if name in each.types:
                kinds.setdefault(plain_type(each.types[name]), each.location)
        return kinds

    def _type(self, name: str) -> pa.DataType:
        kinds = self._kinds(name)
        has_bytes = next((kind for kind in kinds if holds_binary(kind)), None)
        if has_bytes is not None:
            if name in self._encoded:
                kind, said = has_bytes, f"holds {self._encoded[name]} and is sent in base64"
            else:
                kind, said = self._bytes[name].result()
            self.notes.add_column(name, said)
            kinds = {text_type(each) if not holds_binary(kind) else each: where for each, where in kinds.items()}
            if holds_binary(kind) and len(kinds) == 1:
                return (
                    kind if name not in self._instants else with_timestamp_unit(kind, self._instants[name].unit(name))
                )
        common = unify_types(name, kinds)
        if len(kinds) > 1:
            seen = " and ".join(f"{kind} ({location})" for kind, location in list(kinds.items())[:4])
            self.notes.add_column(name, f"has the types {seen}: it is sent as {common}")
        return common if name not in self._instants else with_timestamp_unit(common, self._instants[name].unit(name))
