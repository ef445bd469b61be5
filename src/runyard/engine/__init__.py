"""The running parts: a worker and the loops that keep the store in order."""
