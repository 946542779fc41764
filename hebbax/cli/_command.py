"""What every command is, and the exit statuses they share."""

import abc

BAD_INPUT, INTERRUPTED = 2, 130


class Command(abc.ABC):
    """A frozen dataclass whose fields are the options of one `hebbax` command."""

    @abc.abstractmethod
    def run(self) -> int:
        """Do it and return the exit status.

        **Raises:** `BadInputError` for what the user can mend.
        """
