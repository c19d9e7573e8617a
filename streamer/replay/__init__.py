"""Replay: recorded footage through the live path, to a trace and the events that it gives."""
