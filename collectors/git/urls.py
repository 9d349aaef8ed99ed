"""Remote URLs: which may be asked. Pure."""

_SCHEMES = ("https://", "http://", "ssh://")


def refusal_of(url: str) -> str | None:
    """Return why a URL may not be asked; None where it may.

    The schemes are those that a GitRepository allows. Others let git run commands or read this machine's files
    (`ext::`, `file://`, a path), and URLs come from the clusters.
    """
    if not url.startswith(_SCHEMES):
        return "only http, https and ssh remotes are asked"
    if any(ord(character) <= ord(" ") for character in url):
        return "the URL holds blanks or control characters"
    host = url.split("://", 1)[1].rpartition("@")[2]
    if host.startswith("-") or not host:
        return "the URL has no host"
    return None
