"""`python -m deploy.grafana` writes the dashboards anew, from the repository's root."""

from deploy.grafana.generate import write

for file in write():
    print(file)  # noqa: T201  a program for people
