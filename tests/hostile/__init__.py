"""Broken and hostile input of every kind, from valid files that are changed at random."""
