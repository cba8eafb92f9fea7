"""`python -m app`: the command line. Whoever interrupts it is told nothing: 130 says so."""

import signal
import sys

INTERRUPTED = 130

for each in (signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(each) == signal.SIG_DFL:  # nohup has the second ignored
        signal.signal(each, signal.default_int_handler)  # as Ctrl-C: nothing is left behind

try:
    import structlog

    from app.commands.cli import main
    from app.given import command

    # What is told on the way is no result: that alone goes to standard output.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    main(prog_name=command())
except KeyboardInterrupt:
    sys.exit(INTERRUPTED)
