"""A location that may hold secrets in, the same without them out, for people and records. Pure."""

from __future__ import annotations


def without_secrets(location: str) -> str:
    """The location without its query and without the credentials in front of a host or bucket; a path as it is."""
    if "://" not in location:
        return location
    scheme, _, rest = location.partition("?")[0].partition("://")
    authority, slash, path = rest.partition("/")
    if "@" in rest and _is_key_pair(authority):  # a secret may hold slashes: the last @ ends it
        return f"{scheme}://{rest.rpartition('@')[2]}"
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


def locations_without_secrets(locations: str) -> str:
    """The same for several locations with commas between them, as a setting has them."""
    return ",".join(without_secrets(part) for part in locations.split(","))


def _is_key_pair(authority: str) -> bool:
    """Return whether it begins with `KEY:SECRET` (which may go on behind a slash) and is not `host` or `host:port`."""
    _, colon, after = authority.rpartition(":")
    return bool(colon) and not after.isdecimal()
