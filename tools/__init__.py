"""Programs for those who work on Vigil; nothing of the product imports them."""
