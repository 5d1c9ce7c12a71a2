"""An avatar that FlashAvatar trained: its own network moves it, which none of ours can evaluate."""

from pathlib import Path

from avatarmake.errors import StageError

CHECKPOINT = "chkpnt.pth"  # in avatar/: what FlashAvatar's own train.py would have saved
WHY = "this avatar was trained by FlashAvatar, whose own network moves it: `make report` shows it on unseen frames"


def is_foreign(avatar: Path) -> bool:
    return (avatar / CHECKPOINT).exists()


def refuse(avatar: Path, subject: str) -> None:
    """Raises StageError where the avatar is not one of ours."""
    if is_foreign(avatar):
        what = "was trained by FlashAvatar, whose own network moves it; only `make report` shows it"
        raise StageError(what, avatar, f"For one that can be moved: make train ID={subject} TRAINER=avatarmake")
