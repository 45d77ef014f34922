"""Settings that name a small file in, its text out, which is what workers get: `--stages` and `--template`.

An edge: reads files, on the master alone.
"""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import Final

from inference_swarm.config.settings import Settings
from inference_swarm.errors import SettingProblem
from inference_swarm.load.stage_text import is_stages_text

MAX_FILE_BYTES: Final = 1_000_000
_EXAMPLE_TEMPLATE: Final = 'a file with the JSON of a request, such as {"rows": {{rows}}}'


def _text_of_file(path: Path) -> str:
    """Return the text of a small file, without a byte order mark. Raises OSError, ValueError.

    A pipe or a device could block, or never end.
    """
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise ValueError("it is a folder, a pipe or a device")
    if about.st_size > MAX_FILE_BYTES:
        raise ValueError(f"it has {about.st_size:,} bytes, more than {MAX_FILE_BYTES:,}")
    return path.read_text(encoding="utf-8-sig")


def read_stages_text(given: str) -> str:
    """Return the stages themselves: `given`, or the content of the file it names. Raises SettingProblem."""
    if is_stages_text(given):
        return given
    try:
        return _text_of_file(Path(given))
    except (OSError, ValueError) as error:
        raise SettingProblem(
            f"--stages is {given!r}, which holds no stage and is not a readable file: {error}",
            expected="stages like 30s@500 (hold) or 1m@500..2000 (ramp), or the name of a file with them",
        ) from error


def resolve_template(settings: Settings) -> Settings:
    """Return settings with the text of `--template` instead of a file's name, which workers cannot read.

    Raises SettingProblem.
    """
    if not settings.template or "{{" in settings.template:
        return settings
    try:
        text = _text_of_file(Path(settings.template))
    except (OSError, ValueError) as error:
        raise SettingProblem(
            f"--template is {settings.template!r}, which is not a readable file: {error}",
            expected=_EXAMPLE_TEMPLATE,
            action="correct --template",
        ) from error
    if not text.strip():
        raise SettingProblem(
            f"--template is {settings.template!r}, which is an empty file",
            expected=_EXAMPLE_TEMPLATE,
            action="write the request into it, or correct --template",
        )
    return replace(settings, template=text)
