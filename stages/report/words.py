"""The report's sentences: what the figures mean, for somebody who has not read a paper."""

GRADES = (  # dB within the head, on unseen frames
    (30, "very close to the recording"),
    (27, "close to the recording, fine detail a little soft"),
    (24, "a good likeness, fine detail soft"),
    (20, "recognisable, but visibly off"),
    (0, "not a likeness yet"),
)


def headline(m: dict) -> str:
    """One sentence. The stricter figure counts: the head alone, without the plain ground."""
    best = judged(m)
    if best is None:
        return "An avatar, with no unseen frames to judge it by."
    grade = next(words for least, words in GRADES if best["psnr_head"] >= least)
    return f"On frames it never saw, the avatar is {grade}."


def judged(m: dict) -> dict | None:
    """The split that speaks for the avatar: passages left out all over the video, else its end."""
    for split in ("blocks", "last"):
        s = m["avatar"].get(split)
        if s and s["psnr_head"] is not None:
            return s
    return None


def summary(m: dict) -> list[str]:
    """A few plain sentences with the figures that matter."""
    frames, tracking, avatar = m["frames"], m["tracking"], m["avatar"]
    seconds = frames["used"] / frames["fps"]
    missed = frames["used"] - frames["tracked"]
    found = "a face was found in every one" if not missed else f"in {missed} of them no face was found"
    sentences = [
        f"The video gave {frames['used']:,} pictures ({seconds:.1f} s at {frames['fps']:g} a second); {found}."
    ]
    error = tracking.get("landmark_error_pct")
    if error:
        shaking = ""
        if tracking["jitter_px"] is not None and tracking["jitter_px_raw"]:
            calmer = tracking["jitter_px_raw"] / max(tracking["jitter_px"], 1e-9)
            shaking = f", and it shakes {calmer:.1f} times less than the detector's points" if calmer >= 1.05 else ""
        sentences.append(
            f"The head model follows the detected points to {error['median']:.1f} % of the distance between the eyes' "
            f"outer corners{shaking}."
        )
    if tracking["truth"]:
        lids = tracking["truth"]["eyelid_correlation"]
        known = [v for v in lids.values() if v is not None]
        if known:
            sentences.append(f"Blinks agree with the truth, which is known here, to a correlation of {min(known):.2f}.")
    if avatar.get("gaussians"):
        by = f"by {avatar['trainer']} " if avatar.get("trainer") else ""
        sentences.append(
            f"The avatar is {avatar['gaussians']:,} Gaussians on the head's surface, trained {by}for "
            f"{avatar['iterations']:,} steps at {avatar['resolution']} × {avatar['resolution']} pixels."
        )
    return sentences
