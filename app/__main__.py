"""`python -m app`: the command line. Whoever interrupts it is told nothing: 130 says so."""

import sys

INTERRUPTED = 130

try:
    import structlog

    from app.commands.cli import main
    from app.given import command

    # What is told on the way is no result: that alone goes to standard output.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    main(prog_name=command())
except KeyboardInterrupt:
    sys.exit(INTERRUPTED)
