"""The command line: each command of `python -m app`, and what it does."""
