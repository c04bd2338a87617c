"""Private tables: rows from CSV, Parquet or a database, checked against the DDO's schema."""

from rtt_tracer.tables.table import PrivateTable, alignment, open_table, read_ids, write_ids

__all__ = ["PrivateTable", "alignment", "open_table", "read_ids", "write_ids"]
