"""End with the parent: a child process of ours must not outlive the one that started it."""

import os
import signal
import threading
import time

PARENT = "TURNPIKE_PARENT_PID"
EVERY_S = 1.0


def end_with_parent() -> None:
    """Send ourselves SIGTERM once the process that PARENT names is gone, however it went.

    The name was given at the start: a parent that died before we could ask would be missed.
    """
    parent = os.environ.get(PARENT)
    if parent is None:
        return

    def watch() -> None:
        while str(os.getppid()) == parent:
            time.sleep(EVERY_S)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent watch", daemon=True).start()
