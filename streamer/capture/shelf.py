"""From a reader into the ring."""

from collections.abc import Sequence

import numpy as np

from streamer.capture.frame import Validity
from streamer.capture.masks import Masks, Polygon
from streamer.capture.reader import Picture, Reader
from streamer.capture.reduce import (
    analysis_shape,
    luma_for_analysis,
    picture_shape,
    reduce_picture,
)
from streamer.capture.ring import FrameRing
from streamer.capture.validity import ValidityCheck


class Shelf:
    """Puts the frame that a reader has grabbed into the ring, copying as little as possible.

    What `masks` cover is black before the picture is written into the ring: shared memory never
    holds it, not even while a slot is being filled.
    """

    def __init__(self, ring: FrameRing, reader: Reader, masks: Sequence[Polygon] = ()) -> None:
        """`reader` says how large its frames are to be; they say it themselves later."""
        self._masks = Masks(masks)
        self._reduced: Picture | None = None  # where masks are laid on
        self._ring = ring
        self.size: tuple[int, int] = reader.size[::-1]  # (height, width) of the source picture
        self._seen = False
        self._whole: Picture | None = None  # what a picture too large for a slot is decoded into
        self._check = ValidityCheck()

    def put(self, reader: Reader) -> tuple[Validity, bool]:
        """Fill the ring's next slot, without committing it; also whether the size has changed."""
        small = picture_shape(*self.size) if min(self.size) > 0 else (0, 0)
        into: Picture | None = self._whole
        if small == self.size and not self._masks:
            views = self._ring.begin(analysis_shape(*self.size), small)
            into = views.picture
        picture = reader.retrieve(into)
        size = (picture.shape[0], picture.shape[1])
        resized = self._seen and size != self.size
        if resized or not self._seen:
            self._check = ValidityCheck()
        self.size, self._seen = size, True
        if picture is not into or small != size or self._masks:
            views = self._ring.begin(analysis_shape(*size), picture_shape(*size))
            if self._masks:
                np.copyto(views.picture, self._masked(picture, views.picture.shape))
            else:
                reduce_picture(picture, out=views.picture)
            straight = picture_shape(*size) == size and not self._masks
            self._whole = None if straight else picture
        luma_for_analysis(views.picture, out=views.luma)
        looks = self._check(views.luma)
        # The decoder knows better than the looks; but no light is no light.
        return looks if looks is Validity.BLACK else reader.damage or looks, resized

    def _masked(self, picture: Picture, shape: tuple[int, ...]) -> Picture:
        """The picture reduced to `shape`, its masked parts black; good until the next one."""
        if self._reduced is None or self._reduced.shape != shape:
            self._reduced = np.empty(shape, np.uint8)
        reduce_picture(picture, out=self._reduced)
        self._masks.apply(self._reduced)
        return self._reduced
