"""What a supplier sees of buyers, takes part in and may do."""
