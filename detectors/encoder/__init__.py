"""The space-time encoder: model and training (torch), export, and running it (ONNX Runtime)."""
