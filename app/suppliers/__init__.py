"""Suppliers: their RFQ metrics, the service score within their industry, and the pins of each RFQ; pure."""

from app.suppliers.industries import IndustriesLogic
from app.suppliers.pins import RfqsLogic
from app.suppliers.suppliers import SuppliersLogic

__all__ = ["IndustriesLogic", "RfqsLogic", "SuppliersLogic"]
