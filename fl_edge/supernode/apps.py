"""The folder that apps are installed to, emptied before every message.

flwr names an app's folder by eight hex digits of its hash and takes a folder that is there for
the app itself. Another app with the same digits, or a process that wrote into the folder,
would run in its place. So nothing is ever there: flwr installs the verified bytes each time.
"""

import shutil
from pathlib import Path

from flwr.common.constant import APP_DIR

from datatoken.authorization.reasons import Reason, Refused


class AppsFolder:
    """The apps of one SuperNode's private FLWR_HOME.

    Parameters
    ----------
    home : Path
        FLWR_HOME.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / APP_DIR

    def wipe(self) -> None:
        """Remove every installed app.

        Raises
        ------
        Refused
            OPERATION_MISMATCH: something can't be removed, so other bytes might run.
        """
        if self.path.is_symlink():
            self.path.unlink()
        shutil.rmtree(self.path, ignore_errors=True)
        if self.path.exists():
            raise Refused(
                Reason.OPERATION_MISMATCH, "The folder of installed apps can't be emptied."
            )
