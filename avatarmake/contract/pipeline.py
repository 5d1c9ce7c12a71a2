"""Which stages there are, in their order, and which directory each writes.

Every stage's image has this list, and no result depends on it: a new stage runs no other one again (key.py).
"""

# directory -> the stage that writes it, which is also the make target
WRITER = {
    "source": "demo",
    "frames": "frames",
    "tracking": "track",
    "dataset": "convert",
    "masks": "mask",
    "refined": "refine",
    "avatar": "train",
    "view": "view",
    "report": "report",
    # what is done with an avatar; `make demo` ends before
    "drives": "drive",
    "export": "export",
}
TRACKERS = {"avatarmake": "track", "flame-head-tracker": "flame_head_tracker"}  # TRACKER= -> stage; all write tracking/
TRAINERS = {"avatarmake": "train", "flashavatar": "flashavatar"}  # TRAINER= -> stage; all write avatar/
CHOICES = {"track": TRACKERS, "train": TRAINERS}  # make target -> the stages of which it runs one
# What `make import` runs: it writes its own directory, and with it those of other stages, from data that others made
IMPORTER = "imported"
SERVERS = ("live",)  # they run while somebody looks on, and write no directory
# in pipeline order, others' trackers and trainers beside ours
STAGES = (
    IMPORTER,
    *(stage for writer in WRITER.values() for stage in CHOICES.get(writer, {writer: writer}).values()),
    *SERVERS,
)
