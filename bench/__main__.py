"""`python -m bench`: measured claims, each from one command."""

import os
import signal

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: one thread for each process

from bench.cli import main

if __name__ == "__main__":
    for each in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(each) == signal.SIG_DFL:  # nohup has the second ignored
            signal.signal(each, signal.default_int_handler)  # as Ctrl-C: nothing is left behind
    main(prog_name="python -m bench")
