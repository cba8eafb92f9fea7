"""Work that nobody waits for: retrain, report, prune, and the scheduler."""
