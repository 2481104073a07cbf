"""Growth stages, and lines of programmes: who claimed what, what is done for it, what it gives."""
