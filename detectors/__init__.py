"""From windows of frames to scores: motion, encoder, normality, calibration."""
