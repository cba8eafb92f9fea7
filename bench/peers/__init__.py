"""Other people's routers and bandits on the same prompts: each in a virtual environment of its own.

A peer runs as a process of its own (`bench/peers/worker.py`) and is told, in JSON lines, what the
service's router would be told. None of its libraries is one of ours.
"""
