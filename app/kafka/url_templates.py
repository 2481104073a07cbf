"""Links to the marketplace's own pages: URL templates from the settings, filled with ids from messages.

    https://live.example.com/rooms/{room_id}  ──room_id "r/1"──▶  https://live.example.com/rooms/r%2F1

Ids come from producers: they are quoted, so that no id reaches beyond its place in the URL. Placeholders stand behind
the host name only.
"""

from collections.abc import Mapping
from string import Formatter
from typing import Final
from urllib.parse import quote, urlsplit

PLACEHOLDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "room_url": ("room_id", "host_id"),
    "clip_url": ("room_id", "host_id", "at"),
    "profile_url": ("account_id",),
}
"""By setting: the placeholders that its template may have."""


def problem_of(setting: str, template: str) -> str | None:
    """Return what is wrong with the template of a setting; None if nothing is."""
    known = PLACEHOLDERS[setting]
    listed = ", ".join(f"{{{name}}}" for name in known)
    try:
        parts = list(Formatter().parse(template))
        address = urlsplit(template)
        host = address.hostname
    except ValueError as error:
        return f"is no URL template ({error}); write for example https://example.com/{{{known[0]}}}"
    if address.scheme not in ("http", "https") or not host:
        return f"is no http or https URL; write for example https://example.com/{{{known[0]}}}"
    if not template.isprintable() or " " in template:
        return "contains white space or a control character"
    if "@" in address.netloc:
        return "contains a user name or password"
    if "{" in address.netloc:
        return "has a placeholder in its host name; placeholders stand behind it"
    names = [name for _, name, _, _ in parts if name is not None]
    for _, name, spec, conversion in parts:
        if name is not None and (name not in known or spec or conversion):
            return f"has the placeholder {{{name}}}; known are {listed}"
    return None if names else f"has no placeholder; known are {listed}"


def filled(template: str | None, **values: str | int) -> str | None:
    """Return the template with the values in their places, quoted; None without a template.

    Also None for a value that browsers take for a folder (`.`, `..`) however it is quoted.
    """
    if template is None or any(value in (".", "..") for value in values.values()):
        return None
    return template.format(**{name: quote(str(value), safe="") for name, value in values.items()})
