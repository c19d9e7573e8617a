"""The program: its cameras, and what it does with what they show."""
