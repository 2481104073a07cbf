"""Suppliers: the metrics of their RFQs and orders, and the profiles behind them."""
