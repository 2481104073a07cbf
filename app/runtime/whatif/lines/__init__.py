"""Explains lines of suppliers: obligations, stars of products, participations, permits and other rights."""
