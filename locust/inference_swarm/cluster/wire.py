"""The parts of every message between master and workers: checked values, and the way to and from plain ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from inference_swarm.config.documents import in_utf8
from inference_swarm.errors import ProtocolError

PROTOCOL_VERSION = 6

MAX_LIST = 1_000_000
MAX_TEXT = 8192
MAX_NUMBER = 1 << 26  # of blocks, and of rows in a block: what a range may make us allocate


def from_list(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _ascending(ranges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    end = -1
    for first, after in ranges:
        if not max(end, 0) <= first < after:
            raise ValueError(f"range {first}:{after} after {end} is empty or out of order")
        end = after
    if end > MAX_NUMBER:
        raise ValueError(f"{end} is more than any block or row number")
    return ranges


Count = Annotated[int, Field(strict=True, ge=0, lt=1 << 63)]
Generation = Annotated[int, Field(strict=True, ge=-1, lt=1 << 63)]
Nanoseconds = Annotated[int, Field(strict=True, ge=-(1 << 62), lt=1 << 62)]
Version = Annotated[int, Field(strict=True, ge=-(1 << 63), lt=1 << 63)]
Positive = Annotated[int, Field(strict=True, ge=1, lt=1 << 63)]
Flag = Annotated[bool, Field(strict=True)]
Amount = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Text = Annotated[str, Field(strict=True, max_length=MAX_TEXT)]
Name = Annotated[str, Field(strict=True, min_length=1, max_length=256)]
Label = Annotated[str, Field(strict=True, max_length=256)]
Span = Annotated[tuple[Count, Count], BeforeValidator(from_list)]
Ranges = Annotated[tuple[Span, ...], BeforeValidator(from_list), AfterValidator(_ascending), Field(max_length=MAX_LIST)]
Indexes = Annotated[tuple[Count, ...], BeforeValidator(from_list), Field(max_length=1024)]
Instants = Annotated[tuple[Count, ...], BeforeValidator(from_list), Field(max_length=1000)]
Users = Annotated[dict[Name, Count], Field(max_length=1000)]
Wire = dict[str, Any]  # plain values as msgpack carries them, checked by the module whose value it is


def ranges_of(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return ascending numbers as (first, after the last) runs: how blocks travel."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number:
            ranges[-1] = (ranges[-1][0], number + 1)
        else:
            ranges.append((number, number + 1))
    return tuple(ranges)


def numbers_in(ranges: Iterable[tuple[int, int]]) -> list[int]:
    """Return the numbers in runs, the reverse of `ranges_of`."""
    return [number for first, after in ranges for number in range(first, after)]


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """Return the text as a message can carry it: in UTF-8, and cut to a length."""
    text = in_utf8(text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


class Message:
    """Base of all messages; `type` is the name under which the channel carries it."""

    type: ClassVar[str]
    __slots__ = ()

    def to_wire(self) -> Wire:
        """Return plain values for msgpack."""
        return _plain_fields(self)

    @classmethod
    def from_wire(cls, wire: object) -> Self:
        """Read a message from outside. ProtocolError names the first fields that are wrong, never their values."""
        try:
            value: Self = _adapter(cls).validate_python(wire)
        except ValidationError as error:
            problems = "; ".join(f"{_place(problem['loc'])}: {problem['msg']}" for problem in error.errors()[:3])
            raise ProtocolError(
                f"A {cls.type} message cannot be used ({problems[:500]}).",
                expected=f"what docs/protocol.md describes, in version {PROTOCOL_VERSION}.",
                action="run the same release of the swarm on the master and on all workers.",
            ) from error
        return value


EXACT: ConfigDict = ConfigDict(extra="forbid", hide_input_in_errors=True)


_ADAPTERS: dict[type[Message], TypeAdapter[Any]] = {}


def _adapter(kind: type[Message]) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def _plain(value: Any) -> Any:
    if isinstance(value, AS_THEY_ARE):
        return value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return _plain_fields(value) if is_dataclass(value) else value


def _plain_fields(value: Any) -> Wire:
    names = _NAMES.get(type(value))
    if names is None:
        names = _NAMES[type(value)] = tuple(spec.name for spec in fields(value))
    return {name: _plain(getattr(value, name)) for name in names}


AS_THEY_ARE = (int, float, str, bytes, dict, NoneType)
_NAMES: dict[type, tuple[str, ...]] = {}  # of the fields of each dataclass: to ask for them takes longer than all else


def _place(location: tuple[int | str, ...]) -> str:
    """Return the place in the message; a name that cannot be ours is escaped, as it goes to the log."""
    parts = (
        str(part) if str(part).isalnum() or str(part).isidentifier() else ascii(part)[:60] for part in location[:4]
    )
    return ".".join(parts) or "message"
