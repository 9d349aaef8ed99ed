"""Who may do what in a simulated cluster: bearer tokens and roles, as much as tests of 401 and 403 need."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

READ = frozenset({"get", "list", "watch"})
WRITE = frozenset({"create", "update", "patch", "delete"})
_FLUX = frozenset({"gitrepositories", "ocirepositories", "helmrepositories", "buckets", "helmcharts"})
_ACTED_ON = _FLUX | {"kustomizations", "helmreleases"}


@dataclass(frozen=True, slots=True)
class Role:
    """What a user may do: verbs on every resource, and verbs on some."""

    everywhere: frozenset[str] = frozenset()
    on: Mapping[str, frozenset[str]] = field(default_factory=dict)
    never: frozenset[str] = frozenset()
    """Resources that `everywhere` leaves out."""

    def allows(self, verb: str, resource: str) -> bool:
        """Whether the verb is allowed on a resource named by its plural."""
        if verb in self.on.get(resource, ()):
            return True
        return verb in self.everywhere and resource not in self.never


ROLES: Mapping[str, Role] = {
    "admin": Role(everywhere=READ | WRITE),
    "alice": Role(everywhere=READ | WRITE),
    "observer": Role(everywhere=READ, never=frozenset({"secrets"})),
    # As deploy/rbac has them: the agent with the opt-in for Helm's storage, and the GitOps sink.
    "agent": Role(everywhere=READ, never=frozenset({"secrets"}), on={"secrets": frozenset({"get"})}),
    "actor": Role(
        on={resource: READ | {"patch"} for resource in _ACTED_ON}
        | {"namespaces": frozenset({"get"}), "configmaps": frozenset({"get"})}
    ),
}
"""Users every cluster knows."""


class Access:
    """Tokens and rights of one cluster."""

    def __init__(self, secret: str) -> None:
        """`secret` makes tokens unique to a fleet and cluster."""
        self._secret = secret
        self._users = {self.token(user): user for user in ROLES}
        self._forbidden: set[tuple[str, str]] = set()

    def token(self, user: str) -> str:
        """Give the bearer token of a user."""
        return hashlib.sha256(f"{self._secret}/{user}".encode()).hexdigest()[:40]

    def user(self, authorization: str) -> str | None:
        """Give the user an `Authorization` header names, None when it is not accepted."""
        scheme, _, token = authorization.partition(" ")
        return self._users.get(token.strip()) if scheme.lower() == "bearer" else None

    def forbid(self, user: str, resource: str) -> None:
        """Take every right on a resource (its plural) away from a user."""
        self._forbidden.add((user, resource))

    def permit(self, user: str, resource: str) -> None:
        """Undo `forbid`."""
        self._forbidden.discard((user, resource))

    def allows(self, user: str, verb: str, resource: str) -> bool:
        """Whether a user may."""
        return (user, resource) not in self._forbidden and ROLES[user].allows(verb, resource)
