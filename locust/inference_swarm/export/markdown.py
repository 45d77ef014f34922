"""A run as Markdown, for the summary of a pipeline's job: a summary in, text out. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from inference_swarm.config.documents import ReadDocument
from inference_swarm.export.ab import HEADERS, ab_rows
from inference_swarm.export.formats import format_rate, format_seconds, format_us, self_check_sentences
from inference_swarm.export.terminal import PERCENTILE_WORDS, failure_words, load_words, request_words

MAX_FAILURES = 5
_SPECIAL = re.compile(r"[&<>@|`*_\[\]#\\~]")


def markdown_summary(summary: ReadDocument) -> str:
    """Return a heading, the verdict with its reasons, and tables of times and objectives."""
    parts = [
        f"### {_cell(summary['run'])}: {summary['verdict']}",
        "\n".join(f"- {_cell(reason)}" for reason in summary["reasons"]),
        f"{format_seconds(summary['duration_s'])} at {_cell(load_words(summary))}. "
        f"Rate {format_rate(summary['rate_rps'])}/s; requests {_cell(request_words(summary))}",
        _table(["", *PERCENTILE_WORDS.values()], _latency_rows(summary)),
        _ab(summary.get("ab")),
        _objectives(summary["objectives"]),
        "\n".join(f"- {_cell(failure_words(failure))}" for failure in summary["failed"][:MAX_FAILURES]),
        "\n".join(f"- {_cell(sentence)}" for sentence in (summary.get("answers") or {}).get("sentences", ())),
        "\n".join(f"- {_cell(sentence)}" for sentence in self_check_sentences(summary["self_check"])),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _latency_rows(summary: ReadDocument) -> Iterable[Sequence[str]]:
    kinds = [("latency", "latency_us")] + ([("service", "service_us")] if summary["arrivals"] else [])
    kinds += [("failed", "failed_latency_us")] if summary["failures"] else []
    for label, key in kinds:
        yield [label, *(format_us(summary[key][name]) for name in PERCENTILE_WORDS)]


def _ab(ab: ReadDocument | None) -> str:
    return "" if ab is None else f"{_cell(ab['sentence'])}.\n\n{_table(HEADERS, ab_rows(ab))}"


def _objectives(results: Sequence[ReadDocument]) -> str:
    if not results:
        return ""
    rows = [[result["objective"], result["outcome"], result["measured_text"], result["note"]] for result in results]
    return _table(["objective", "result", "measured", ""], rows)


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    """Text of a server or a user: nothing in it makes a table, a link, HTML or a mention."""
    return " ".join(_SPECIAL.sub(lambda found: f"&#{ord(found[0])};", text).split())
