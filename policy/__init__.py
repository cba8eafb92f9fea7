"""The mathematics: numpy only, no clock, no disk, no hidden randomness."""
