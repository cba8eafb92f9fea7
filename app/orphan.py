"""End with the parent: a child process of ours must not outlive the one that started it."""

import os
import signal
import threading
import time

EVERY_S = 1.0


def end_with_parent() -> None:
    """Send ourselves SIGTERM once the parent process is gone, however it went."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(EVERY_S)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent watch", daemon=True).start()
