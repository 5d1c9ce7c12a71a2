"""Keeps a pickle from asking for memory that it has no use for. Standard library alone: the host reads pickles too.

Python's C unpickler makes room for as many remembered objects as the largest number says that one is remembered under:
ten bytes can ask for 34 GB (LONG_BINPUT). A pickle of n bytes has no use for numbers beyond n.
"""

import pickle
import pickletools

# code -> bytes of its argument, or one of pickletools' negative marks: up to a newline, or behind a length of so many
ARGUMENT = {ord(o.code): o.arg.n if o.arg else 0 for o in pickletools.opcodes}
LENGTH = {pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT4: 4}
LENGTH |= {pickletools.TAKEN_FROM_ARGUMENT4U: 4, pickletools.TAKEN_FROM_ARGUMENT8U: 8}
LINES = {code: 2 if chr(code) in "ci" else 1 for code in ARGUMENT}  # GLOBAL and INST have two lines: module, name
PUT, LONG_PUT, STOP = pickle.PUT[0], pickle.LONG_BINPUT[0], pickle.STOP[0]


def bounded(data: bytes) -> bytes:
    """The same pickle. Raises pickle.UnpicklingError where it remembers an object under a number beyond its size."""
    at = 0
    while at < len(data) and data[at] != STOP:
        code, at = data[at], at + 1
        if code not in ARGUMENT:
            raise pickle.UnpicklingError(f"it has no pickle's code at byte {at - 1}")
        size, start = ARGUMENT[code], at
        if size >= 0:
            at += size
        elif size == pickletools.UP_TO_NEWLINE:
            for _ in range(LINES[code]):
                at = data.find(b"\n", at) + 1 or len(data)
        else:
            count = LENGTH[size]
            at += count + int.from_bytes(data[at : at + count], "little")
        if code == LONG_PUT or code == PUT:
            number = data[start:at]
            if (int.from_bytes(number, "little") if code == LONG_PUT else int(number or b"0")) > len(data):
                raise pickle.UnpicklingError("it asks for more memory than it has a use for")
    return data
