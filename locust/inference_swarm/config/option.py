"""What is known of one setting: name, flag, environment variable, key in config.json, value type, default, help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inference_swarm.config.value_types import ValueType


@dataclass(frozen=True, slots=True)
class Option:
    """One setting. `locust_dest` is set for those that Locust itself defines; we only give them defaults."""

    name: str
    flag: str
    env: str
    json_key: str
    value_type: ValueType
    default: Any
    help: str
    locust_dest: str | None = None
    choices: tuple[str, ...] | None = None
    in_start_form: bool = True
    joined_with: str | None = None
    """The flag may be given several times; this text joins its values."""
    is_secret: bool = False
    """The text after the first colon of each line is left out of every record and output."""
    holds_locations: bool = False
    """The values are paths and URLs: credentials and queries of URLs are left out of every record and output."""

    hides_query: bool = False
    """The value is a URL or a path: its query is left out of every record and output."""

    @property
    def dest(self) -> str:
        """The attribute of the parsed options."""
        return self.locust_dest or self.name
