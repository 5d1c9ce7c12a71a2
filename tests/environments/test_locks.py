"""The lock files agree with what is asked for and with each other."""

from avatarmake import ROOT


def test_one_version_of_a_package_in_the_whole_project():
    def pins(path):
        return {line.split(" ")[0] for line in path.read_text().splitlines() if "==" in line}

    whole = pins(ROOT / "tests" / "requirements.lock")
    for lock in [ROOT / "requirements.lock", *sorted(ROOT.glob("docker/*/requirements.lock"))]:
        assert pins(lock) <= whole, f"{lock}: run make lock"


def test_locks_hold_what_is_asked_for():
    for asked in sorted(ROOT.glob("docker/*/requirements.in")):
        lock = asked.with_suffix(".lock").read_text()
        for line in asked.read_text().splitlines():
            pin = line.split("#")[0].strip()
            assert not pin or f"\n{pin}" in f"\n{lock}", f"{asked}: {pin} is not in the lock: run make lock"


def test_no_lock_names_a_registry():
    for lock in [
        ROOT / "requirements.lock",
        *ROOT.glob("*/requirements.lock"),
        *ROOT.glob("docker/*/requirements.lock"),
    ]:
        assert "://" not in lock.read_text()
