"""What differed between two runs of a stage besides its result: code, packages, image, processor, driver."""

from dataclasses import dataclass

UNKNOWN = "not said"


@dataclass(frozen=True)
class Difference:
    """One thing that was different. `decides`: whether bytes may differ by it."""

    name: str
    then: str
    now: str
    decides: bool = True


def differences(then: dict, now: dict) -> list[Difference]:
    """Between two receipts of a stage: what decides about bytes first, then what only tells two hosts apart."""
    parts = sorted(then["parts"].keys() | now["parts"].keys())
    pairs = [(name, then["parts"].get(name), now["parts"].get(name)) for name in parts]
    found = [Difference(_meaning(name), _short(a), _short(b)) for name, a, b in pairs if a != b]
    found += _packages(then.get("versions", {}), now.get("versions", {}))
    found += [Difference(name, a, b) for name, a, b in _pairs(_deciding, then, now) if a != b]
    told = [stamp["environment"].get("processor", {}).get("told", {}) for stamp in (then, now)]
    pairs = [(n, *(str(each.get(n, "not set")) for each in told)) for n in sorted(told[0].keys() | told[1].keys())]
    found += [Difference(name, a, b, not _threads(name)) for name, a, b in pairs if a != b]
    return found + [Difference(name, a, b, False) for name, a, b in _pairs(_telling, then, now) if a != b]


def bytes_are_promised(then: dict, now: dict) -> bool:
    """Whether nothing differed that decides about bytes, and both ran on a CPU whose class they say."""
    said = all(_deciding(stamp)["CPU class"] != UNKNOWN for stamp in (then, now))
    on_cpu = all(stamp.get("facts", {}).get("device", "cpu") == "cpu" for stamp in (then, now))
    return said and on_cpu and not any(each.decides for each in differences(then, now))


def _deciding(stamp: dict) -> dict[str, str]:
    processor = stamp["environment"].get("processor", {})
    return {
        "CPU class": str(processor.get("class", UNKNOWN)),
        "device": str(stamp.get("facts", {}).get("device", "cpu")),
    }


def _telling(stamp: dict) -> dict[str, str]:
    host, environment = stamp.get("host", {}), stamp["environment"]
    gpu = host.get("gpu") if isinstance(host.get("gpu"), dict) else {}
    return {
        "engine": str(environment.get("engine", UNKNOWN)),
        "image": str(environment.get("image", "none"))[:19],
        "CPU": str(host.get("cpu", UNKNOWN)),
        "cores": str(host.get("cores", UNKNOWN)),
        "GPU": ", ".join(map(str, gpu.get("names", []))) or "none",
        "driver": str(gpu.get("driver", "none")),
        "kernel": str(host.get("kernel", UNKNOWN)),
        "Python": str(host.get("python", UNKNOWN)),
        "avatarmake": str(stamp.get("avatarmake", UNKNOWN)),
        "revision": str(environment.get("revision", UNKNOWN))[:12],
    }


def _threads(name: str) -> bool:
    """How many threads there are decides about no byte."""
    return name.endswith("_NUM_THREADS")


def _pairs(of, then: dict, now: dict) -> list[tuple[str, str, str]]:
    return [(name, a, of(now)[name]) for name, a in of(then).items()]


def _packages(then: dict, now: dict) -> list[Difference]:
    names = sorted(then.keys() | now.keys())
    pairs = [(name, str(then.get(name, "none")), str(now.get(name, "none"))) for name in names]
    return [Difference(f"package {name}", a, b) for name, a, b in pairs if a != b]


def _meaning(part: str) -> str:
    """A part of a key in words."""
    words = {"code": "the stage's code", "environment": "its lock file"}
    return words.get(part, f"its input {part}" if part.endswith("/") else f"its option or input {part}")


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text[:12] if len(text) == 64 else text
