"""What the API server answers when it refuses, as `metav1.Status`."""

from typing import Any

from abdrift.simulation.kinds import Kind
from abdrift.simulation.objects import Object


class ApiError(Exception):
    """A refusal: an HTTP status code, a reason and a message in the API server's words."""

    def __init__(self, code: int, reason: str, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.details = details or {}

    def status(self) -> Object:
        """Give the Status object that goes into the body."""
        status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "code": self.code,
        }
        if self.details:
            status["details"] = self.details
        return status


def _details(kind: Kind, name: str) -> Object:
    return {"name": name, "group": kind.group, "kind": kind.plural}


def not_found(kind: Kind, name: str) -> ApiError:
    """404: no such object."""
    return ApiError(404, "NotFound", f'{kind.resource} "{name}" not found', _details(kind, name))


def no_such_path() -> ApiError:
    """404: no such kind or path."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def already_exists(kind: Kind, name: str) -> ApiError:
    """409: created twice."""
    return ApiError(409, "AlreadyExists", f'{kind.resource} "{name}" already exists', _details(kind, name))


def modified(kind: Kind, name: str) -> ApiError:
    """409: a write against an older version."""
    message = (
        f'Operation cannot be fulfilled on {kind.resource} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    return ApiError(409, "Conflict", message, _details(kind, name))


def apply_conflict(conflicts: list[tuple[str, str]]) -> ApiError:
    """409: a server-side apply without force over fields of others, as (manager, field) pairs."""
    managers = sorted({manager for manager, _ in conflicts})
    word = "conflict" if len(conflicts) == 1 else "conflicts"
    listed = "\n".join(f'conflict with "{manager}": {field}' for manager, field in conflicts)
    causes = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{manager}"', "field": field}
        for manager, field in conflicts
    ]
    message = f"Apply failed with {len(conflicts)} {word}: {listed or ', '.join(managers)}"
    return ApiError(409, "Conflict", message, {"causes": causes})


def invalid(kind: Kind, name: str, problems: list[str]) -> ApiError:
    """422: validation refused it."""
    text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
    return ApiError(422, "Invalid", f'{kind.qualified} "{name}" is invalid: {text}', _details(kind, name))


def expired(requested: int, oldest: int) -> ApiError:
    """410: the version is older than the history kept."""
    return ApiError(410, "Expired", f"too old resource version: {requested} ({oldest})")


def bad_request(message: Any) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", str(message))


def forbidden(user: str, verb: str, kind: Kind, namespace: str, name: str) -> ApiError:
    """403: the user's role does not allow it."""
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    subject = f'{kind.resource} "{name}"' if name else kind.resource
    message = (
        f'{subject} is forbidden: User "{user}" cannot {verb} resource "{kind.plural}" '
        f'in API group "{kind.group}" {where}'
    )
    return ApiError(403, "Forbidden", message, {"group": kind.group, "kind": kind.plural})
