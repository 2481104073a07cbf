"""What is remembered of one supplier besides its quotes and payments, and the facts that follow from it."""
