"""From what was discovered to what is scraped: defaults, relabelling, and the address. Pure.

Source: Prometheus's `scrape/target.go`, `PopulateLabels`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from collectors.prometheus.labels import Labels
from collectors.prometheus.relabelling import Rules
from collectors.prometheus.scrape_config import Discovered, ScrapeConfig, ScrapeJob, seconds

_ADDRESS, _SCHEME, _PATH = "__address__", "__scheme__", "__metrics_path__"
_INTERVAL, _TIMEOUT = "__scrape_interval__", "__scrape_timeout__"
_PARAM = "__param_"
_PORTS = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class Target:
    """What is fetched, how often, and the labels that all of it gets."""

    url: str
    labels: tuple[tuple[str, str], ...]
    interval_seconds: float
    timeout_seconds: float


def targets(config: ScrapeConfig, job: ScrapeJob, discovered: Iterable[Discovered]) -> tuple[set[Target], list[str]]:
    """Return the targets that the job's rules leave of what was discovered, and what is wrong with others."""
    rules = Rules(job.relabel_configs)
    found: set[Target] = set()
    wrong: list[str] = []
    for each in discovered:
        labels = rules.applied(_defaults(config, job) | dict(each))
        if labels is None:
            continue
        try:
            found.add(_target(job, labels))
        except ValueError as error:
            wrong.append(f"job {job.job_name}: {dict(each).get(_ADDRESS, '')}: {error}"[:300])
    return found, wrong


def _defaults(config: ScrapeConfig, job: ScrapeJob) -> Labels:
    return {
        "job": job.job_name,
        _SCHEME: job.scheme,
        _PATH: job.metrics_path,
        _INTERVAL: f"{round(config.interval_seconds(job) * 1_000)}ms",
        _TIMEOUT: f"{round(config.timeout_seconds(job) * 1_000)}ms",
        **{_PARAM + name: values[0] for name, values in job.params.items() if values},
    }


def _target(job: ScrapeJob, labels: Labels) -> Target:
    address, scheme = labels.get(_ADDRESS, ""), labels.get(_SCHEME, "http")
    if not address:
        raise ValueError("the rules leave no __address__")
    if "/" in address or "@" in address or any(ord(char) <= ord(" ") for char in address):
        raise ValueError("__address__ is not HOST:PORT")
    if scheme not in _PORTS:
        raise ValueError(f"__scheme__ is {scheme!r}, neither http nor https")
    if not address.rpartition(":")[2].isdigit():
        address += ":" + _PORTS[scheme]
    # The first value of a parameter may be relabelled, the others stay.
    params = {name: list(values) for name, values in job.params.items()}
    for name, value in labels.items():
        if name.startswith(_PARAM):
            params[name.removeprefix(_PARAM)] = [value, *params.get(name.removeprefix(_PARAM), [])[1:]]
    query = "?" + urlencode(params, doseq=True) if params else ""
    path = labels.get(_PATH, "/")
    kept = {name: value for name, value in labels.items() if not name.startswith("__")}
    return Target(
        url=f"{scheme}://{address}{path if path.startswith('/') else '/' + path}{query}",
        labels=tuple(sorted({"instance": address, **kept}.items())),
        interval_seconds=float(seconds(labels.get(_INTERVAL, ""))),
        timeout_seconds=float(seconds(labels.get(_TIMEOUT, ""))),
    )


def merged(scraped: Labels, target: Target, *, honor_labels: bool) -> Labels:
    """Return a scraped series' labels with its target's: one wins, and the target's otherwise rename the other's."""
    if honor_labels:
        return {**dict(target.labels), **scraped}
    labels = dict(scraped)
    own = dict(target.labels)
    for name in own.keys() & scraped.keys():
        exported = "exported_" + name
        while exported in labels or exported in own:
            exported = "exported_" + exported
        labels[exported] = labels.pop(name)
    return {**labels, **own}
