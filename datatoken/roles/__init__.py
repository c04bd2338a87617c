"""The roles of DESIGN: what each party may do, as thin classes over chain, store and documents.

An account can hold several roles: make one object for each, with the same site and signer.
"""

from datatoken.roles.administrator import Administrator, complete_document, operation_id
from datatoken.roles.errors import AgreementError, CompositionError
from datatoken.roles.institution import Institution
from datatoken.roles.market import DataConsumer, TaskDescription
from datatoken.roles.owner import AssetOwner
from datatoken.roles.providers import AlgorithmProvider, ComputeProvider, DataProvider
from datatoken.roles.regulator import Regulator
from datatoken.roles.review import Review, review
from datatoken.roles.signed import SignedGrant, SignedMint, SignedRevocation, parse_signed
from datatoken.roles.site import Site
from datatoken.roles.user import EndUser

__all__ = [
    "Administrator",
    "AgreementError",
    "AlgorithmProvider",
    "AssetOwner",
    "CompositionError",
    "ComputeProvider",
    "DataConsumer",
    "DataProvider",
    "EndUser",
    "Institution",
    "Regulator",
    "Review",
    "SignedGrant",
    "SignedMint",
    "SignedRevocation",
    "Site",
    "TaskDescription",
    "complete_document",
    "operation_id",
    "parse_signed",
    "review",
]
