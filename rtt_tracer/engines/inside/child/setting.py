"""SPU's configuration of a run: protocol, ring and precision follow from the parameters."""

from collections.abc import Mapping
from typing import Any

import spu
from spu import libspu

from .failure import PROTOCOL_INSECURE, Failure

PARTIES: Mapping[str, tuple[int, int]] = {
    "ABY3": (3, 3),
    "SECURENN": (3, 3),
    "CHEETAH": (2, 2),
    "SEMI2K": (2, 16),
}
"""Protocol → fewest and most parties. Named one by one: SPU itself also has REF2K, in the clear."""

FIELDS: Mapping[str, int] = {"FM64": 64, "FM128": 128}
DEALER = "insecure-dealer"


def runtime_config(protocol: str, world: int, parameters: Mapping[str, Any]) -> Any:
    """Return the `RuntimeConfig` of a run.

    Raises
    ------
    Failure
        PROTOCOL_INSECURE: the protocol does not fit the number of parties, or would need a
        trusted dealer that the parameters do not allow.
    """
    if protocol not in PARTIES:
        raise Failure(PROTOCOL_INSECURE, f"{protocol} is no protocol of this engine's.")
    least, most = PARTIES[protocol]
    if not least <= world <= most:
        raise Failure(PROTOCOL_INSECURE, f"{protocol} is not for {world} compute parties.")
    if protocol == "SEMI2K" and parameters.get(DEALER) is not True:
        raise Failure(
            PROTOCOL_INSECURE,
            f"SEMI2K needs a dealer who could learn all inputs; parameter {DEALER} is not true.",
        )
    config = libspu.RuntimeConfig(
        protocol=spu.parse_protocol_kind(protocol), field=spu.parse_field_type(field(parameters))
    )
    config.fxp_fraction_bits = fraction_bits(parameters)
    return config


def field(parameters: Mapping[str, Any]) -> str:
    """Return the ring's name."""
    name = str(parameters.get("field", "FM64"))
    if name not in FIELDS:
        raise Failure(PROTOCOL_INSECURE, f"{name} is no ring of this engine's.")
    return name


def fraction_bits(parameters: Mapping[str, Any]) -> int:
    """Return the bits behind the binary point."""
    return int(parameters.get("fraction-bits", 18))


def largest(parameters: Mapping[str, Any]) -> float:
    """Return the largest magnitude that can still be multiplied: a product has 2f more bits."""
    return float(2 ** (FIELDS[field(parameters)] - 2 * fraction_bits(parameters) - 2))
