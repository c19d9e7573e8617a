"""OpenCV, told to be quiet and to let cameras be opened side by side.

Import `cv2` from here wherever sources are opened.
"""

import os
from typing import Final

_ENVIRONMENT: Final = {
    "OPENCV_FFMPEG_IS_THREAD_SAFE": "1",  # else one camera's open waits for all others'
    # FFmpeg and OpenCV print URLs, passwords included; -8 is AV_LOG_QUIET.
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    "OPENCV_FFMPEG_SKIP_LOG_CALLBACK": "1",
    "OPENCV_FFMPEG_DEBUG": "0",
    "OPENCV_LOG_LEVEL": "SILENT",
    "OPENCV_VIDEOIO_DEBUG": "0",
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "5",  # s
}
os.environ.update(_ENVIRONMENT)

import cv2  # noqa: E402  (reads the environment)

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # if imported before us

__all__ = ["cv2"]
