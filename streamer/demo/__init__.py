"""The demonstration: a rendered world, served as RTSP cameras, watched by the real program."""
