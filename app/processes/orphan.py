"""End with the parent: a child process of ours must not outlive the one that started it."""

import os
import signal
import threading
import time

PARENT = "TURNPIKE_PARENT_PID"
EVERY_S = 1.0


def end_with_parent() -> None:
    """Send ourselves and all that we have started SIGTERM once the process of PARENT is gone.

    The name was given at the start: a parent that died before we could ask would be missed. Who is
    given one leads a session of its own.
    """
    parent = os.environ.get(PARENT)
    if parent is None:
        return

    def watch() -> None:
        while str(os.getppid()) == parent:
            time.sleep(EVERY_S)
        os.killpg(os.getpgrp(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent watch", daemon=True).start()
