"""Run processes: start, watch, limit, end them and keep their output. Knows nothing of a store."""
