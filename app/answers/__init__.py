"""Stored answers: which requests may be given one again, and which ask the same."""
