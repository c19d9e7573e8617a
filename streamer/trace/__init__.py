"""The trace on disk: what the detector said of every window, to be decided on anew."""
