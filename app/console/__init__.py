"""The web console for moderators: views folded from Vigil's topics, holding no truth of their own."""
