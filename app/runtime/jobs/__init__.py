"""The processes between which a replay divides its rooms and suppliers."""
