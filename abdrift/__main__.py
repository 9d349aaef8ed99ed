"""`python -m abdrift` is `abdrift`."""

from abdrift.cli import main

main()
