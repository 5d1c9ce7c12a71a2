"""The shell's part of an array of jobs: which subject a number stands for, and how it is found in a script again.

The script itself is the list of its subjects. The queue keeps it, so nothing of ours has to.
"""

import re
import shlex
from collections.abc import Sequence

CASE = re.compile(r"^ *(\d+)\) set -- ([\w.-]+)", re.MULTILINE)


def cases(variable: str, words: Sequence[Sequence[str]], exports: Sequence[str] = (), others: str = "") -> str:
    """`case` that sets $1, $2, ... to the words of the number that a variable of the environment holds.

    `exports`: NAME=value for each number; `others`: what is done for a number beyond them.
    """
    lines = [f"  {number}) set -- {shlex.join(each)} ;;" for number, each in enumerate(words)]
    for number, export in enumerate(exports):
        lines[number] = f"{lines[number].removesuffix(' ;;')}; export {shlex.quote(export)} ;;"
    return "\n".join([f'case "${variable}" in', *lines, *([f"  *) {others} ;;"] if others else []), "esac"])


def subjects(script: str) -> dict[int, str]:
    """Number -> the first word of its case, the subject's ID."""
    return {int(number): name for number, name in CASE.findall(script)}
