"""Runyard from Python."""
