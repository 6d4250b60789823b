# The raw files of a recording. Included by register and deidentify alone: no other stage may read raw data.


def find_raw(kind):
    """Return an input function: the raw video or keypoints of a recording, if it has them."""

    def find(wildcards):
        recording = RECORDINGS.get(wildcards.video)
        path = getattr(recording, kind) if recording else None
        if kind == "video" and not HAS_VIDEO:
            return []  # a study on keypoints reads no video, even where there is one
        return [str(path)] if path else []

    return find
