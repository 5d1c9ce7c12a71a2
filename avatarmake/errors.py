"""What a user reads when something is wrong: one class, four exit codes."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every stage and of the host command, so that a batch can tell "bad video" from "try again"."""

    OK = 0
    INTERNAL = 1  # a fault of ours: try again, or report it
    USAGE = 2  # the command line is wrong
    BAD_INPUT = 3  # the video or a file of a stage is wrong: trying again will not help
    MISSING_ASSET = 4  # weights or an upstream checkout the user has to supply
    ENVIRONMENT = 5  # the host: disk full, no engine, out of memory


class StageError(Exception):
    """A fault with a way out: what is wrong, where, and what to do next. Printed without a traceback."""

    def __init__(self, what: str, where: object = "", next: str = "", exit: Exit = Exit.BAD_INPUT):
        self.what, self.where, self.next, self.exit = what, str(where), next, exit
        super().__init__(f"{self.where}: {what}" if self.where else what)

    def __str__(self) -> str:
        text = super().__str__()
        return f"{text}. {self.next}" if self.next else text
