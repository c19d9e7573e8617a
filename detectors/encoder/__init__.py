"""The Sora encoder: the model, how it is trained and exported, and how it is run."""
