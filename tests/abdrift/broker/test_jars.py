import hashlib
import os
from pathlib import Path

import pytest
import requests

from abdrift.broker import JarsError, jars


def test_lock_names_each_file_once_and_kafka_at_its_version() -> None:
    locked = jars.locked()
    assert len({jar.file_name for jar in locked}) == len(locked)
    assert f"kafka_2.13-{jars.KAFKA_VERSION}.jar" in {jar.file_name for jar in locked}
    assert all(len(bytes.fromhex(jar.sha256)) == hashlib.sha256().digest_size for jar in locked)


@pytest.mark.parametrize(
    ("line", "file_name"),
    [
        pytest.param("g:a:1 sha256:00 5", "a-1.jar", id="plain"),
        pytest.param("g:a:1:linux sha256:00 5", "a-1-linux.jar", id="classifier"),
    ],
)
def test_parse_lock(line: str, file_name: str) -> None:
    (jar,) = jars.parse_lock(f"# a comment\n\n{line}\n")
    assert jar.file_name == file_name
    assert jar.coordinates == line.split(maxsplit=1)[0]
    assert jar.size_bytes == 5


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("g:a:1 sha256:00", id="no-size"),
        pytest.param("g:a:1 md5:00 5", id="another-hash"),
        pytest.param("g:a sha256:00 5", id="no-version"),
        pytest.param("g:a:1:c:d sha256:00 5", id="too-many-parts"),
    ],
)
def test_parse_lock_refuses(line: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|jar lock"):
        jars.parse_lock(line)


@pytest.fixture
def one_jar(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> jars.Jar:
    content = b"a jar"
    jar = jars.Jar("g", "a", "1", "", hashlib.sha256(content).hexdigest(), len(content))
    monkeypatch.setenv("ABDRIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(jars, "locked", lambda: (jar,))
    monkeypatch.setattr(jars.time, "sleep", lambda _seconds: None)
    return jar


AUTHORITIES = {
    "openssls-file": ({"SSL_CERT_FILE": "/ca.pem", "SSL_CERT_DIR": "/certs"}, "/ca.pem"),
    "openssls-folder": ({"SSL_CERT_DIR": "/certs"}, "/certs"),
    "requests-own-first": ({"SSL_CERT_FILE": "/ca.pem", "REQUESTS_CA_BUNDLE": "/own.pem"}, "/own.pem"),
    "nothing": ({}, None),
}


@pytest.mark.parametrize(("environ", "trusted"), AUTHORITIES.values(), ids=AUTHORITIES)
def test_downloads_trust_the_authorities_that_the_user_names(
    environ: dict[str, str], trusted: str | None, one_jar: jars.Jar, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    seen: list[str | bool | None] = []

    def download(jar: jars.Jar, repository: Path, _meter: object) -> Path:
        seen.append(requests.Session().merge_environment_settings("https://x", {}, None, None, None)["verify"])
        repository.mkdir()
        (repository / jar.file_name).write_bytes(b"a jar")
        return repository / jar.file_name

    monkeypatch.setattr(jars, "_download", download)
    jars.ensure()
    assert seen == [trusted or True]
    assert os.environ.get("REQUESTS_CA_BUNDLE") == environ.get("REQUESTS_CA_BUNDLE")


def serve(monkeypatch: pytest.MonkeyPatch, *answers: bytes) -> list[Path]:
    """Let downloads answer in turn; the paths that were asked for are returned."""
    asked: list[Path] = []
    pending = iter(answers)

    def download(jar: jars.Jar, repository: Path, meter: object) -> Path:
        asked.append(repository)
        repository.mkdir()
        path = repository / jar.file_name
        try:
            path.write_bytes(next(pending))
        except StopIteration:
            raise RuntimeError("no such artifact") from None
        return path

    monkeypatch.setattr(jars, "_download", download)
    return asked


def test_a_cached_jar_is_not_fetched(one_jar: jars.Jar, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = serve(monkeypatch)
    jars.folder().mkdir(parents=True)
    (jars.folder() / one_jar.file_name).write_bytes(b"a jar")
    assert jars.ensure() == (jars.folder() / one_jar.file_name,)
    assert asked == []


@pytest.mark.parametrize("cached", [None, b"a ja", b"A jar"], ids=["absent", "cut-off", "altered"])
def test_a_missing_or_damaged_jar_is_fetched(
    one_jar: jars.Jar, monkeypatch: pytest.MonkeyPatch, cached: bytes | None
) -> None:
    asked = serve(monkeypatch, b"not it", b"a jar")
    jars.folder().mkdir(parents=True)
    (jars.folder() / ".part-killed").mkdir()
    if cached is not None:
        (jars.folder() / one_jar.file_name).write_bytes(cached)
    (path,) = jars.ensure()
    assert path.read_bytes() == b"a jar"
    assert len(asked) == 2
    assert [entry.name for entry in jars.folder().iterdir()] == [one_jar.file_name]


@pytest.mark.parametrize(
    ("answers", "why"), [((), "no such artifact"), ((b"x",) * 3, "is not sha256:")], ids=["refused", "other-bytes"]
)
def test_a_jar_that_cannot_be_had_leaves_nothing(
    one_jar: jars.Jar, monkeypatch: pytest.MonkeyPatch, answers: tuple[bytes, ...], why: str
) -> None:
    serve(monkeypatch, *answers)
    with pytest.raises(JarsError, match=rf"g:a:1 can't be fetched: .*{why}.*Check the network"):
        jars.ensure()
    assert list(jars.folder().iterdir()) == []


def test_a_cache_that_cannot_be_written(one_jar: jars.Jar, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(JarsError, match="ABDRIFT_CACHE"):
        jars.ensure()
