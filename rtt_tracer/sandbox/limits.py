"""What an operation's process may use."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits of one operation.

    Attributes
    ----------
    memory_mb : int
        Memory of each process, and of all its processes together.
    cpu_seconds : int
        Processor time of each process.
    file_mb : int
        Largest file, the log included.
    disk_mb : int
        The whole work folder.
    free_disk_mb : int
        The operation ends when the disk has less than this left, whoever filled it.
    files : int
        Open files of each process.
    processes : int
        Processes and threads of the operation together.
    grace_seconds : float
        Between the polite end (SIGTERM) and the other one.
    """

    memory_mb: int = 8192
    cpu_seconds: int = 86_400
    file_mb: int = 4096
    disk_mb: int = 16_384
    free_disk_mb: int = 256
    files: int = 1024
    processes: int = 4096
    grace_seconds: float = 5.0

    def plain(self) -> dict[str, float]:
        """Return the limits as a JSON object, for the warden."""
        return asdict(self)
