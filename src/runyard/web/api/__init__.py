"""The REST endpoints, one module for each kind of thing."""
