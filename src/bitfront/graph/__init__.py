"""The captured model, as plain data."""
