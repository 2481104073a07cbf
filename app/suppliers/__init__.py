"""Suppliers: their RFQ metrics, the service score within their industry, and the pins of each RFQ; pure."""
