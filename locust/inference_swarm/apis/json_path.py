"""A JSONPath in, a function that finds its nodes in a document out. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from inference_swarm.errors import SettingProblem


def nodes_of(path: str) -> Callable[[Any], list[Any]]:
    """Return a function from a parsed JSON document to the values that the path selects. Raises SettingProblem.

    The function raises RecursionError for a document that is nested too deeply (`$..`: 100 levels).
    """
    import jsonpath  # here, since it takes 2 MB in each worker and few need it
    from jsonpath.exceptions import JSONPathRecursionError

    try:
        compiled = jsonpath.compile(path)
    except jsonpath.JSONPathError as error:
        reason = str(error).splitlines()[0]
        raise SettingProblem(
            f"--predictions is {path!r}, which is not a JSONPath ({reason})",
            expected="a JSONPath (RFC 9535) such as $.predictions[*] or $.result.scores",
            action="correct --predictions",
        ) from error

    def find(document: Any) -> list[Any]:
        try:
            found: list[Any] = compiled.findall(document)
        except JSONPathRecursionError as error:
            raise RecursionError(str(error)) from error
        return found

    return find
