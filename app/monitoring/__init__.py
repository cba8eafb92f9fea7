"""Monitoring: figures, metrics, traces and alarms, and what somebody should look at."""
