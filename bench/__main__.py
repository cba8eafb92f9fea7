"""`python -m bench`: measured claims, each from one command."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: one thread for each process

from bench.cli import main

if __name__ == "__main__":
    main(prog_name="python -m bench")
