"""From scores and camera states to numbered, durable events on ZeroMQ."""
