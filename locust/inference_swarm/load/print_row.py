"""Settings and the number of a row in, out: the request that it becomes, with those behind it, as text and for curl.

For `--print-row`, the preview of the start form, and the report.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from inference_swarm.apis.table import api_of, request_format
from inference_swarm.config.redaction import without_secrets
from inference_swarm.config.settings import Settings
from inference_swarm.data.blocks import iter_blocks
from inference_swarm.data.json_rows import label_of
from inference_swarm.data.locate import find_source, read_source
from inference_swarm.data.manifest import Manifest
from inference_swarm.errors import DataError
from inference_swarm.transport.request_text import RequestText, show_request
from inference_swarm.transport.target import parse_headers, request_heads, target_of

NO_HOST = "http://SERVER"
_PUBLIC_HEADERS = ("content-type", "accept", "user-agent", "host")
# Of a request in a report: more of it is for --print-row.
MAX_EXAMPLE_ROWS = 1000
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
    count = min(settings.batch_size, manifest.rows - row)
    which = f"row {row:,}" if count == 1 else f"rows {row:,} to {row + count - 1:,}"
    where = f"row {place.row_in_file:,} of {without_secrets(place.location)}"
    lines = [f"{which} of {manifest.rows:,}: {'from ' * (count > 1)}{where}{' on' * (count > 1)}"]
    lines += manifest.notes
    if not settings.host:
        settings = replace(settings, host=NO_HOST)
        lines.append(f"no host is set: {NO_HOST} stands in its place")
    if api_of(settings).metadata:
        lines.append("datatypes are those of the data: a run asks the server for its own")
    shown, labels = request_of_rows(settings, manifest, row, count)
    if labels:
        words = "its label, which is" if count == 1 else "their labels, which are"
        lines.append(f"{words} not sent: {', '.join(map(str, labels))}")
    return Preview(tuple(lines), shown)


def example_request(settings: Settings, manifest: Manifest) -> RequestText:
    """Return the request of the first rows for the record of a run, cut where it is long. Raises as `preview_row`.

    Queries of the host and of `--path` are left out: they may hold a key.
    """
    host, path = (text.partition("?")[0] for text in (settings.host or "", settings.path))
    settings = replace(settings, host=host, path=path)
    shown, _ = request_of_rows(settings, manifest, 0, min(settings.batch_size, manifest.rows, MAX_EXAMPLE_ROWS))
    if len(shown.text) <= MAX_EXAMPLE_CHARACTERS:
        return shown
    return RequestText(f"{shown.text[:MAX_EXAMPLE_CHARACTERS]}… ({len(shown.text):,} characters in all)", "")


def request_of_rows(settings: Settings, manifest: Manifest, row: int, count: int) -> tuple[RequestText, list[object]]:
    """Return the request of rows that follow each other, as a worker would send it, and their labels if there are."""
    row_format = request_format(settings, manifest.schema, settings.batch_size)
    texts: list[bytes] = []
    labels: list[object] = []
    blocks = manifest.blocks
    touched = [block for block in blocks if block.first_row < row + count and row < block.first_row + block.rows]
    for loaded in iter_blocks(manifest, touched):
        first = max(0, row - loaded.block.first_row)
        wanted = min(count - len(texts), loaded.block.rows - first)
        texts += [text for part in row_format.encode(loaded.table.slice(first, wanted)) for text in part.to_pylist()]
        if loaded.labels is not None:
            labels += [label_of(loaded.labels, number) for number in range(first, first + wanted)]
    body = row_format.body_of(texts)
    target, headers = target_of(settings), parse_headers(settings.headers)
    head = request_heads(target, headers, row_format.headers, is_open=row_format.begins_with_headers)(len(body))
    secret = [name for name in headers if name.lower() not in _PUBLIC_HEADERS]
    options = ["--insecure"] if settings.insecure else ["--cacert", settings.ca_file] if settings.ca_file else []
    return show_request(head + body, target.scheme, secret, options), labels
