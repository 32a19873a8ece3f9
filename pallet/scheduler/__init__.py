"""The queue of pods, the loop that schedules them, and what is written about it."""
