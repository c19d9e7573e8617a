"""Capture: from a source to the frames and windows that analysis takes."""
