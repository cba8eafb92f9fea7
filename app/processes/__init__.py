"""The processes: how each starts, what it does beside answering, and how it ends."""
