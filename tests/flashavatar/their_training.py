"""Runs in a process of its own: FlashAvatar's own train.py, patched, on a tree; each step's frame and loss, as JSON.

    python their_training.py COPY OUT.json ITS-OPTIONS ...      in the folder where the tree is
"""

import json
import runpy
import sys

import torch


def main(copy: str, out: str, *options: str) -> None:
    sys.dont_write_bytecode = True
    sys.path.insert(0, copy)
    import gaussian_renderer

    frames, losses = [], []
    render, backward = gaussian_renderer.render, torch.Tensor.backward

    def shown(camera, *given, **named):
        frames.append(camera.uid)
        return render(camera, *given, **named)

    def followed(loss, *given, **named):
        losses.append(loss.item())
        return backward(loss, *given, **named)

    gaussian_renderer.render, torch.Tensor.backward = shown, followed
    sys.argv = ["train.py", *options]
    runpy.run_path(f"{copy}/train.py", run_name="__main__")
    with open(out, "w") as file:
        json.dump({"frames": frames, "losses": losses}, file)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
