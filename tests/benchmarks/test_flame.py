"""Stacks merge from what the event loop called inwards; waiting is left out."""

import xml.etree.ElementTree as ET

from benchmarks import flame

RAW = """\
main (a.py:1);Handle._run (asyncio/events.py:80);task_step_impl (_asynciomodule.c:1);take (streams/x.py:1) 6
main (a.py:1);Handle._run (asyncio/events.py:80);take (streams/x.py:1);decode<T> (abdrift/frames.py:2) 3
main (a.py:1);Handle._run (asyncio/events.py:80);fetch (aiokafka/f.py:1) 1
main (a.py:1);_run_once (asyncio/base_events.py:1);select_epoll_poll (selectmodule.c:1);epoll_wait (libc.so.6) 90
"""


def test_merged() -> None:
    root = flame.merged(RAW)
    assert root.samples == 10
    taken = root.calls["take (streams/x.py:1)"]
    assert taken.samples == 9
    assert [called.samples for called in taken.calls.values()] == [3]


def test_drawn() -> None:
    root = ET.fromstring(flame.draw(flame.merged(RAW)))
    titles = [e.text for e in root.iter() if e.tag.endswith("title")]
    assert titles == [
        "event loop: 100.0%",
        "take (streams/x.py:1): 90.0%",
        "decode<T> (abdrift/frames.py:2): 30.0%",
        "fetch (aiokafka/f.py:1): 10.0%",
    ]
