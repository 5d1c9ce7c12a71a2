"""Which commit a file is of."""

import subprocess

from avatarmake import ROOT


def revision(*paths: str) -> str:
    """The commit that last touched `paths` (all: HEAD), -modified when they differ; `unknown` outside git."""
    commit = git("log", "-1", "--format=%H", "--", *paths)
    if not commit:
        return "unknown"
    return commit + ("-modified" if git("status", "--porcelain", "--", *paths) else "")


def git(*words: str) -> str:
    """What git prints, or an empty string where there is no git or no repository."""
    try:
        # jobs of a batch ask all the time, and must not be in the way of whoever commits
        command = ("git", "--no-optional-locks", "-C", str(ROOT), *words)
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
