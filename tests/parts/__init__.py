"""Real parts for the tests: Kubernetes' control plane, Flux and Git, built or found, started and stopped.

Here is what a cluster is made of, and nothing of Abdrift: no module here imports the package under test, so that a
mistake there can't hide in its own test bed. Versions are pinned in `versions`, binaries are kept by `store`,
processes are run by `process`; a test asks for the fixtures of `tests/conftest.py`.
"""
