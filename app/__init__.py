"""Vigil: moderates live-commerce rooms and keeps suppliers' RFQ metrics, both in real time."""
