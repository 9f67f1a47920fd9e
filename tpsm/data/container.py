"""Reads videos with FFmpeg: all frames as players show them, at the rate that the time stamps say."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.error import FFmpegError
from av.video.stream import VideoStream
from jaxtyping import UInt8
from PIL import Image

from tpsm.core.errors import UserError
from tpsm.core.reading import require_file
from tpsm.data.limits import check_fps, check_pixels, max_pixels
from tpsm.data.still import Frame, on_white

LOSSLESS = ("ffv1", "png", "apng", "rawvideo", "huffyuv", "ffvhuff", "utvideo", "qtrle", "magicyuv", "bmp", "tiff")
"""FFmpeg's names of codecs that give back the pixels they were given."""
_FORMATS = "mov,matroska,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,flv,asf,ogg,mxf,yuv4mpegpipe"
"""FFmpeg's names of formats that are read. It goes by content, and knows lists that name other files and addresses."""
_ONES = 0xFFFFFFFF
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_SEGMENT, _CLUSTER = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
_ASF_PROPERTIES = bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365")
_FLV_TAGS = (8, 9, 18)  # sound, images, and what says of them
_TS_PACKETS = ((0, 188), (4, 192), (0, 204))
"""Where MPEG-TS has its sync byte, and how long a packet is: plain, with a time code, and with error correction."""
FAILURES = (FFmpegError, OSError, ValueError, MemoryError)


def frame_rate(path: Path) -> float | None:
    """Returns the mean rate of the frames in frames per second, by their time stamps; None where there are none.

    The header's rate is taken where the time stamps agree with it, because it is the exact number.

    Raises:
        UserError: the file is unreadable, or its rate is out of bounds.
    """
    with opened(path) as (container, stream):
        said = float(stream.average_rate) if stream.average_rate else None
        try:
            times = [time for packet in container.demux(stream) if (time := _time(packet)) is not None]
        except FAILURES as error:
            raise UserError(f"The video {path} is damaged ({error}).") from error
        tick, promised = float(stream.time_base or 0), _duration(container, stream)
    first, intervals = min(times, default=0.0), len(times) - 1
    span = max(times, default=0.0) - first
    if span <= 0:
        return None if said is None else check_fps(said, str(path))

    # The exact rate of the header, if the times agree. A packet may be one field of an interlaced frame, half of it.
    rounding = max(0.01, 2 * tick / span)
    if said is not None and any(abs(intervals / (span * fields * said) - 1) <= rounding for fields in (1, 2)):
        return check_fps(said, str(path))

    # Otherwise so many frames in so long a time: until the end that the container names, if it is that of the video.
    shown = promised - first if promised - first >= span else promised
    mean = span / intervals
    return check_fps(len(times) / (shown if span < shown <= span + 2 * mean else span + mean), str(path))


def iter_wanted(path: Path, wanted: Callable[[int], bool]) -> Iterator[tuple[int, Frame]]:
    """Yields the index and the frame for all indices that are `wanted`, as players show them: turned, mirrored and
    stretched. The other frames are only decoded, which saves much time where a clip stands late in a long video.

    Raises:
        UserError: the file is missing, unreadable or damaged, or a frame is too large; it may come at a late frame.
    """
    with opened(path) as (container, stream):
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"max_pixels": str(max_pixels())}
        aspect = float(stream.sample_aspect_ratio or 1)
        is_ffv1 = stream.codec_context.name == "ffv1" and bool(stream.codec_context.extradata)  # of version 3
        progress, count = _Progress(path), 0

        # Every packet is checked, of other streams too: their end tells a video that was cut off.
        try:
            for packet in container.demux():
                progress.add_packet(packet)
                if packet.stream.index != stream.index:
                    continue
                if is_ffv1 and packet.size and not _is_intact(bytes(packet)):
                    raise UserError(f"The video {path} is damaged: frame {count} fails its checksum; copy it anew.")
                for frame in stream.decode(packet):
                    progress.add_frame(frame)
                    if frame.is_corrupt:
                        raise UserError(f"The video {path} is damaged in frame {count}; copy or make it anew.")
                    if wanted(count):
                        yield count, _shown(path, frame, aspect)
                    count += 1
        except FAILURES as error:
            raise UserError(f"The video {path} is damaged ({error}) after {count} frames.") from error
        progress.check(container, stream, count)


def codec(path: Path) -> tuple[str, bool]:
    """Returns FFmpeg's name of a video's codec, and whether it loses something of what the frames show."""
    with opened(path) as (_, stream):
        name = stream.codec_context.name
        subsampled = "420" in (pixels := str(stream.codec_context.pix_fmt)) or "422" in pixels or "411" in pixels
        return name, name not in LOSSLESS or subsampled


@dataclass
class _Progress:
    """Notes how far the packets of a container reach, to tell a video that was cut off from one that is whole."""

    path: Path
    end: float = 0.0
    last: float | None = None
    longest: float = 0.0
    reach: int = 0
    torn: bool = False

    def add_packet(self, packet: av.Packet) -> None:
        self.torn |= packet.is_corrupt
        self.reach = max(self.reach, (packet.pos or 0) + packet.size)
        if packet.size and packet.pts is not None and packet.time_base is not None:
            self.end = max(self.end, float((packet.pts + (packet.duration or 0)) * packet.time_base))

    def add_frame(self, frame: av.VideoFrame) -> None:
        if frame.time is not None:
            self.longest = max(self.longest, frame.time - (frame.time if self.last is None else self.last))
            self.last = frame.time

    def check(self, container: av.container.InputContainer, stream: VideoStream, count: int) -> None:
        """Raises UserError where the container promises more than it held: by its duration or its index, by the sizes
        that it names, or because its last packet is torn. Of an index only AVI's counts time; an edit list hides frames
        of the others."""
        promised = _duration(container, stream)
        if container.format.name == "avi" and stream.average_rate:
            promised = max(promised, stream.frames / float(stream.average_rate))
        # The last frame may stay as long as any other did, and some programs round durations.
        end = max(self.end, (self.last or 0.0) + self.longest)
        torn = self.torn or is_cut_off(self.path, container.format.name)
        torn |= container.format.name == "yuv4mpegpipe" and self.reach < container.size  # part of a frame
        if torn or end < promised - max(0.75 * self.longest, min(1.0, promised / 100)):
            raise UserError(
                f"The video {self.path} is damaged: it is cut off after {count} frames ({end:.2f}"
                + (f" of {promised:.2f} s); copy it anew." if promised > end else " s); copy it anew.")
            )


def is_cut_off(path: Path, container: str) -> bool:
    """Whether the file ends before something that it has begun, which tells also where no duration does: a cut within
    an element, a tag or a packet. `container` is FFmpeg's name of the format; of others, nothing is said."""
    check = _CHECKS.get(container.partition(",")[0])
    if check is None:
        return False
    with path.open("rb") as file:
        return check(file, path.stat().st_size)


def _matroska(file: BinaryIO, size: int) -> bool:
    """Walks from element to element, into the segment and its clusters, whose sizes a live recording does not say."""
    at, end = 0, size
    while at < end:
        file.seek(at)
        head = file.read(12)
        name = 9 - head[0].bit_length()  # the length of the element's name, by its leading zeros
        if name > 4:
            return False  # no element: FFmpeg looks for the next one
        length = 9 - head[name].bit_length() if len(head) > name else 9
        if name + length > len(head):
            return True  # within the size, or it is none
        value = int.from_bytes(head[name : name + length], "big") & ((1 << 7 * length) - 1)
        is_known, inside = value != (1 << 7 * length) - 1, head[:name] in (_SEGMENT, _CLUSTER)
        body = at + name + length
        if is_known and body + value > size:
            return True
        if head[:name] == _SEGMENT and is_known:
            end = body + value  # what follows is no part of the video
        at = body if inside else body + value
    return False


def _mpeg(file: BinaryIO, size: int) -> bool:
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(14)
        if head[:3] != b"\0\0\1" or head[3:4] in (b"\xb9", b"\xbe"):  # nothing, the end, or padding before it
            return False
        if head[3:4] != b"\xba":
            at += 6 + int.from_bytes(head[4:6], "big")
        else:  # a pack's header, of MPEG-1 or MPEG-2
            at += 12 if head[4:5] < b"\x40" else 14 + (head[-1] & 7)
    return at > size


def _flv(file: BinaryIO, size: int) -> bool:
    at = 13  # the file's header, and the length of no tag
    while at < size:
        file.seek(at)
        head = file.read(4)
        if head[0] & 31 not in _FLV_TAGS:
            return False
        at += 15 + int.from_bytes(head[1:], "big")  # a tag's header, and its length again behind it
    return at - 4 > size


def _asf(file: BinaryIO, size: int) -> bool:
    """A WMV's header names the file's size, and FFmpeg forgets the duration where it is wrong. A broadcast's size is
    not known when its header is sent."""
    head = file.read(1 << 16)
    at = head.find(_ASF_PROPERTIES)
    if at < 0 or len(head) < at + 92:
        return False
    said, flags = int.from_bytes(head[at + 40 : at + 48], "little"), int.from_bytes(head[at + 88 : at + 92], "little")
    return not flags & 1 and said > size


def _mpegts(file: BinaryIO, size: int) -> bool:
    head = file.read(3 * 204)
    for first, length in _TS_PACKETS:
        if len(head) > first + 2 * length and all(head[first + n * length] == 0x47 for n in range(3)):
            file.seek(size - size % length)
            return file.read(first + 1)[first:] == b"\x47"  # Another packet has begun; what else follows is none.
    return False


_CHECKS: dict[str, Callable[[BinaryIO, int], bool]] = {
    "matroska": _matroska,
    "mpeg": _mpeg,
    "flv": _flv,
    "asf": _asf,
    "mpegts": _mpegts,
}


@contextmanager
def opened(path: Path) -> Iterator[tuple[av.container.InputContainer, VideoStream]]:
    """Gives the container and its video. Raises UserError where the file is missing, unreadable or without a video."""
    require_file(path, "video")
    try:
        container = av.open(str(path.absolute()), "r", options={"format_whitelist": _FORMATS})
    except FAILURES as error:
        raise UserError(f"The video {path} cannot be read ({error}).") from error
    with container:
        stream = container.streams.best("video")  # not the image of a cover
        if not isinstance(stream, VideoStream):
            raise UserError(f"{path} holds no video.")
        if stream.codec_context is None:
            raise UserError(f"The video {path} is of a kind that FFmpeg cannot decode; save it as MP4 (H.264).")
        check_pixels(path, stream.codec_context.width, stream.codec_context.height)
        yield container, stream


def _duration(container: av.container.InputContainer, stream: VideoStream) -> float:
    """Returns the duration of the video, or of the whole file, by the header, in seconds; 0 where it says nothing."""
    own = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
    return own or (container.duration or 0) / av.time_base


def _time(packet: av.Packet) -> float | None:
    stamp = packet.dts if packet.pts is None else packet.pts
    if stamp is None or packet.time_base is None or packet.is_discard or not packet.size:
        return None
    return float(stamp * packet.time_base)


def _is_intact(packet: bytes) -> bool:
    """Whether the slices of an FFV1 frame agree with their checksums, which FFmpeg computes and goes on.

    A slice ends in its size (3 bytes) and, if it is checked, a status and a CRC-32, which make the CRC of the whole 0
    (RFC 9043, 4.9). Frames without checksums are taken as they are.
    """
    for trailer in (8, 3):
        end, intact = len(packet), True
        while end >= trailer:
            start = end - trailer - int.from_bytes(packet[end - trailer : end - trailer + 3], "big")
            if start < 0:
                break
            # zlib's CRC is of bits in the other order, and begins and ends inverted.
            intact &= trailer == 3 or zlib.crc32(packet[start:end].translate(_REVERSED), _ONES) == _ONES
            end = start
        if end == 0:
            return intact
    return False


def _shown(path: Path, frame: av.VideoFrame, aspect: float) -> Frame:
    """`aspect` is a pixel's width divided by its height. The shorter side grows, so that nothing is thrown away."""
    pixels = _decoded_rgb(frame)
    if aspect > 0 and aspect != 1:
        height, width = pixels.shape[:2]
        size = (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
        check_pixels(path, *size)
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    return np.ascontiguousarray(_displayed(pixels, frame))


def _displayed(pixels: UInt8[np.ndarray, "_ _ 3"], frame: av.VideoFrame) -> UInt8[np.ndarray, "_ _ 3"]:
    """The frame as its display matrix has it: FFmpeg's decoders leave that to the player. A matrix that turns by no
    whole quarter is taken for the nearest one."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return pixels
    a, b, _, c, d = struct.unpack("=5i", bytes(data)[:20])  # (x, y) goes to (a x + c y, b x + d y); y points down
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, a, d = np.swapaxes(pixels, 0, 1), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _decoded_rgb(frame: av.VideoFrame) -> Frame:
    if any(component.is_alpha for component in frame.format.components):
        return on_white(frame.to_ndarray(format="rgba"))
    return frame.to_ndarray(format="rgb24")
