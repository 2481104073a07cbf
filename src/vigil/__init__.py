"""Vigil: moderates live-commerce rooms and keeps suppliers' RFQ metrics, on Kafka and Faust.

The sub-packages `app`, `agents` and `topics` are symbolic links to the folders of the same name at the top of the
repository, so that an installed Vigil claims the import name `vigil` alone (docs/adr/0013-import-root.md).
"""
