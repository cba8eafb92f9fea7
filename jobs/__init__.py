"""Work that nobody waits for: retrain, report, forget, and the scheduler."""
