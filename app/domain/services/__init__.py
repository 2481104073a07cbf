"""Lines of duties: what is due of a supplier, or of the marketplace towards it."""
