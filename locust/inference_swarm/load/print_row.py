"""Settings and the number of a row in, the request that it becomes out, as text and as a curl command.

For `--print-row`, the preview of the start form, and the report.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from inference_swarm.apis.table import api_of, request_format
from inference_swarm.config.redaction import without_secrets
from inference_swarm.config.settings import Settings
from inference_swarm.data.blocks import iter_blocks
from inference_swarm.data.locate import find_source, read_source
from inference_swarm.data.manifest import Manifest
from inference_swarm.errors import DataError
from inference_swarm.transport.request_text import RequestText, show_request
from inference_swarm.transport.target import parse_headers, request_heads, target_of

NO_HOST = "http://SERVER"
_PUBLIC_HEADERS = ("content-type", "accept", "user-agent", "host")
# Of a request in a report: more of it is for --print-row.
MAX_EXAMPLE_CHARACTERS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Preview:
    """A row's request, and lines about it: where the row is, what was decided about the columns."""

    lines: tuple[str, ...]
    request: RequestText


def print_row(settings: Settings, row: int) -> str:
    """Return what `--print-row` prints. Raises SwarmError as `preview_row`."""
    preview = preview_row(settings, row)
    comments = "\n".join(f"# {line}" for line in preview.lines)
    return f"{comments}\n{preview.request.text}\n\n{preview.request.curl}"


def preview_row(settings: Settings, row: int) -> Preview:
    """Read the data and return the request of a row. Raises SwarmError for unreadable data, or without such a row."""
    manifest = read_source(find_source(settings))
    if not 0 <= row < manifest.rows:
        raise DataError(
            f"There is no row {row:,}: the data has {manifest.rows:,} rows.",
            expected=f"a number from 0 to {manifest.rows - 1:,}",
            action="give one of them",
        )
    place = manifest.place_of(row)
    lines = [f"row {row:,} of {manifest.rows:,}: row {place.row_in_file:,} of {without_secrets(place.location)}"]
    lines += manifest.notes
    if not settings.host:
        settings = replace(settings, host=NO_HOST)
        lines.append(f"no host is set: {NO_HOST} stands in its place")
    if api_of(settings).metadata:
        lines.append("datatypes are those of the data: a run asks the server for its own")
    shown, label = request_of_row(settings, manifest, row)
    if manifest.label_field is not None:
        lines.append(f"its label, which is not sent: {label}")
    return Preview(tuple(lines), shown)


def example_request(settings: Settings, manifest: Manifest) -> RequestText:
    """Return the request of the first row for the record of a run, cut where it is long. Raises as `preview_row`."""
    shown, _ = request_of_row(settings, manifest, 0)
    if len(shown.text) <= MAX_EXAMPLE_CHARACTERS:
        return shown
    return RequestText(f"{shown.text[:MAX_EXAMPLE_CHARACTERS]}… ({len(shown.text):,} characters in all)", "")


def request_of_row(settings: Settings, manifest: Manifest, row: int) -> tuple[RequestText, object]:
    """Return the request of one row, as a worker would send it, and the row's label if there are labels."""
    block = manifest.block_of(row)
    loaded = next(iter_blocks(manifest, [block]))
    number = row - block.first_row
    row_format = request_format(settings, manifest.schema)
    stored: list[bytes] = next(row_format.encode(loaded.table.slice(number, 1))).to_pylist()
    body = row_format.body_of(stored)
    target, headers = target_of(settings), parse_headers(settings.headers)
    head = request_heads(target, headers, row_format.headers)(len(body))
    secret = [name for name in headers if name.lower() not in _PUBLIC_HEADERS]
    options = ["--insecure"] if settings.insecure else ["--cacert", settings.ca_file] if settings.ca_file else []
    label = None if loaded.labels is None else loaded.labels[number].as_py()
    return show_request(head + body, target.scheme, secret, options), label
