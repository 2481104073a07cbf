"""Rulebooks that are published while workers run: the topic `rulebook`, who publishes to it, and who follows it."""
