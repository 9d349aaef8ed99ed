"""URLs of remotes: what may be shown of them, and whom they name. Pure."""

import re
from urllib.parse import urlsplit

_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^/@\s:]*)(?P<password>:[^/@\s]*)?@")


def masked(text: str) -> str:
    """Return a text with the credentials of all URLs in it left out; an ssh user without a password stays."""

    def without(match: re.Match[str]) -> str:
        scheme = match["scheme"]
        if scheme.lower() == "ssh://":
            return f"{scheme}{match['user']}@"
        return scheme

    return _USERINFO.sub(without, text)


def host_of(url: str) -> str:
    """Return the host that a URL names, of Git's scp-like form too; empty where it names none."""
    if "://" in url:
        return urlsplit(url).hostname or ""
    return url.partition(":")[0].rpartition("@")[2]
