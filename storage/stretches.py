"""A stretch of the log as a partitioned fold asks for it, beside its events."""

# What teaches is what `teaches` says of an event; an imported eval lets no time pass.
NEWEST_LESSON = """
SELECT COALESCE(max(l.at_s), 0.0) AS at_s FROM (
    SELECT max(o.at_s) AS at_s FROM outcomes o
    WHERE o.seq > :after AND o.seq <= :upto
        AND o.status = 'ok' AND o.cache = 'miss' AND o.usage_estimated = 0
    UNION ALL
    SELECT max(f.at_s) AS at_s FROM feedback f
    WHERE f.seq > :after AND f.seq <= :upto AND f.excluded = 0
) l
"""
