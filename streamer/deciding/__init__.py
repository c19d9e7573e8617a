"""Deciding again what alerts stored scores give, and what follows: tune, compare, explain."""
