"""One sentence and one hint for each custom error of the contracts.

The names in braces are the error's arguments.
"""

TEXTS: dict[str, tuple[str, str]] = {
    # Posting and the walk below an algorithm.
    "MissingGrant": (
        "DT {child} has not been granted to DT {parent}.",
        "The owner of {child} must grant it to {parent} first (`datatoken grant`).",
    ),
    "GrantRevoked": (
        "The grant of DT {child} to DT {parent} has been revoked.",
        "The owner of {child} must grant it to {parent} again, or {parent} must do without it.",
    ),
    "GrantExpired": (
        "The grant of DT {child} to DT {parent} expired at {expiry} (Unix time).",
        "The owner of {child} must grant it to {parent} again with a later expiry.",
    ),
    "ChildrenMismatch": (
        "The children passed for DT {dt} are not those it was minted with.",
        "Pass the DDO's child_dts, complete and in order.",
    ),
    "NoChildren": (
        "DT {dt} has no children, so that there is nothing to compute on.",
        "Compose an algorithm DT of the assets that it uses.",
    ),
    "DepthExceeded": (
        "DT {dt} lies deeper than {max} levels below the algorithm.",
        "Nest fewer levels.",
    ),
    "ClosureExceeded": (
        "There are {length} DTs below the algorithm; at most {max} fit into one job.",
        "Use fewer members, or a cohort.",
    ),
    "ClosureLeftover": (
        "{given} DTs were passed, but only {used} are below the algorithm.",
        "Pass every node's children once, depth first.",
    ),
    # Institutions and users.
    "OwnableUnauthorizedAccount": (
        "Account {account} is not the administrator of this contract.",
        "Only the administrator can do this.",
    ),
    "OwnableInvalidOwner": ("Account {owner} cannot be the administrator.", ""),
    "NotParticipant": (
        "Account {account} is neither an active institution nor an enrolled user of one.",
        "An institution must enrol it first (`datatoken user add`).",
    ),
    "NotInstitution": (
        "Account {caller} is not an active institution.",
        "The administrator must add it first (`datatoken institution add`).",
    ),
    "InstitutionExists": ("Account {account} is an institution already.", ""),
    "UnknownInstitution": (
        "Account {account} is not an active institution.",
        "List the institutions and check the address.",
    ),
    "UserExists": (
        "Account {user} is enrolled already, by institution {institution}.",
        "",
    ),
    "NotEnroller": (
        "Account {caller} has not enrolled user {user}.",
        "Only the institution that enrolled a user can remove it.",
    ),
    # Operations.
    "OperationExists": ("Operation {id} is registered already.", ""),
    "UnknownOperation": (
        "Operation {id} is not registered.",
        "The administrator registers operations (`datatoken op register`).",
    ),
    "OperationAlreadyRetired": ("Operation {id} is retired already.", ""),
    "InvalidOperationKind": (
        "{kind} is not a kind of operation.",
        "Use 1 client, 2 server, 3 app or 4 mpc.",
    ),
    # Data tokens and grants.
    "UnknownToken": ("DT {dt} was never minted.", "Check the id and the deployment file."),
    "TokenExists": ("DT {dt} is minted already.", ""),
    "InvalidTokenKind": (
        "{kind} is not a kind of data token.",
        "Use 1 data, 2 compute or 3 algorithm.",
    ),
    "InvalidChildren": (
        "{children} children do not go with the children hash {childrenHash}.",
        "A leaf has no children and a zero hash; a composite has both.",
    ),
    "NotTokenOwner": (
        "Account {caller} does not own DT {dt}.",
        "Only its owner can do this.",
    ),
    "ExpiryPassed": (
        "The expiry {expiry} (Unix time) lies in the past.",
        "Choose a later one, or 0 for none.",
    ),
    "SignatureExpired": (
        "The signature was good until {deadline} (Unix time).",
        "Ask the signer for a new one.",
    ),
    "InvalidSignature": (
        "The signature is not that of account {signer} over these values.",
        "Check chain, contract, owner and values, and sign again.",
    ),
    "StaleEpoch": (
        "The signature is for epoch {given} of the grant, which is at epoch {stored}.",
        "The owner revoked or granted in the meantime; ask for a new signature.",
    ),
    "GrantNotTighter": (
        "A signed grant may only tighten the active grant of DT {child} to DT {parent}.",
        "The owner can loosen it by granting directly.",
    ),
    # Task market.
    "TaskNotOpen": ("Task {task} is not open.", "Create a task (`datatoken task create`)."),
    "NotTaskOwner": ("Account {caller} does not own task {task}.", ""),
    "NotAlgorithm": (
        "DT {dt} is of kind {kind}, not an algorithm (3).",
        "Only algorithm DTs become jobs.",
    ),
    "NotGuarantor": (
        "Account {caller} neither owns algorithm DT {algorithm} nor was named to post it.",
        "The algorithm's owner can name a guarantor.",
    ),
    "UnknownJob": ("Job {job} was never posted.", "Check the id and the deployment file."),
    "NotJobParty": (
        "Account {caller} has no say over job {job}.",
        "The guarantor pauses and reopens; the guarantor or the algorithm's owner closes; "
        "a composite's owner announces.",
    ),
    "WrongJobStatus": (
        "Job {job} has status {status} (1 open, 2 paused, 3 closed), which does not allow this.",
        "",
    ),
    # Round log.
    "StaleHead": (
        "The log stands at head {stored}, not at {given}.",
        "Read the head again; the round may be logged already.",
    ),
    # Shared.
    "ZeroAddress": ("An account is missing (the zero address was given).", ""),
    "ZeroDigest": ("A digest is missing (zero was given).", ""),
    "NameLength": ("A name has {length} bytes; 1 to {max} are allowed.", ""),
    "BatchTooLarge": (
        "A list has {length} entries; at most {max} fit into one call.",
        "Split it.",
    ),
    "LengthMismatch": ("Two lists have different lengths, {first} and {second}.", ""),
    "WiringMismatch": (
        "The contracts do not belong together.",
        "Deploy all six with the same command.",
    ),
    "InvalidShortString": ("The contract holds a malformed name.", ""),
    "StringTooLong": ("The text {str!r} is too long.", ""),
}
