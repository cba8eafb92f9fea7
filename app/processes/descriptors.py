"""How many connections the file descriptors of a process are enough for.

A process without descriptors left cannot even fail in order: the loop's own pipes need some, and
libev ends the process where it gets none. So no more clients are let in than there is room for.
"""

import resource

OURS = 128
"""For the log, the loop and its threads, whatever is under way."""
EACH = 3
"""For a client, its provider's connection, and the look-up of a name before it."""


def make_room(connections: int) -> int:
    """Return how many of so many connections fit, after taking all the descriptors they need.

    What the system lets a process take at most, its hard limit, stays.
    """
    wanted = OURS + EACH * connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    room = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(room, soft), hard))
    return max(1, min(connections, (room - OURS) // EACH))
