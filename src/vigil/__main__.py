"""`python -m vigil` is the command `vigil`."""

from vigil.app.cli.main import main

main()
