"""Generated names point to their owners; given names stay."""

import pytest

from streams.rates.names import workload_of

NAMES = [
    pytest.param("Pod", "web-5f6d8c7b9d-x2vzq", "web", id="deployments-pod"),
    pytest.param("Pod", "web-x2vzq", "web", id="daemonsets-pod"),
    pytest.param("Pod", "db-0", "db", id="statefulsets-pod"),
    pytest.param("Pod", "db-1234", "db", id="the-last-of-many"),
    pytest.param("Pod", "backup-29312345-x2vzq", "backup", id="cronjobs-pod"),
    pytest.param("Pod", "api-000", "api-000", id="no-ordinal-has-zeros-before-it"),
    pytest.param("Pod", "my-nginx", "my-nginx", id="vowels-are-never-generated"),
    pytest.param("Pod", "bcdfg-x2vzq", "bcdfg", id="one-suffix-of-five"),
    pytest.param("Pod", "-0", "-0", id="nothing-would-be-left"),
    pytest.param("ReplicaSet", "web-5f6d8c7b9d", "web", id="replicaset"),
    pytest.param("ReplicaSet", "web-x2vzq", "web-x2vzq", id="no-hash-is-so-short"),
    pytest.param("Job", "backup-29312345", "backup", id="cronjobs-job"),
    pytest.param("Job", "migrate-2", "migrate-2", id="a-job-by-hand"),
    pytest.param("Deployment", "web-5f6d8c7b9d", "web-5f6d8c7b9d", id="of-a-deployment-nothing-is-taken"),
]


@pytest.mark.parametrize(("kind", "name", "workload"), NAMES)
def test_the_workload_of_a_name(kind: str, name: str, workload: str) -> None:
    assert workload_of(kind, name) == workload
