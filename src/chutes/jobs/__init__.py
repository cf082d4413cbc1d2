"""Durable runs of background functions: accepted means stored, and what was interrupted is run again."""
