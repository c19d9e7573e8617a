"""`report.html` of a replay: what was told, and what other settings would have told."""
