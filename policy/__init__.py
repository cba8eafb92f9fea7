"""The mathematics: numpy only, no clock, no disk, no hidden randomness."""

VERSION = "0.1.0"  # of all of Turnpike
