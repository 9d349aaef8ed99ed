from tests.streams.governor.world import acting


def test_acts() -> None:
    w = acting()
    w.tell(w.finding())
    assert [c.verb for c in w.commands] == ["reconcile"], w.decisions
    assert w.last == "commanded: allowed"
    w.tell(w.outcome(w.commands[0]))
    w.wait(4)
    w.tell(w.closing())
