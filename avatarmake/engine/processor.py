"""Which class of processor this is, and what of it the libraries are told to take: numbers are rounded by it."""

import os
import platform
import re
from pathlib import Path

from avatarmake.engine.container import ROUNDING

# x86-64's levels, after its psABI: what each has beyond the one before, by the names of Linux
LEVELS = {
    2: "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3",
    3: "abm avx avx2 bmi1 bmi2 f16c fma movbe xsave",
    4: "avx512f avx512bw avx512cd avx512dq avx512vl",
}


def described(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict:
    """{"class": "x86-64-v4 AuthenticAMD 25", "told": {"OPENBLAS_CORETYPE": "Haswell"}}"""
    told = {name: os.environ[name] for name in ROUNDING if name in os.environ}
    return {"class": cpu_class(cpuinfo.read_text() if cpuinfo.exists() else ""), "told": told}


def cpu_class(cpuinfo: str) -> str:
    """Level, vendor and family of an x86-64 processor, since kernels are picked by these; elsewhere the machine's name.

    `cpuinfo`: Linux's /proc/cpuinfo, of which the first processor counts.
    """
    fields = dict(re.findall(r"^(\w[\w ]*?)\s*: (.*)$", cpuinfo.partition("\n\n")[0], re.MULTILINE))
    if "flags" not in fields:
        return platform.machine()
    flags, level = set(fields["flags"].split()), 1
    while level + 1 in LEVELS and flags.issuperset(LEVELS[level + 1].split()):
        level += 1
    return f"x86-64-v{level} {fields.get('vendor_id', 'unknown')} {fields.get('cpu family', '')}".strip()
