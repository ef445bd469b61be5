"""What Runyard is about: jobs, their life cycle and their graphs. Pure; no I/O."""
