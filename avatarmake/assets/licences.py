"""What a person has to bring to a download: agreement to a licence, an account. Neither is kept anywhere."""

import getpass
import os
import sys

from avatarmake.assets import Asset
from avatarmake.assets.web import Form
from avatarmake.errors import Exit, StageError

ACCEPTED = "AVATARMAKE_ACCEPT_LICENCES"  # names of licences, separated by commas


def named(words: str) -> set[str]:
    """`flame, deca` -> their names."""
    return set(words.replace(",", " ").split())


def agree(asset: Asset, accepted: set[str]) -> None:
    """Have the licence agreed to, unless it wants no agreement or is among `accepted`, which it then joins.

    Raises StageError where a person declines, or where there is none to ask.
    """
    if not asset.accept or asset.accept in accepted | named(os.environ.get(ACCEPTED, "")):
        return
    if not sys.stdin.isatty():
        what = f"its licence wants your agreement: {asset.licence}"
        next = f"Read {asset.terms}, then type: make assets GET={asset.name} ACCEPT={asset.accept}"
        raise StageError(what, asset.name, f"{next} (or set {ACCEPTED}={asset.accept})", Exit.MISSING_ASSET)
    print(f"\n{asset.name}: {asset.purpose}\nLicence: {asset.licence}\n  {asset.terms}", file=sys.stderr)
    if _ask("Have you read it, and do you accept it? [y/N] ").lower() not in ("y", "yes"):
        raise StageError("the licence was not accepted, nothing was fetched", asset.name, exit=Exit.MISSING_ASSET)
    accepted.add(asset.accept)


def account(asset: Asset, known: dict[str, Form]) -> Form | None:
    """The account that the server asks for: FLAME_USERNAME and FLAME_PASSWORD for `flame`, or from a prompt.

    `known` keeps it for the other assets of this call. Raises StageError where there is none and nobody to ask.
    """
    if not asset.gated:
        return None
    if asset.gated not in known:
        names = [f"{asset.gated.upper()}_{part}" for part in ("USERNAME", "PASSWORD")]
        username, password = (os.environ.get(name, "") for name in names)
        if not (username and password):
            if not sys.stdin.isatty():
                what = f"an account of {asset.page} is needed"
                next = f"Register there, then export {names[0]} and {names[1]} (not on the command line: others see it)"
                raise StageError(what, asset.name, next, Exit.MISSING_ASSET)
            print(f"\n{asset.name} needs your account of {asset.page}", file=sys.stderr)
            username = username or _ask("Username: ")
            password = password or getpass.getpass("Password (not shown): ")
        known[asset.gated] = Form({"username": username, "password": password})
    return known[asset.gated]


def _ask(question: str) -> str:
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
