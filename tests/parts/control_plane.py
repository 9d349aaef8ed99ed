"""A real Kubernetes control plane on loopback: etcd, kube-apiserver, kube-controller-manager. No kubelet."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from tests.parts import pki, programs
from tests.parts.credentials import Credentials
from tests.parts.loopback import HOST, answers
from tests.parts.process import Part, Program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.parts.guard import Guard
    from tests.parts.loopback import Ports

FLUX_NAMESPACE = "flux-system"
CONTROLLER_MANAGER = "system:kube-controller-manager"
MASTERS = "system:masters"
# A person's group: its rights come from RBAC (`manifests/cluster.yaml`), so that admission and audit see a person.
EDITORS = "editors"

# What changes objects by itself in a real cluster, as far as no kubelet is needed. Nodes' life cycle is left out: it
# would call every Node that a test creates unreachable.
CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "horizontal-pod-autoscaler-controller",
    "job-controller",
    "namespace-controller",
    "replicaset-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "statefulset-controller",
    "validatingadmissionpolicy-status-controller",
)

# The first rule that matches decides. Reads are kept for those whose rights are tested, writes for all.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "resources": [{"group": "coordination.k8s.io"}, {"resources": ["events"]}]},
        {"level": "None", "users": ["system:apiserver", CONTROLLER_MANAGER], "verbs": ["get", "list", "watch"]},
        {
            "level": "None",
            "userGroups": ["system:serviceaccounts:kube-system", f"system:serviceaccounts:{FLUX_NAMESPACE}"],
            "verbs": ["get", "list", "watch"],
        },
        {"level": "Metadata", "verbs": ["get", "list", "watch"]},
        {"level": "Metadata", "resources": [{"resources": ["secrets", "serviceaccounts/token"]}]},
        {"level": "Request"},
    ],
}


@dataclass(frozen=True)
class _User:
    name: str
    groups: tuple[str, ...]
    token: str

    def csv_line(self) -> str:
        groups = f',"{",".join(self.groups)}"' if self.groups else ""
        return f"{self.token},{self.name},{self.name}{groups}\n"


class ControlPlane:
    """etcd, API server and controller manager with their own ports, keys and data under `folder`."""

    def __init__(self, folder: Path, kubernetes: Path, ports: Ports, guard: Guard) -> None:
        self.folder = folder
        self.audit_log = folder / "audit.jsonl"
        self._kubernetes = kubernetes
        self._pki = pki.create(folder / "pki")
        self._users = {user.name: user for user in _users()}
        etcd_port, peer_port, api_port, manager_port = (ports.take() for _ in range(4))
        self.api_port = api_port
        self.server = f"https://{HOST}:{api_port}"
        self._etcd_url = f"http://{HOST}:{etcd_port}"
        self.etcd = Part(self._etcd(f"http://{HOST}:{peer_port}"), guard)
        self.apiserver = Part(self._apiserver(api_port), guard)
        self.controller_manager = Part(self._controller_manager(manager_port), guard)

    @property
    def parts(self) -> Sequence[Part]:
        """All parts, in the order to start them."""
        return (self.etcd, self.apiserver, self.controller_manager)

    def start(self) -> None:
        """Start all parts and wait until the API server and the controllers are ready."""
        for part in self.parts:
            part.start()

    def credentials(self, user: str) -> Credentials:
        """Return the credentials of a known user. Raises `KeyError`, naming those there are."""
        if user not in self._users:
            raise KeyError(f"no user {user!r}; there are {', '.join(self._users)}")
        return self.token_credentials(user, self._users[user].token)

    def token_credentials(self, user: str, token: str) -> Credentials:
        """Return credentials for `token`, issued by this API server to `user`."""
        return Credentials(self.server, self._pki.ca.read_text(), user, token)

    def _etcd(self, peer_url: str) -> Program:
        argv: list[str | Path] = [
            programs.find("etcd"),
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={self._etcd_url}",
            f"--advertise-client-urls={self._etcd_url}",
            f"--listen-peer-urls={peer_url}",
            f"--initial-advertise-peer-urls={peer_url}",
            f"--initial-cluster=default={peer_url}",
        ]
        return Program("etcd", argv, self.folder / "etcd.log", answers(f"{self._etcd_url}/health"))

    def _apiserver(self, port: int) -> Program:
        tokens = self.folder / "pki" / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text("".join(user.csv_line() for user in self._users.values()))
        audit_policy = self.folder / "audit-policy.yaml"
        audit_policy.write_text(yaml.safe_dump(AUDIT_POLICY))
        argv: list[str | Path] = [
            self._kubernetes / "kube-apiserver",
            f"--etcd-servers={self._etcd_url}",
            f"--bind-address={HOST}",
            f"--advertise-address={HOST}",
            f"--secure-port={port}",
            f"--tls-cert-file={self._pki.server_certificate}",
            f"--tls-private-key-file={self._pki.server_key}",
            f"--token-auth-file={tokens}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._pki.service_account_public_key}",
            f"--service-account-signing-key-file={self._pki.service_account_key}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none",
            f"--audit-policy-file={audit_policy}",
            f"--audit-log-path={self.audit_log}",
            # A stop then closes open watches after 2 s instead of waiting a minute for them.
            "--shutdown-send-retry-after=true",
        ]
        ready = answers(f"{self.server}/readyz", self.credentials("admin").tls())
        return Program("kube-apiserver", argv, self.folder / "kube-apiserver.log", ready)

    def _controller_manager(self, port: int) -> Program:
        credentials = self.credentials(CONTROLLER_MANAGER)
        kubeconfig = credentials.write_kubeconfig(self.folder / "controller-manager.kubeconfig")
        argv: list[str | Path] = [
            self._kubernetes / "kube-controller-manager",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--bind-address={HOST}",
            f"--secure-port={port}",
            f"--tls-cert-file={self._pki.server_certificate}",
            f"--tls-private-key-file={self._pki.server_key}",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={self._pki.service_account_key}",
            f"--root-ca-file={self._pki.ca}",
            f"--controllers={','.join(CONTROLLERS)}",
            # 15 s by default, which is how long a test would wait for a scaling
            "--horizontal-pod-autoscaler-sync-period=2s",
        ]
        ready = answers(f"https://{HOST}:{port}/healthz", credentials.tls())
        return Program("kube-controller-manager", argv, self.folder / "kube-controller-manager.log", ready)


def _users() -> list[_User]:
    accounts = ("system:serviceaccounts", f"system:serviceaccounts:{FLUX_NAMESPACE}")
    flux = ("source-controller", "kustomize-controller", "helm-controller", "notification-controller")
    return [
        _User("admin", (MASTERS,), secrets.token_hex(16)),
        _User("alice", (EDITORS,), secrets.token_hex(16)),
        _User(CONTROLLER_MANAGER, (), secrets.token_hex(16)),
        *(_User(f"system:serviceaccount:{FLUX_NAMESPACE}:{name}", accounts, secrets.token_hex(16)) for name in flux),
    ]
