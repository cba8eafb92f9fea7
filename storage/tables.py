"""The tables of the log as they were first; `migrations.py` has what came since.

They mirror `records.py` column by column. Times are seconds since 1970, money is US dollars,
vectors are little-endian float64, lists and mappings are JSON.
"""

TABLES = """
CREATE TABLE log_position (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL
) STRICT;

INSERT INTO log_position (one, seq) VALUES (1, 0);

CREATE TABLE decisions (
    id TEXT PRIMARY KEY,
    decided_at_s REAL NOT NULL,
    tenant TEXT NOT NULL,
    task TEXT,
    session TEXT,
    policy TEXT NOT NULL,
    policy_version INTEGER NOT NULL,
    learned_seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    retry_of TEXT REFERENCES decisions (id),
    arm TEXT NOT NULL,
    propensity REAL NOT NULL CHECK (propensity > 0 AND propensity <= 1),
    eligible TEXT NOT NULL,
    propensities TEXT NOT NULL,
    quality TEXT NOT NULL,
    quality_sd TEXT NOT NULL,
    cost_usd_predicted TEXT NOT NULL,
    ineligible TEXT NOT NULL,
    willingness_to_pay_usd REAL NOT NULL,
    explore INTEGER NOT NULL,
    allowance REAL NOT NULL,
    feature_version INTEGER NOT NULL,
    context BLOB NOT NULL,
    sketch BLOB NOT NULL,
    input_tokens_estimated INTEGER NOT NULL,
    prompt_sha256 TEXT NOT NULL,
    words INTEGER NOT NULL,
    sandbox INTEGER NOT NULL
) STRICT;

CREATE INDEX decisions_by_time ON decisions (decided_at_s, id);

CREATE TABLE attempts (
    decision_id TEXT NOT NULL REFERENCES decisions (id),
    n INTEGER NOT NULL,
    arm TEXT NOT NULL,
    started_at_s REAL NOT NULL,
    latency_s REAL NOT NULL,
    ttft_s REAL,
    status TEXT NOT NULL,
    http_status INTEGER,
    message TEXT,
    input_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_usd REAL NOT NULL,
    PRIMARY KEY (decision_id, n)
) STRICT;

CREATE TABLE outcomes (
    decision_id TEXT PRIMARY KEY REFERENCES decisions (id),
    at_s REAL NOT NULL,
    arm TEXT NOT NULL,
    status TEXT NOT NULL,
    finish_reason TEXT,
    model TEXT,
    input_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    usage_estimated INTEGER NOT NULL,
    cost_usd REAL NOT NULL,
    latency_s REAL NOT NULL,
    ttft_s REAL,
    cache TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    seq INTEGER NOT NULL UNIQUE
) STRICT;

CREATE INDEX outcomes_by_time ON outcomes (at_s);

CREATE TABLE feedback (
    decision_id TEXT NOT NULL REFERENCES decisions (id),
    rater TEXT NOT NULL,
    revision INTEGER NOT NULL,
    at_s REAL NOT NULL,
    reward REAL CHECK (reward >= 0 AND reward <= 1),
    comment TEXT,
    arm TEXT NOT NULL,
    excluded INTEGER NOT NULL,
    seq INTEGER NOT NULL UNIQUE,
    PRIMARY KEY (decision_id, rater, revision)
) STRICT;

CREATE INDEX feedback_by_time ON feedback (at_s);

CREATE TABLE evals (
    batch TEXT NOT NULL,
    at_s REAL NOT NULL,
    prompt_sha256 TEXT NOT NULL,
    task TEXT,
    sketch BLOB NOT NULL,
    arm TEXT NOT NULL,
    score REAL NOT NULL CHECK (score >= 0 AND score <= 1),
    seq INTEGER NOT NULL UNIQUE,
    PRIMARY KEY (batch, prompt_sha256, arm)
) STRICT;

CREATE TABLE policies (
    version INTEGER PRIMARY KEY,
    created_at_s REAL NOT NULL,
    source TEXT NOT NULL,
    feature_version INTEGER NOT NULL,
    space BLOB NOT NULL,
    hyper TEXT NOT NULL,
    seq INTEGER NOT NULL UNIQUE
) STRICT;

CREATE TABLE retrains (
    id TEXT PRIMARY KEY,
    started_at_s REAL NOT NULL,
    ended_at_s REAL NOT NULL,
    trigger TEXT NOT NULL,
    incumbent_version INTEGER NOT NULL,
    candidate_version INTEGER,
    promoted INTEGER NOT NULL,
    reason TEXT NOT NULL,
    report TEXT NOT NULL
) STRICT;

CREATE TABLE snapshots (
    policy_version INTEGER NOT NULL,
    upto_seq INTEGER NOT NULL,
    path TEXT PRIMARY KEY,
    sha256 TEXT NOT NULL,
    created_at_s REAL NOT NULL
) STRICT;

CREATE TABLE handovers (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    received_at_s REAL NOT NULL
) STRICT;
"""
