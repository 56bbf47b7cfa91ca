"""The metadata: a description of the runtime for clients, generated from the pallets' declarations."""

from runtime.metadata.build import METADATA_VERSIONS, build_metadata

__all__ = ["METADATA_VERSIONS", "build_metadata"]
