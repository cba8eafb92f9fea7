"""`python -m app`: the command line. Whoever interrupts it is told nothing: 130 says so."""

import sys

INTERRUPTED = 130

try:
    from app.commands.cli import main
    from app.given import command

    main(prog_name=command())
except KeyboardInterrupt:
    sys.exit(INTERRUPTED)
