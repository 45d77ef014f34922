"""A JSONPath in, a function that finds its nodes in a document out. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from inference_swarm.errors import SettingProblem


@dataclass(frozen=True, slots=True)
class Path:
    """A JSONPath."""

    find: Callable[[Any], list[Any]]
    """Takes a parsed JSON document; returns the values that the path selects.

    Raises RecursionError for a document that is nested too deeply (`$..`: 100 levels).
    """
    is_single: bool
    """Whether it leads to one place at most, as without wildcards, slices, filters and `..`."""


def nodes_of(path: str) -> Path:
    """Return a JSONPath of RFC 9535, without what the library adds to it. Raises SettingProblem."""
    import jsonpath  # here, since it takes 2 MB in each worker and few need it
    from jsonpath.exceptions import JSONPathRecursionError

    try:
        compiled = jsonpath.JSONPathEnvironment(strict=True).compile(path)
    except jsonpath.JSONPathError as error:
        reason = str(error.args[0]) if error.args else type(error).__name__  # `str` of it fails at the path's end
        raise SettingProblem(
            f"--predictions is {path!r}, which is not a JSONPath ({reason})",
            expected="a JSONPath (RFC 9535) such as $.predictions[*] or $.result.scores",
            action="correct --predictions",
        ) from error

    def find(document: Any) -> list[Any]:
        if isinstance(document, str):  # which the library would parse, and raise for one that only looks like JSON
            return [document] if compiled.findall(0) else []
        try:
            found: list[Any] = compiled.findall(document)
        except JSONPathRecursionError as error:
            raise RecursionError(str(error)) from error
        return found

    return Path(find, isinstance(compiled, jsonpath.JSONPath) and compiled.singular_query())
