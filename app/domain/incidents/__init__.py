"""What wants somebody's attention in rooms, from its first warning to its end."""
