"""Measured claims: replay, peers, load."""
