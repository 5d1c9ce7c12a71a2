"""Python starts with this where its folder is on PYTHONPATH: the clock is years ahead."""

import time

AHEAD = 1e8  # seconds
_time, _localtime, _gmtime = time.time, time.localtime, time.gmtime


def _now() -> float:
    return _time() + AHEAD


time.time = _now
time.localtime = lambda seconds=None: _localtime(_now() if seconds is None else seconds)
time.gmtime = lambda seconds=None: _gmtime(_now() if seconds is None else seconds)
