"""A canary in every place where secrets are written, and what must stay readable."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from abdrift.masking import LAST_APPLIED, Masker
from collectors.logs.secrets import MAX_DEPTH, PATTERNS, TOO_DEEP, Hiding, SecretsConfig

CANARY = "tweety-4711-canary"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.dHdlZXR5LWNhbmFyeQ"
GITHUB = "ghp_" + "Tw33tY" * 6


def hiding(**settings: Any) -> Hiding:
    return Hiding(SecretsConfig.model_validate(settings), Masker(b"k" * 16))


@pytest.mark.parametrize(
    ("text", "canary"),
    [
        (f"Authorization: Bearer {CANARY}", CANARY),
        (f"authorization: Basic {CANARY}=", CANARY),
        (f'headers={{"Authorization": "Bearer {CANARY}", "Accept": "*/*"}}', CANARY),
        (f"{{'Authorization': ['Bearer {CANARY}']}}", CANARY),
        (f"proxy-authorization={CANARY}", CANARY),
        (f"sent bearer {CANARY} to the API", CANARY),
        (f"password={CANARY}", CANARY),
        (f"DB_PASSWORD = {CANARY}; retry", CANARY),
        (f"passwd: {CANARY}", CANARY),
        (f'{{"password":"{CANARY}","user":"x"}}', CANARY),
        (f'{{\\"client_secret\\":\\"{CANARY}\\"}}', CANARY),
        (f'secret: "two words {CANARY}"', CANARY),
        (f"'api_key' => '{CANARY}'", CANARY),
        (f"?access_token={CANARY}&page=2", CANARY),
        (f"x-api-key: {CANARY}", CANARY),
        (f"accessKey={CANARY}", CANARY),
        (f"mysql --password {CANARY} --host db", CANARY),
        (f"login --client-secret={CANARY}", CANARY),
        (f"postgres://app:{CANARY}@db.example/shop", CANARY),
        (f"cloning https://:{CANARY}@git.example/x.git", CANARY),
        (f"Cookie: a=b; session={CANARY}", CANARY),
        (f"set-cookie: sid={CANARY}; HttpOnly", CANARY),
        (f"got {JWT} from the issuer", JWT),
        (f"remote: {GITHUB}", GITHUB),
        (f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----", CANARY),
        (f"-----BEGIN PRIVATE KEY-----\n{CANARY}", CANARY),
    ],
)
def test_the_canary_is_hidden(text: str, canary: str) -> None:
    hidden = hiding().hide({"message": text})["message"]
    assert canary not in hidden
    assert "hmac:" in hidden
    assert hiding().hide({"message": hidden}) == {"message": hidden}


@pytest.mark.parametrize(
    "key",
    [
        *("password", "db_password", "dbPassword", "user.pwd", "token", "X-Api-Key", "aws_secret_access_key"),
        *("credentials", "http.request.headers.authorization", "set-cookie", "smtp_pass", "session_id", "pass"),
    ],
)
@pytest.mark.parametrize("value", [CANARY, [CANARY], {"a": {"b": [CANARY]}}], ids=["text", "list", "object"])
def test_the_values_of_secret_names_are_hidden(key: str, value: Any) -> None:
    assert CANARY not in json.dumps(hiding().hide({"a": {key: value}}))


@pytest.mark.parametrize(
    "event",
    [
        {"message": "the password was changed", "secretName": "tls", "token_count": 3, "tokens": 4},
        {"message": "GET /passwords HTTP/1.1 200", "monkey": "business", "compass": "north"},
        {"message": "http://host:8080/path a@b.example", "passed": True, "password": "", "token": None},
        {"message": "keyboard layout: us", "kind": "Deployment", "path": "/etc/passwd"},
    ],
)
def test_what_is_no_secret_stays(event: dict[str, Any]) -> None:
    assert hiding().hide(event) == event


@pytest.mark.parametrize(
    "secret",
    [
        {"kind": "Secret", "data": {"k": base64.b64encode(CANARY.encode()).decode()}},
        {"kind": "SecretList", "items": [{"stringData": {"k": CANARY}}]},
        {"kind": "ConfigMap", "metadata": {"annotations": {LAST_APPLIED: CANARY}}},
    ],
    ids=["data", "list", "last-applied"],
)
def test_kubernetes_secrets_are_hidden_wherever_they_stand(secret: dict[str, Any]) -> None:
    hidden = json.dumps(hiding().hide({"audit": {"responseObject": [secret]}}))
    assert CANARY not in hidden
    assert base64.b64encode(CANARY.encode()).decode() not in hidden


def test_equal_secrets_show_as_equal() -> None:
    hidden = hiding().hide({"password": CANARY, "other": f"token={CANARY}", "token": "else"})
    assert hidden["other"] == f"token={hidden['password']}"
    assert hidden["token"] != hidden["password"]


def test_what_is_no_utf_8_is_searched_too() -> None:
    hidden = hiding().raw(b'\xff{"password":"' + CANARY.encode() + b'",')
    assert CANARY.encode() not in hidden
    assert hidden.startswith(b"\xff{")


@pytest.mark.parametrize(
    ("settings", "is_hidden"),
    [
        pytest.param({}, True, id="as-it-comes"),
        pytest.param({"enabled": False}, False, id="off"),
        pytest.param({"disabled_patterns": ["assignment", "flag"]}, False, id="pattern-off"),
        pytest.param({"disabled_patterns": ["url"]}, True, id="another-pattern-off"),
    ],
)
def test_patterns_are_switchable(settings: dict[str, Any], is_hidden: bool) -> None:
    assert (CANARY not in hiding(**settings).hide({"m": f"password={CANARY}"})["m"]) is is_hidden


def test_a_site_s_own_patterns_and_keys() -> None:
    found = hiding(patterns={"badge": r"badge (?P<secret>\S+)", "all": "tweety-9"}, keys=["pin"]).hide(
        {"m": f"Badge {CANARY} tweety-9", "card_pin": 1234, "pinned": 5}
    )
    assert CANARY not in found["m"]
    assert "tweety-9" not in found["m"]
    assert found["card_pin"] != 1234
    assert found["pinned"] == 5


@pytest.mark.parametrize(
    "settings", [{"patterns": {"x": "("}}, {"keys": ["["]}, {"disabled_patterns": ["nosuch"]}, {"nosuch": 1}]
)
def test_a_configuration_that_cannot_be(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SecretsConfig.model_validate(settings)


def test_what_is_nested_too_deeply_is_replaced() -> None:
    deep: Any = CANARY
    for _ in range(MAX_DEPTH + 5):
        deep = {"a": [deep]}
    for key in ("plain", "password"):
        text = json.dumps(hiding().hide({key: deep}))
        assert TOO_DEEP in text
        assert CANARY not in text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


HIDING = hiding()


@given(JSON)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_event_is_hidden_once_and_for_all(event: Any) -> None:
    once = HIDING.hide(event)
    assert HIDING.hide(once) == once


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize(
    "repeated", ["password", "--", "://a:", "eyJ", "bearer ", "cookie", "=", "-----BEGIN PRIVATE KEY-----"]
)
def test_no_pattern_takes_more_than_linear_time(name: str, repeated: str) -> None:
    """Steps can't be counted in `re`; one of quadratic time would take minutes here."""
    PATTERNS[name].expression.sub("", repeated * (400_000 // len(repeated)))
