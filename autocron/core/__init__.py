"""What autocron decides: pure functions over frozen values.

Nothing in here reads a clock, a file, an environment variable or a random number, and nothing
imports the rest of autocron. Time, chance and zones are handed in.
"""
