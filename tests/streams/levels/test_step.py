"""The vectorised step against the naive one: whatever comes, they say and hold the same."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from abdrift.facts.governance import HealthPolicy
from abdrift.partitions import partition_of
from abdrift.signals.samples import SampleRow
from streams.commit import StateError
from streams.levels import LevelsStep, cells, series, step
from streams.levels.state import State
from streams.step import Batch
from tests.streams.levels.oracle import Oracle
from tests.streams.levels.story import (
    MINUTE_MS,
    SIGNED,
    STALE,
    T0,
    Partition,
    frame,
    inputs,
    line,
    policy,
    portrait,
    projected,
    random_lines,
    random_samples,
    rule,
    sample,
    verify,
)

if TYPE_CHECKING:
    from streams.step import Input
    from tests.streams.levels.story import Told

RULES = (
    rule("deep", selector="depth", threshold=20),
    rule("deep-shop", selector='depth{namespace="shop"}', comparison=">=", threshold=25, for_seconds=20),
    rule("busy", selector='requests_total{pod=~"web-.*"}', function="rate(1m)", threshold=0.5),
    rule("busier", selector="requests_total", function="increase(5m)", threshold=90, severity="failing"),
    rule("mostly", selector='requests_total{pod!~"db-.+"}', function="quantile(0.5, 2m)", threshold=50, comparison="<"),
    rule("down", selector="up", threshold=0, comparison="<=", subject="node"),
    rule("shallow", selector="depth", threshold=1, comparison="<", subject="cluster"),
)


def random_records(seed: int, records: int = 24) -> list[Input]:
    rng = random.Random(seed)
    at_ms = T0
    told: list[Told] = [(T0 - 1, policy(*RULES))]
    for number in range(records):
        at_ms += rng.choice([0, 1, 300, 4999, 5000, 5001, 9000, 30_000, MINUTE_MS, 6 * MINUTE_MS])
        kind = rng.random()
        if kind < 0.1:
            told.append((at_ms, None))
        elif kind < 0.2 and len(told) > 1:
            told.append((at_ms - rng.choice([0, 0, 7500]), rng.choice(told[1:])[1]))
        else:
            rows = rng.choice([random_samples, random_samples, random_lines])(rng, at_ms, rng.choice([1, 3, 20]))
            told.append((at_ms, frame(*rows, sequence=number, source=rng.choice("ab"))))
    return inputs([*told, (at_ms + 5000, None)])


@pytest.mark.parametrize("seed", range(40))
def test_it_holds_and_says_what_the_oracle_does(seed: int) -> None:
    records = random_records(seed)
    rng = random.Random(seed)
    cuts = rng.sample(range(len(records)), rng.randrange(len(records)))
    partition = Partition().feed(records, cuts, reopen=[cut for cut in cuts if rng.random() < 0.3])
    oracle = Oracle(HealthPolicy(rules=RULES)).feed(records)
    assert not partition.refused
    assert sorted(partition.said) == sorted(oracle.said)
    assert portrait(partition.opened.state) == oracle.portrait()
    assert partition.opened.state.counters == dict(+oracle.counters)
    assert +partition.passed_over == +oracle.counters
    assert portrait(partition.open().state) == oracle.portrait(), "and so it does when it is restored"


def states(partition: Partition) -> list[tuple[int, str, str]]:
    """Return when, under which rule, and what was said, in seconds since `T0`."""
    return [((row.judged_ms - T0) // 1000, row.rule, row.state) for row in partition.rows]


def scrape(seconds: int, value: float, **changed: Any) -> Told:
    """Return a frame of one sample that is appended when it was taken."""
    at_ms = T0 + seconds * 1000
    return at_ms, frame(sample(value=value, time_ms=at_ms, **changed), sequence=seconds)


def test_a_level_fires_when_it_has_been_passed_for_long_enough_and_is_cleared() -> None:
    told = [scrape(n * 15, 12.0 if 2 <= n < 7 else 3.0) for n in range(10)]
    partition = Partition().tell((T0, policy(rule(for_seconds=30))), *told, (T0 + 200_000, None))
    assert states(partition) == [(75, "deep", "firing"), (120, "deep", "clear")]
    fired = partition.rows[0]
    assert fired.message == 'the value of depth{"deployment":"web","namespace":"shop"} is 12, and may not be > 10'
    assert (fired.last_ms - T0, fired.severity, fired.source) == (60_000, "degraded", "metrics")
    assert (fired.subject, fired.namespace, fired.kind, fired.name) == ("workload", "shop", "Deployment", "web")


def test_one_sample_below_begins_the_wait_anew() -> None:
    told = [scrape(n * 15, 3.0 if n == 2 else 12.0) for n in range(5)]
    assert not states(Partition().tell((T0, policy(rule(for_seconds=40))), *told, (T0 + 90_000, None)))


def test_a_series_that_falls_silent_is_unknown_and_withdrawn_when_it_is_forgotten() -> None:
    told = [scrape(0, 12.0), *((T0 + minute * MINUTE_MS, None) for minute in range(70))]
    partition = Partition().tell((T0 - 1, policy(rule())), *told)
    assert states(partition) == [(60, "deep", "firing"), (360, "deep", "unknown"), (3660, "deep", "clear")]
    assert partition.rows[1].message == "no sample for 5 minutes; the value of depth was too high"
    assert not portrait(partition.opened.state)["members"]


def test_a_series_that_is_said_to_have_ended_is_withdrawn_at_once() -> None:
    told = [scrape(0, 12.0), scrape(15, STALE), *((T0 + minute * MINUTE_MS, None) for minute in range(1, 10))]
    partition = Partition().tell((T0 - 1, policy(rule())), *told)
    assert states(partition) == [(15, "deep", "firing"), (60, "deep", "clear")]


def test_what_fired_before_a_gap_of_hours_is_not_left_firing() -> None:
    partition = Partition().tell((T0 - 1, policy(rule())), scrape(0, 12.0), (T0 + 2 * 3_600_000, None))
    assert states(partition) == [(7200, "deep", "clear")]


def test_a_workload_fires_while_one_of_its_pods_does() -> None:
    pods = [{"namespace": "shop", "pod": f"web-5f6d8c7b9d-x2vz{n}"} for n in "bcd"]
    rows = [[12.0, 11.0, 1.0], [1.0, 30.0, 1.0], [1.0, 1.0, 1.0]]
    told: list[Told] = [
        (
            T0 + n * 15_000,
            frame(
                *(sample(labels=p, value=v, time_ms=T0 + n * 15_000) for p, v in zip(pods, vs, strict=True)), sequence=n
            ),
        )
        for n, vs in enumerate(rows)
    ]
    partition = Partition().tell((T0 - 1, policy(rule())), *told, (T0 + MINUTE_MS, None))
    assert states(partition) == [(15, "deep", "firing"), (60, "deep", "clear")]
    assert (partition.rows[0].kind, partition.rows[0].name) == ("Pod", "web")
    assert partition.rows[0].message.endswith("is 12, and may not be > 10, and so it is of 1 more")


def test_errors_that_are_many_but_few_of_all_are_no_reason() -> None:
    busy = [line(severity="error")] * 6 + [line(severity="info")] * 200
    ill = [line(workload="api", severity="fatal")] * 6 + [line(workload="api", severity="info")] * 20
    partition = Partition().tell((T0, frame(*busy, *ill)), (T0 + 5000, None))
    assert [(row.name, row.rule, row.state) for row in partition.rows] == [("api", "log-errors", "firing")]
    assert partition.rows[0].message == "6 of 26 lines in 5 minutes are errors; usual are 0.0 a minute"


def test_errors_end_with_their_window_and_by_policy() -> None:
    told = [(T0 + minute * MINUTE_MS, None) for minute in range(1, 8)]
    partition = Partition().tell((T0, frame(*[line()] * 9)), *told)
    assert states(partition) == [(60, "log-errors", "firing"), (300, "log-errors", "clear")]
    off = policy(log_errors={"enabled": False})
    partition = Partition().tell((T0, frame(*[line()] * 9)), (T0 + 5000, None), (T0 + 6000, off), *told)
    assert states(partition) == [(5, "log-errors", "firing"), (60, "log-errors", "clear")]


def test_many_words_need_wider_codes() -> None:
    rows = [line(workload=f"w{n % 300}" if n % 2 else "", pod=f"p{n}", node=f"n{n}") for n in range(700)]
    partition = Partition().tell((T0, frame(*rows)), (T0 + 5000, None))
    oracle = Oracle().feed(inputs([(T0, frame(*rows)), (T0 + 5000, None)]))
    assert portrait(partition.opened.state) == oracle.portrait()


def test_many_series_make_the_tables_grow_and_slots_are_given_again() -> None:
    def pods(first: int, last: int, seconds: int) -> Told:
        names = [{"namespace": "shop", "pod": f"p-{n}"} for n in range(first, last)]
        rows = [sample(labels=one, value=12.0, time_ms=T0 + seconds * 1000) for one in names]
        return T0 + seconds * 1000, frame(*rows, sequence=seconds)

    rules = (rule(), rule("mostly", function="quantile(0.5, 1m)"))
    told = [(T0 - 1, policy(*rules)), pods(0, 700, 0), pods(0, 700, 15), pods(350, 700, 3_700), (T0 + 3_720_000, None)]
    records = inputs([*told, pods(0, 100, 3_730), (T0 + 3_740_000, None)])
    partition = Partition().feed(records, cuts=range(len(records)))
    oracle = Oracle(HealthPolicy(rules=rules)).feed(records)
    assert sorted(partition.said) == sorted(oracle.said)
    assert portrait(partition.opened.state) == oracle.portrait() == portrait(partition.open().state)
    assert partition.opened.state.tables[0].used == 700, "slots of the forgotten are given again"


class TestPolicy:
    """What changes with the rules in force."""

    def test_what_was_said_under_a_rule_that_goes_is_taken_back(self) -> None:
        partition = Partition().tell((T0 - 1, policy(rule(), rule("other"))), scrape(0, 12.0), (T0 + 5000, None))
        partition.tell((T0 + 6000, policy(rule("other"))))
        assert states(partition) == [(5, "deep", "firing"), (5, "other", "firing"), (5, "deep", "clear")]
        kept = portrait(partition.opened.state)["members"]
        assert [name for name, *_ in kept] == ["other"]
        assert portrait(partition.open().state)["members"] == kept

    def test_a_rule_that_changes_begins_anew(self) -> None:
        partition = Partition().tell((T0 - 1, policy(rule())), scrape(0, 12.0), (T0 + 5000, None))
        partition.tell(
            (T0 + 6000, policy(rule(threshold=11))), (T0 + 12_000, None), scrape(15, 12.0), (T0 + 20_000, None)
        )
        assert states(partition) == [(5, "deep", "firing"), (5, "deep", "clear"), (20, "deep", "firing")]

    def test_a_new_rule_takes_series_that_are_known(self) -> None:
        partition = Partition().tell((T0 - 1, policy(rule())), scrape(0, 12.0), (T0 + 5000, None))
        partition.tell((T0 + 6000, policy(rule("new", threshold=5), rule())), scrape(15, 12.0), (T0 + 20_000, None))
        assert states(partition) == [(5, "deep", "firing"), (20, "new", "firing")]
        assert portrait(partition.open().state) == portrait(partition.opened.state)

    @pytest.mark.parametrize("restarted", [False, True], ids=["at-work", "restarted"])
    def test_a_new_rule_waits_for_the_next_sample(self, restarted: bool) -> None:
        partition = Partition().tell((T0 - 1, policy(rule())), scrape(0, 12.0), (T0 + 5000, None))
        partition.tell((T0 + 6000, policy(rule(), rule("new", threshold=5))), (T0 + MINUTE_MS, None))
        if restarted:
            partition.opened = partition.open()
        partition.tell(scrape(75, 12.0), (T0 + 80_000, None))
        assert states(partition) == [(5, "deep", "firing"), (80, "new", "firing")]

    def test_what_waits_for_its_beat_goes_with_its_rule(self) -> None:
        told = (scrape(1, 12.0), (T0 + 2000, policy(rule("other"))), scrape(3, 12.0), (T0 + 5000, None))
        partition = Partition().tell((T0 - 1, policy(rule())), *told)
        assert states(partition) == [(5, "other", "firing")]

    def test_the_policys_end_ends_its_rules(self) -> None:
        partition = Partition().tell((T0 - 1, policy(rule())), scrape(0, 12.0), (T0 + 5000, None))
        partition.tell((T0 + 6000, "another"), (T0 + 7000, "default"))
        assert states(partition) == [(5, "deep", "firing"), (5, "deep", "clear")]

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            pytest.param({"data": {"name": "default"}}, "unsigned", id="unsigned"),
            pytest.param({"data": {"signature": SIGNED, "rules": 1}}, "bad-policy", id="no-policy"),
            pytest.param({"type": "dev.abdrift.fleet.health.v1"}, "unknown-fact", id="another-fact"),
        ],
    )
    def test_one_that_may_not_be_is_refused_and_the_old_one_stays(self, changed: dict[str, Any], reason: str) -> None:
        partition = Partition().tell((T0 - 1, policy(rule())), (T0, policy().model_copy(update=changed)))
        assert [one.reason for one in partition.refused] == [reason]
        assert len(partition.opened.state.rules) == 1


class TestBounds:
    """What is refused is counted, and the offender is named."""

    def test_more_series_than_a_cluster_may_have(self) -> None:
        partition = Partition()
        partition.opened.state.series.max_per_cluster = 3
        rows = [sample(labels={"namespace": "shop", "pod": f"web-{n}"}) for n in range(5)]
        partition.tell((T0 - 1, policy(rule())), (T0, frame(*rows)), (T0 + 5000, None))
        assert partition.passed_over == {"series-full": 2}
        (row,) = partition.rows
        assert (row.subject, row.cluster, row.rule, row.state) == ("cluster", "edge-1", "series-refused", "firing")
        assert row.message == "there is no room to judge more series of depth"
        partition.tell(*((T0 + minute * MINUTE_MS, None) for minute in range(1, 13)))
        assert states(partition)[1] == (660, "series-refused", "clear")

    def test_more_series_than_a_partition_may_have_until_there_is_room(self) -> None:
        partition = Partition(max_members=2)
        rows = [sample(cluster=f"c{n}", time_ms=T0) for n in range(3)]
        partition.tell((T0 - 1, policy(rule())), (T0, frame(*rows)), (T0 + 5000, None))
        assert partition.passed_over == {"series-full": 1}
        hours = 2 * 3_600_000
        late = frame(sample(cluster="c2", time_ms=T0 + hours), sequence=1)
        partition.tell((T0 + hours - MINUTE_MS, None), (T0 + hours, late), (T0 + hours + 5000, None))
        assert [cluster for _, cluster, *_ in portrait(partition.opened.state)["members"]] == ["c2"]

    def test_series_of_no_rule_are_remembered_up_to_a_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(series, "MAX_REMEMBERED", 10)
        partition = Partition().tell((T0 - 1, policy(rule(selector='depth{a="b"}'))))
        for n in range(9):
            rows = [sample(labels={"a": f"{n}-{m}"}) for m in range(4)]
            partition.tell((T0 + n, frame(*rows, sequence=n)))
        assert partition.passed_over == {"no-rule": 36}
        assert len(partition.opened.state.series._remembered) <= 10

    def test_metrics_of_no_rule_are_remembered_up_to_a_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(series, "MAX_REMEMBERED", 10)
        partition = Partition().tell((T0 - 1, policy(rule())))
        for n in range(9):
            rows = [sample(metric=f"metric_{n}_{m}") for m in range(4)]
            partition.tell((T0 + n, frame(*rows, sequence=n)))
        assert partition.passed_over == {"no-rule": 36}
        assert sum(map(len, partition.opened.state.series._families.values())) <= 10

    @pytest.mark.parametrize(
        ("labels", "reason"),
        [
            pytest.param("[1]", "bad-labels", id="no-object"),
            pytest.param('{"a":1}', "bad-labels", id="no-text"),
            pytest.param('{"a":"' + "x" * 3000 + '"}', "bad-labels", id="long"),
            pytest.param('{"a":"b"}', "no-subject", id="nobodys"),
        ],
    )
    def test_series_that_cannot_be_judged(self, labels: str, reason: str) -> None:
        row = SampleRow(cluster="edge-1", metric="depth", labels=labels, value=1.0, time_ms=T0, observed_ms=T0)
        partition = Partition().tell((T0 - 1, policy(rule())), (T0, frame(row)))
        assert partition.passed_over == {reason: 1}

    def test_words_that_explode(self) -> None:
        rows = [line(cluster=f"c{n % 5}", namespace=f"n{n % 7}", workload=f"w{n % 11}") for n in range(385)]
        partition = Partition()
        vocabulary = partition.opened.state.vocabulary
        vocabulary.clusters.capacity, vocabulary.namespaces.capacity, vocabulary.workloads.capacity = 4, 6, 10
        partition.tell((T0, frame(*rows)), (T0 + 5000, None))
        assert partition.passed_over == {"clusters-full": 77, "namespaces-full": 44, "workloads-full": 24}
        counted = sum(sum(lines.values()) for _, lines, *_ in portrait(partition.opened.state)["logs"].values())
        assert counted == 385 - 77 - 44 - 24

    def test_a_cluster_of_another_partition(self) -> None:
        opened = LevelsStep(verify).open({}, 1, 4)
        ours = next(f"c{n}" for n in range(99) if partition_of(f"c{n}", 4) == 1)
        theirs = next(f"c{n}" for n in range(99) if partition_of(f"c{n}", 4) == 2)
        told: list[Told] = [
            (T0 - 1, policy(rule())),
            (T0, frame(sample(cluster=ours), sample(cluster=theirs))),
            (T0, frame(line(cluster=ours), line(cluster=theirs))),
        ]
        opened.process(Batch(1, 4, [projected(one) for one in inputs(told)]))
        assert opened.state.counters == {"misplaced": 2}

    def test_a_cluster_that_went_away_is_forgotten(self) -> None:
        partition = Partition().tell((T0 - 1, policy(rule())), scrape(0, 1.0), (T0, frame(line())))
        partition.tell(*((T0 + hour * 3_600_000, None) for hour in range(1, 27)))
        assert portrait(partition.opened.state) == {"members": {}, "logs": {}, "clusters": {}, "offenders": {}}
        assert partition.passed_over == {"clusters-forgotten": 1}


@pytest.mark.parametrize("seed", range(5))
def test_a_checkpoint_with_every_batch_holds_what_waits_for_its_beat(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "CHECKPOINT_BYTES", 0)
    monkeypatch.setattr(State, "size_bytes", 0)
    for name in ("_SLOTS", "_WINDOWED_SLOTS", "_ROWS", "_JOINED", "_OFFENDERS"):
        monkeypatch.setattr(cells, name, 4)
    records = random_records(seed)
    partition = Partition().feed(records, cuts=range(len(records)), reopen=range(0, len(records), 2))
    oracle = Oracle(HealthPolicy(rules=RULES)).feed(records)
    assert sorted(partition.said) == sorted(oracle.said)
    assert portrait(partition.open().state) == oracle.portrait()
    assert not [key for key in partition.cells if key.startswith("d/")]


def test_a_missing_cell_is_told() -> None:
    partition = Partition().tell((T0 - 1, policy(rule())), scrape(0, 1.0))
    del partition.cells["d/0/0"]
    with pytest.raises(StateError, match="d/0/0"):
        partition.open()
