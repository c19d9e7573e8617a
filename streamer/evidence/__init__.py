"""What shows an event: a picture with the place drawn in, a clip with seconds before and after."""
