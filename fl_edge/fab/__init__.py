"""Bundles of operation code, and the deterministic FAB that is built from them."""

from fl_edge.fab.build import (
    app_config,
    build_fab,
    effective_config,
    fab_defaults,
    read_fab,
    write_fab,
)
from fl_edge.fab.bundle import (
    Bundle,
    Manifest,
    OperationSource,
    bundle_folder,
    read_bundle,
    read_source,
    write_bundle,
)

__all__ = [
    "Bundle",
    "Manifest",
    "OperationSource",
    "app_config",
    "build_fab",
    "bundle_folder",
    "effective_config",
    "fab_defaults",
    "read_bundle",
    "read_fab",
    "read_source",
    "write_bundle",
    "write_fab",
]
