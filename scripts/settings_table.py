"""Writes docs/settings.md from the table of settings; `--check` fails when the file is out of date."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "locust"))

from inference_swarm.config.options import OPTIONS  # noqa: E402

HEAD = """# Settings

Made from `locust/inference_swarm/config/options.py` by `scripts/settings_table.py`.

Precedence, lowest first: built-in default, `locust/config.json` (another file: `SWARM_CONFIG=FILE`), environment,
command line, start form of the web UI. `scripts/start.sh locust --print-settings` shows every value and where
it came from. All of Locust's own options work as well. `WORKERS` sets the number of worker processes on this machine
(default: one per core, fewer under a CPU quota).

| command line | environment | config.json | default | meaning |
| --- | --- | --- | --- | --- |
"""


def settings_page() -> str:
    """The whole page."""
    rows = []
    for option in OPTIONS:
        default = "" if option.default in (None, "") else f"`{option.default}`"
        meaning = option.help.replace("|", "\\|")
        rows.append(f"| `{option.flag}` | `{option.env}` | `{option.json_key}` | {default} | {meaning} |")
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    page = ROOT / "docs" / "settings.md"
    if "--check" in sys.argv:
        if not page.exists() or page.read_text(encoding="utf-8") != settings_page():
            print("docs/settings.md is out of date: run python scripts/settings_table.py", file=sys.stderr)
            sys.exit(1)
        print("docs/settings.md is up to date")
    else:
        page.write_text(settings_page(), encoding="utf-8")
