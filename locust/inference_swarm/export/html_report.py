"""`--html` in every mode: Locust itself leaves it out when a master with a web UI ends by SIGTERM."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from locust.html import get_html_report, process_html_filename

logger = logging.getLogger(__name__)


def html_page(environment: Any) -> str:
    """Return Locust's page; the host in it is without its query, which may hold a key."""
    host = environment.host
    environment.host = host.partition("?")[0] if host else host
    try:
        page: str = get_html_report(environment, show_download_link=False)  # type: ignore[no-untyped-call]
    finally:
        environment.host = host
    return page


def write_html_at_end(environment: Any) -> None:
    """Write the file when the process is about to end, after the last report has been counted."""
    options = environment.parsed_options
    if not options.html_file:
        return

    def write(**_: object) -> None:
        process_html_filename(options)
        path = Path(options.html_file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html_page(environment), encoding="utf-8")

    environment.events.quit.add_listener(write)
