"""Measurements, each a ratio or a distribution within one run; nothing here is asserted by a test."""
