"""Can a URL be posted to?"""

from urllib.parse import urlsplit


def url_problem(url: str) -> str | None:
    """Return why this URL cannot be posted to; None where it can. The text leaves the URL out: it may be a secret."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is no URL: write https://host/path"
    if parts.scheme not in ("http", "https") or not parts.hostname or any(sign.isspace() for sign in url):
        return "is no URL that can be posted to: write https://host/path"
    return None
