"""Keeping a camera's footage, without re-encoding it: segments, their index, budgets."""
