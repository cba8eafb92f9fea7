"""The HTTP API: what may come in, what goes out, and who may use which endpoint."""
