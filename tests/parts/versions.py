"""Which version of each real part the tests run. The wrapper modules under `go/` pin the same, hash by hash."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

WRAPPERS = Path(__file__).parent / "go"


@dataclass(frozen=True)
class GoPart:
    """Programs built from one Go module, through the wrapper module `go/<name>`.

    `version_symbol` is the variable that the linker sets to `version`. `cold_build_minutes` is what a build took on
    2 cores with nothing cached; it only tells people how long to wait.
    """

    name: str
    module: str
    version: str
    packages: tuple[str, ...]
    version_symbol: str
    cold_build_minutes: int
    has_crds: bool = False
    tags: str = ""

    @property
    def wrapper(self) -> Path:
        """The folder with the `go.mod` and `go.sum` that lock every module this part is made of."""
        return WRAPPERS / self.name


def _flux_controller(name: str, version: str, cold_build_minutes: int) -> GoPart:
    module = f"github.com/fluxcd/{name}"
    return GoPart(name, module, version, (module,), "main.VERSION", cold_build_minutes, has_crds=True)


KUBERNETES = GoPart(
    name="kube",
    module="k8s.io/kubernetes",
    version="v1.34.4",
    packages=("k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    version_symbol="k8s.io/component-base/version.gitVersion",
    cold_build_minutes=5,
)
# One coherent set: Flux 2.7, whose controllers are built against Kubernetes 1.34's libraries.
SOURCE_CONTROLLER = _flux_controller("source-controller", "v1.7.3", cold_build_minutes=4)
KUSTOMIZE_CONTROLLER = _flux_controller("kustomize-controller", "v1.7.3", cold_build_minutes=3)
HELM_CONTROLLER = _flux_controller("helm-controller", "v1.4.0", cold_build_minutes=3)

# The newest of its kind that a module can be had of; it speaks to no other controller.
NOTIFICATION_CONTROLLER = _flux_controller("notification-controller", "v1.6.0", cold_build_minutes=4)

# Without the clouds' discoveries, which are most of it.
PROMETHEUS = GoPart(
    name="prometheus",
    module="github.com/prometheus/prometheus",
    version="v0.316.0",
    packages=("github.com/prometheus/prometheus/cmd/prometheus",),
    version_symbol="github.com/prometheus/common/version.Version",
    cold_build_minutes=3,
    tags="remove_all_sd",
)

FLUX_CONTROLLERS = (SOURCE_CONTROLLER, KUSTOMIZE_CONTROLLER, HELM_CONTROLLER)
"""What every cluster with Flux runs."""

# A client of Beats' protocol: `main.go` in the wrapper sends what it reads.
GO_LUMBER = GoPart(
    name="go-lumber",
    module="github.com/elastic/go-lumber",
    version="v0.1.0",
    packages=(".",),
    version_symbol="main.version",
    cold_build_minutes=1,
)

# Its jars are locked in `java/elasticsearch.lock`.
ELASTICSEARCH_VERSION = "9.5.3"
ECJ_VERSION = "3.42.0"

# What `docker compose config` reads its file by; `main.go` in the wrapper prints what it read.
COMPOSE_GO = GoPart(
    name="compose-go",
    module="github.com/compose-spec/compose-go/v2",
    version="v2.16.2",
    packages=(".",),
    version_symbol="main.version",
    cold_build_minutes=1,
)

GO_PARTS = (KUBERNETES, *FLUX_CONTROLLERS, NOTIFICATION_CONTROLLER, PROMETHEUS, GO_LUMBER, COMPOSE_GO)

# The newest `go` line of the wrapper modules; Go refuses an older toolchain, with a message that names no way out.
GO_MINIMUM = (1, 26)

# Debian's packages carry these; any release that has them will do, bookworm's (3.4.23, 1.7.1) being the oldest tried.
# Prometheus 2.42 and Alertmanager 0.25.
DEBIAN_PACKAGES = {
    "etcd": "etcd-server",
    "kcat": "kcat",
    "git": "git",
    "rsyslogd": "rsyslog",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "prometheus-node-exporter": "prometheus-node-exporter",
    "chromium": "chromium",
}
DEBIAN_FILES = {"usr/lib/*/rsyslog/omkafka.so": "rsyslog-kafka"}
"""Packages that bring no program of their own, by a file of theirs."""
SERVICES = {
    "rsyslog": "rsyslog.service",
    "etcd-server": "etcd.service",
    "prometheus": "prometheus.service",
    "prometheus-alertmanager": "prometheus-alertmanager.service",
    "prometheus-node-exporter": "prometheus-node-exporter.service",
}
"""What a package enables by itself."""
