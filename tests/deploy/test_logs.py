"""The senders' configurations say what the receivers expect: paths, ports, and fields that name the cluster.

rsyslog's is run by rsyslogd in tests/collectors/logs/test_logs_parts.py; the other senders can't be had here.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from abdrift.cli import logs, receive
from abdrift.listening import host_and_port
from abdrift.signals.logs import LogRow
from collectors.logs import columns
from collectors.logs.http import HttpConfig
from collectors.logs.lumberjack import LumberjackConfig
from collectors.logs.topics import TopicsConfig
from collectors.receiving import ReceiverConfig
from tests.collectors.logs.events import row

FOLDER = Path(__file__).parents[2] / "deploy/logs"
PORT = host_and_port(LumberjackConfig().listen)[1]
(PATH,) = HttpConfig().paths


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


def test_filebeat_sends_to_the_port_of_lumberjack() -> None:
    filebeat = read("filebeat.yml")
    (host,) = filebeat["output.logstash"]["hosts"]
    assert host_and_port(host)[1] == PORT
    (added,) = (each["add_fields"] for each in filebeat["processors"] if "add_fields" in each)
    assert {f"{added['target']}.{name}" for name in added["fields"]} <= set(columns.TEXTS["cluster"])


def test_vector_sends_what_the_receiver_unpacks() -> None:
    vector = read("vector.yaml")
    http, kafka = (vector["sinks"][name] for name in ("abdrift_http", "abdrift_kafka"))
    assert http["uri"].endswith(PATH)
    assert (http["compression"], http["framing"], http["encoding"]) == (
        "zstd",
        {"method": "newline_delimited"},
        {"codec": "json"},
    )
    assert http["batch"]["max_bytes"] < ReceiverConfig.model_fields["limits"].default.body_bytes
    assert kafka["encoding"] == {"codec": "json"}
    (field,) = re.findall(r"^\.(\S+) =", vector["transforms"]["with_cluster"]["source"])
    assert field in columns.TEXTS["cluster"]


def test_fluent_bit_sends_what_the_receiver_reads() -> None:
    http, kafka = read("fluent-bit.yaml")["pipeline"]["outputs"]
    assert (http["uri"], http["format"], http["compress"]) == (PATH, "json_lines", "gzip")
    assert {http["json_date_key"], kafka["timestamp_key"]} <= set(columns.TIMES)
    assert kafka["format"] == "json"


def test_logstash_sends_to_the_receiver_s_path_and_port() -> None:
    text = (FOLDER / "logstash.conf").read_text()
    assert f":8480{PATH}" in text
    assert f"port => {PORT}" in text
    assert "[orchestrator][cluster][name]" in text
    assert text.count("{") == text.count("}")


def test_rsyslog_s_template_comes_to_columns() -> None:
    text = (FOLDER / "rsyslog.conf").read_text()
    names = re.findall(r'outname="([^"]+)"', text)
    event = {name: "3" if name.endswith("code") else name for name in names} | {"@timestamp": "2026-11-23T13:42:13Z"}
    found = row(event)
    assert isinstance(found, LogRow)
    assert (found.cluster, found.node, found.severity) == ("orchestrator.cluster.name", "host.name", "error")
    assert set(json.loads(found.fields)) == {"log.syslog.facility.name", "process.name", "process.pid"}


def test_the_examples_that_the_commands_print_are_valid() -> None:
    receiving = ReceiverConfig.model_validate(yaml.safe_load(receive.EXAMPLE))
    HttpConfig.model_validate(receiving.handlers["logs"])
    LumberjackConfig.model_validate(receiving.handlers["lumberjack"])
    TopicsConfig.model_validate(yaml.safe_load(logs.EXAMPLE))
