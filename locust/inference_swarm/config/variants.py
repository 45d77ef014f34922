"""`--ab SETTING=A,B`: one run whose requests alternate between two values of one setting. Pure: text in, variants out.

The first value also takes the place of the setting itself, so that whatever looks at one target finds that of A.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from inference_swarm.errors import SettingProblem

if TYPE_CHECKING:
    from inference_swarm.config.settings import Settings

LABELS: Final = ("A", "B")
SETTINGS: Final[Mapping[str, str]] = {
    "model": "model",
    "model-version": "model_version",
    "path": "path",
    "host": "host",
}
"""What may vary: the word in `--ab`, and the name of the setting."""
EXAMPLE: Final = "model=xgboost,catboost"


@dataclass(frozen=True, slots=True)
class Choice:
    """What `--ab` says."""

    word: str
    values: tuple[str, str]

    @property
    def setting(self) -> str:
        return SETTINGS[self.word]

    @property
    def names(self) -> tuple[str, str]:
        """What statistics call the requests of A and of B; a query, which may hold a key, is left out."""
        one, other = (
            f"{label} {self.word}={value.partition('?')[0]}" for label, value in zip(LABELS, self.values, strict=True)
        )
        return one, other

    @property
    def drift_apart(self) -> bool:
        """Whether A and B are two servers, each with a drift of its own."""
        return self.setting == "host"


@dataclass(frozen=True, slots=True)
class Variant:
    """One side of an A/B run: its name in the statistics, and the settings with its value."""

    name: str
    settings: Settings


def parse_ab(text: str) -> Choice | None:
    """Return what varies; None where nothing does. Raises SettingProblem."""
    if not text:
        return None
    word, equals, rest = text.partition("=")
    word = word.strip().replace("_", "-")
    values = [value.strip() for value in rest.split(",")]
    if word not in SETTINGS or not equals:
        raise SettingProblem(
            f"--ab is {text!r}", expected=f"SETTING=A,B with {', '.join(SETTINGS)}", action=f"e.g. --ab {EXAMPLE}"
        )
    if len(values) != 2 or not all(values):
        raise SettingProblem(
            f"--ab is {text!r}: it has {len([value for value in values if value])} values of {word}",
            expected="two, with a comma between them",
            action=f"e.g. --ab {EXAMPLE}",
        )
    if word == "host" and any("://" not in value for value in values):
        raise SettingProblem(
            f"--ab is {text!r}: a host has no scheme", expected="addresses such as http://127.0.0.1:8000"
        )
    return Choice(word, (values[0], values[1]))


def variants_of(settings: Settings) -> tuple[Variant, ...]:
    """Return A and B, or nothing where no setting varies. Raises SettingProblem."""
    choice = parse_ab(settings.ab)
    if choice is None:
        return ()
    return tuple(
        Variant(name, replace(settings, ab="", **{choice.setting: value}))  # type: ignore[arg-type]
        for name, value in zip(choice.names, choice.values, strict=True)
    )


def hosts_of(settings: Settings) -> tuple[str, ...]:
    """Return every server that the run sends to. Raises SettingProblem."""
    return tuple(dict.fromkeys(one.settings.host or "" for one in variants_of(settings))) or (settings.host or "",)


def model_words(settings: Settings) -> str:
    """Return the model, or both of them where they vary: `xgboost-vs-catboost`."""
    choice = parse_ab(settings.ab)
    return settings.model if choice is None or choice.setting != "model" else "-vs-".join(choice.values)
