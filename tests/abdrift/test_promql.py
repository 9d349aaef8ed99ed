"""What health's rules may be written in, and what is said of what they may not."""

from __future__ import annotations

import pytest

from abdrift.promql import Function, FunctionName, Matcher, PromqlError, Selector, parse_function, parse_selector

SELECTORS = [
    pytest.param("up", Selector("up"), id="metric"),
    pytest.param(" job:up:sum { } ", Selector("job:up:sum"), id="empty-braces-and-space"),
    pytest.param('up{a="b",}', Selector("up", (Matcher("a", "=", "b"),)), id="trailing-comma"),
    pytest.param('{__name__="my.metric"}', Selector("my.metric"), id="name-as-a-label"),
    pytest.param(
        "up{a!='x', b=~`\\d+`,c!~\"a|b\"}",
        Selector("up", (Matcher("a", "!=", "x"), Matcher("b", "=~", r"\d+"), Matcher("c", "!~", "a|b"))),
        id="every-operator-and-quote",
    ),
    pytest.param(r'up{a="\"\\\n\x41\u00e9\101"}', Selector("up", (Matcher("a", "=", '"\\\nAéA'),)), id="escapes"),
]


@pytest.mark.parametrize(("text", "selector"), SELECTORS)
def test_a_selector_is_read(text: str, selector: Selector) -> None:
    assert parse_selector(text) == selector


WRONG_SELECTORS = [
    pytest.param("", "names its metric", id="nothing"),
    pytest.param('{job="x"}', "names its metric", id="no-metric"),
    pytest.param('{__name__=~"up|down"}', "names its metric once, and whole", id="name-by-regex"),
    pytest.param('up{__name__="up"}', "names its metric once", id="name-twice"),
    pytest.param("up{", "at character 4 of 'up{' stands the end, not a label's name", id="unclosed"),
    pytest.param('up{a="b" c="d"}', "not ',' or '}'", id="no-comma"),
    pytest.param("up{a=b}", "not a quoted string", id="unquoted"),
    pytest.param("up{a<'b'}", "one of = != =~ !~", id="operator"),
    pytest.param("up[5m]", "functions and windows stand in `function`", id="range"),
    pytest.param("rate(up[5m])", "functions and windows", id="function"),
    pytest.param("up > 3", "functions and windows", id="comparison"),
    pytest.param(r'up{a=~"(x)\\1"}', "back-references", id="back-reference"),
    pytest.param('up{a=~"(?=x)"}', "no regex of RE2", id="look-ahead"),
    pytest.param('up{a=~"a)|(b"}', "no regex of RE2", id="regex-that-ends-its-anchors"),
    pytest.param(r'up{a=~"\d"}', "written twice, or within backticks", id="single-backslash"),
    pytest.param(f'up{{a=~"{"x" * 501}"}}', "at most 500 characters", id="long-regex"),
    pytest.param(f'up{{a="{"x" * 2000}"}}', "at most 2000 characters", id="long"),
    pytest.param("up{" + ",".join(f'a{n}="b"' for n in range(17)) + "}", "at most 16 matchers", id="many-matchers"),
]


@pytest.mark.parametrize(("text", "why"), WRONG_SELECTORS)
def test_what_is_no_selector_is_told(text: str, why: str) -> None:
    with pytest.raises(PromqlError) as found:
        parse_selector(text)
    assert why in str(found.value)


VALUES = ["web", "web-1", "", "aweb", "web\nx"]
MATCHES = [
    pytest.param(Matcher("l", "=", "web"), [True, False, False, False, False], id="equal"),
    pytest.param(Matcher("l", "!=", ""), [True, True, False, True, True], id="not-empty"),
    pytest.param(Matcher("l", "=~", "web"), [True, False, False, False, False], id="whole"),
    pytest.param(Matcher("l", "=~", "web|web-.*"), [True, True, False, False, False], id="alternatives-are-anchored"),
    pytest.param(Matcher("l", "=~", "web.*"), [True, True, False, False, True], id="a-dot-is-a-newline-too"),
    pytest.param(Matcher("l", "!~", "web.*"), [False, False, True, True, False], id="not"),
]


@pytest.mark.parametrize(("matcher", "matches"), MATCHES)
def test_values_are_matched_as_prometheus_does(matcher: Matcher, matches: list[bool]) -> None:
    assert matcher.matches(VALUES) == matches


def test_a_pattern_that_would_never_end_in_python_does() -> None:
    (matcher,) = parse_selector('up{a=~"(a+)+$"}').matchers
    assert matcher.matches(["a" * 10_000 + "b"]) == [False]


FUNCTIONS = [
    pytest.param("value", Function(), id="value"),
    pytest.param(" rate( 5m ) ", Function(FunctionName.RATE, 300_000), id="rate"),
    pytest.param("increase(1h)", Function(FunctionName.INCREASE, 3_600_000), id="increase"),
    pytest.param("increase(1m30s500ms)", Function(FunctionName.INCREASE, 90_500), id="parts"),
    pytest.param("quantile(0.9, 5m)", Function(FunctionName.QUANTILE, 300_000, 0.9), id="quantile"),
]


@pytest.mark.parametrize(("text", "function"), FUNCTIONS)
def test_a_function_is_read(text: str, function: Function) -> None:
    assert parse_function(text) == function


WRONG_FUNCTIONS = [
    pytest.param("irate(5m)", "none of value, rate(5m)", id="unknown"),
    pytest.param("rate", "takes 1 arguments, not 0", id="no-window"),
    pytest.param("value(5m)", "takes 0 arguments", id="value-with-window"),
    pytest.param("rate(5)", "'5' is no duration", id="no-unit"),
    pytest.param("rate(2h)", "between 1s and 1h", id="long"),
    pytest.param("rate(1ms)", "between 1s and 1h", id="short"),
    pytest.param("quantile(1.5, 5m)", "between 0 and 1", id="quantile"),
    pytest.param("quantile(x, 5m)", "between 0 and 1", id="no-number"),
]


@pytest.mark.parametrize(("text", "why"), WRONG_FUNCTIONS)
def test_what_is_no_function_is_told(text: str, why: str) -> None:
    with pytest.raises(PromqlError) as found:
        parse_function(text)
    assert why in str(found.value)
