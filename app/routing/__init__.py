"""Routing, free of HTTP: which arm is asked, what is learned, and what may be spent."""
