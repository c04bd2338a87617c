"""Why an operation's process ends without its result, as codes.

Texts of an operation's own exceptions stay in its log, since they may hold rows.
"""

OPERATION_FAILED = "OPERATION_FAILED"
OPERATION_UNFIT = "OPERATION_UNFIT"
SHARES_UNFIT = "SHARES_UNFIT"
LINK_FAILED = "LINK_FAILED"
PREFLIGHT_MISMATCH = "PREFLIGHT_MISMATCH"
PROTOCOL_INSECURE = "PROTOCOL_INSECURE"
RESULT_UNFIT = "RESULT_UNFIT"
ENGINE_FAILED = "ENGINE_FAILED"


class Failure(Exception):  # noqa: N818 - reported, not an error of the program's
    """The process can't go on.

    Parameters
    ----------
    code : str
    message : str
        One sentence, with nothing of a row in it.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message
