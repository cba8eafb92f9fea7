"""What an adopted policy had learned when it was adopted, for processes that have no such file.

A retrain saves it as a snapshot on the machine where it ran. On other machines the same bytes are
taken from the log, so that all start from the same state, to the last bit, and need not fold the
whole log while they serve.
"""

from dataclasses import dataclass

TABLES = """
CREATE TABLE states (
    policy_version INTEGER PRIMARY KEY,
    upto_seq INTEGER NOT NULL,
    content BLOB NOT NULL
) STRICT
"""

STATE = "SELECT * FROM states WHERE policy_version = :version"

# The newest few: an older version is gone back to under a new number.
FORGET = "DELETE FROM states WHERE policy_version < :version - 3"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """The bytes of a snapshot, of which policy version, and which event it has learned up to."""

    policy_version: int
    upto_seq: int
    content: bytes
