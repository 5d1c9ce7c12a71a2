"""Wheels that tests make: a package of one line each, the same bytes every time."""

import zipfile
from pathlib import Path


def make(folder: Path, name: str, tags: str = "py3-none-any", **modules: str) -> Path:
    """`name` is as in a wheel's file name, `pytorch3d-0.7.9`; modules: file name without .py -> its source.

    It asks for a numpy of long ago, as a wheel of another time would: who heeds that breaks the image.
    """
    package, version = name.split("-")
    info = f"{package}-{version}.dist-info"
    files = {f"{package}/{module}.py": text for module, text in modules.items()} | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\nRequires-Dist: numpy<1\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tags}\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    folder.mkdir(exist_ok=True)
    wheel = folder / f"{name}-{tags}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)  # of 1980
    return wheel
