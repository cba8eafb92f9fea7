"""The views: what our own queries use as well, and what people find who open the log by hand.

Days and times are UTC, as on the pages and in the report.
"""

VIEWS = """
CREATE VIEW feedback_effective AS
SELECT f.decision_id, f.rater, f.revision, f.at_s, f.reward, f.comment, f.arm, f.excluded, f.seq
FROM feedback f
WHERE f.reward IS NOT NULL
  AND f.revision = (SELECT max(l.revision) FROM feedback l
                    WHERE l.decision_id = f.decision_id AND l.rater = f.rater);

CREATE VIEW decisions_readable AS
SELECT
    datetime(d.decided_at_s, 'unixepoch') AS decided_at,
    d.id, d.tenant, d.task, d.kind, d.policy, d.policy_version, d.arm, d.propensity,
    (SELECT group_concat(c.chance, ', ') FROM (
        SELECT a.value || ' ' || printf('%.2f', CAST(p.value AS REAL)) AS chance
        FROM json_each(d.eligible) a JOIN json_each(d.propensities) p ON p.key = a.key
        ORDER BY CAST(p.value AS REAL) DESC, a.key) c) AS propensities,
    (SELECT CAST(c.value AS REAL)
        FROM json_each(d.eligible) a JOIN json_each(d.cost_usd_predicted) c ON c.key = a.key
        WHERE a.value = d.arm) AS cost_usd_predicted,
    o.cost_usd, o.arm AS answered_by, o.status, o.latency_s, o.ttft_s, o.cache,
    o.input_tokens, o.output_tokens,
    (SELECT avg(e.reward) FROM feedback_effective e WHERE e.decision_id = d.id) AS reward
FROM decisions d LEFT JOIN outcomes o ON o.decision_id = d.id
ORDER BY d.decided_at_s DESC, d.id DESC;

CREATE VIEW savings AS
WITH RECURSIVE followed (id, first_id, predicted) AS (
    SELECT id, id, cost_usd_predicted FROM decisions WHERE retry_of IS NULL
    UNION ALL
    SELECT d.id, f.first_id, f.predicted FROM followed f JOIN decisions d ON d.retry_of = f.id)
SELECT day, arm, sandbox, sum(answered) AS requests,
    sum(cost_usd) AS cost_usd,
    sum(compared_usd) AS cost_usd_if_dearest,
    sum(compared_usd) - sum(cost_usd) AS saved_usd,
    avg(CASE WHEN answered = 1 THEN reward END) AS mean_reward,
    avg(CASE WHEN answered = 0 THEN NULL WHEN reward IS NULL THEN 0.0 ELSE 1.0 END) AS rated_share
FROM (
    SELECT day, arm, sandbox, cost_usd, reward, answered,
        CASE WHEN answered = 1 THEN dearest_usd
            -- What was paid before another arm answered is paid on our side alone, what came to
            -- nothing on both.
            WHEN max(answered) OVER (PARTITION BY first_id) = 1 THEN 0.0
            ELSE cost_usd END AS compared_usd
    FROM (
        SELECT date(o.at_s, 'unixepoch') AS day, o.arm, d.sandbox, o.cost_usd,
            f.first_id, CASE WHEN o.status IN ('ok', 'filtered') THEN 1 ELSE 0 END AS answered,
            (SELECT max(CAST(c.value AS REAL)) FROM json_each(f.predicted) c) AS dearest_usd,
            (SELECT avg(e.reward) FROM feedback_effective e
                WHERE e.decision_id = d.id AND e.excluded = 0) AS reward
        FROM followed f JOIN decisions d ON d.id = f.id JOIN outcomes o ON o.decision_id = d.id) o
    ) o
GROUP BY day, arm, sandbox
ORDER BY day DESC, cost_usd DESC
"""

REMADE = f"""
DROP VIEW savings;
DROP VIEW decisions_readable;
DROP VIEW feedback_effective;
{VIEWS}
"""
