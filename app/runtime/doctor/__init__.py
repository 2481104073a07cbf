"""Checks whether everything is as a group of workers needs it."""
