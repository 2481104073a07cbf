"""Exports topics and recordings to Parquet. Only `vigil export` imports it: it needs the extra `export` (pyarrow)."""
