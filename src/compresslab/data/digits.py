"""Drawn digits in the manner of MNIST, for machines without the real ones.

Every digit has a few templates of pen strokes: curves through control points (uniform Catmull-Rom splines: Catmull
and Rom, "A class of local interpolating splines", 1974). A sample moves the control points a little, slants, turns,
scales and shifts the whole, and draws it with a round pen of its own width and pressure, anti-aliased by the distance
of a pixel's centre to the nearest stroke.

Only +, -, *, / and the square root are used, each rounded exactly by IEEE 754, so that the same seed gives the same
bits on every platform.
"""

import numpy as np

from compresslab.data.sampling import permutation, uniform

SIZE = 28
CLASSES = 10

Stroke = tuple[tuple[float, float], ...]

# Control points (x to the right, y downwards) in a box of width and height 1. A stroke of two points is straight.
TEMPLATES: tuple[tuple[tuple[Stroke, ...], ...], ...] = (
    (  # 0: closed; open at the top
        (
            (
                (0.5, 0.0),
                (0.2, 0.13),
                (0.06, 0.5),
                (0.2, 0.88),
                (0.5, 1.0),
                (0.8, 0.88),
                (0.94, 0.5),
                (0.8, 0.13),
                (0.5, 0.0),
            ),
        ),
        (
            (
                (0.62, 0.05),
                (0.3, 0.08),
                (0.1, 0.45),
                (0.2, 0.9),
                (0.5, 1.0),
                (0.82, 0.8),
                (0.88, 0.4),
                (0.7, 0.1),
                (0.4, 0.0),
            ),
        ),
    ),
    (  # 1: a bar; with a flag; with a flag and a foot
        (((0.5, 0.0), (0.5, 1.0)),),
        (((0.32, 0.2), (0.52, 0.0)), ((0.52, 0.0), (0.5, 1.0))),
        (((0.3, 0.2), (0.5, 0.0)), ((0.5, 0.0), (0.5, 1.0)), ((0.28, 1.0), (0.72, 1.0))),
    ),
    (  # 2: with a straight base; with a loop
        (((0.14, 0.22), (0.4, 0.0), (0.74, 0.1), (0.76, 0.38), (0.45, 0.72), (0.1, 1.0)), ((0.1, 1.0), (0.92, 0.97))),
        (
            (
                (0.12, 0.2),
                (0.42, 0.0),
                (0.76, 0.14),
                (0.7, 0.45),
                (0.38, 0.85),
                (0.14, 0.97),
                (0.12, 0.8),
                (0.4, 0.82),
                (0.95, 1.0),
            ),
        ),
    ),
    (  # 3: two bows; flat top
        (
            ((0.14, 0.12), (0.45, 0.0), (0.76, 0.14), (0.68, 0.38), (0.36, 0.47)),
            ((0.36, 0.47), (0.76, 0.56), (0.84, 0.82), (0.5, 1.0), (0.1, 0.88)),
        ),
        (
            ((0.14, 0.03), (0.8, 0.0)),
            ((0.8, 0.0), (0.42, 0.4)),
            ((0.42, 0.4), (0.8, 0.52), (0.82, 0.84), (0.48, 1.0), (0.12, 0.9)),
        ),
    ),
    (  # 4: open; closed
        (((0.2, 0.0), (0.14, 0.28), (0.1, 0.56)), ((0.1, 0.56), (0.92, 0.52)), ((0.74, 0.0), (0.68, 0.5), (0.66, 1.0))),
        (((0.64, 0.0), (0.08, 0.64)), ((0.08, 0.64), (0.94, 0.64)), ((0.64, 0.0), (0.64, 1.0))),
    ),
    (  # 5: with a corner; flowing
        (
            ((0.86, 0.0), (0.26, 0.02)),
            ((0.26, 0.02), (0.2, 0.44)),
            ((0.2, 0.44), (0.58, 0.38), (0.86, 0.62), (0.68, 0.94), (0.36, 1.0), (0.1, 0.9)),
        ),
        (((0.9, 0.02), (0.4, 0.05), (0.3, 0.38), (0.66, 0.52), (0.74, 0.82), (0.42, 1.0), (0.1, 0.92)),),
    ),
    (  # 6: slanted; upright
        (
            (
                (0.76, 0.0),
                (0.42, 0.2),
                (0.16, 0.56),
                (0.2, 0.9),
                (0.5, 1.0),
                (0.82, 0.84),
                (0.72, 0.58),
                (0.42, 0.56),
                (0.2, 0.76),
            ),
        ),
        (
            (
                (0.36, 0.0),
                (0.2, 0.34),
                (0.14, 0.7),
                (0.32, 0.98),
                (0.66, 0.98),
                (0.84, 0.76),
                (0.66, 0.56),
                (0.36, 0.62),
                (0.18, 0.82),
            ),
        ),
    ),
    (  # 7: plain; with a bar
        (((0.1, 0.05), (0.9, 0.02)), ((0.9, 0.02), (0.58, 0.46), (0.4, 1.0))),
        (((0.1, 0.04), (0.9, 0.02)), ((0.9, 0.02), (0.56, 0.5), (0.42, 1.0)), ((0.28, 0.5), (0.82, 0.47))),
    ),
    (  # 8: one line; two rings
        (
            (
                (0.72, 0.1),
                (0.4, 0.0),
                (0.2, 0.2),
                (0.5, 0.46),
                (0.84, 0.74),
                (0.52, 1.0),
                (0.16, 0.78),
                (0.46, 0.48),
                (0.78, 0.22),
                (0.72, 0.1),
            ),
        ),
        (
            ((0.5, 0.0), (0.22, 0.22), (0.5, 0.46), (0.78, 0.22), (0.5, 0.0)),
            ((0.5, 0.46), (0.14, 0.74), (0.5, 1.0), (0.86, 0.74), (0.5, 0.46)),
        ),
    ),
    (  # 9: straight stem; bent stem
        (((0.82, 0.2), (0.5, 0.0), (0.18, 0.2), (0.32, 0.46), (0.64, 0.44), (0.82, 0.2)), ((0.82, 0.2), (0.76, 1.0))),
        (
            ((0.8, 0.22), (0.48, 0.0), (0.16, 0.24), (0.36, 0.48), (0.7, 0.4), (0.8, 0.22)),
            ((0.8, 0.22), (0.82, 0.7), (0.58, 0.98), (0.24, 0.92)),
        ),
    ),
)

_SAMPLES_PER_SPAN = 4
_CHUNK = 64  # images drawn at once: their working arrays stay in the cache
_FAR = np.float32(1e6)

# Ranges of the random choices, in pixels where not said otherwise.
_HEIGHT = (14.0, 20.0)
_ASPECT = (0.55, 1.05)  # width / height
_SLANT = (-0.25, 0.4)  # shift to the right per step upwards
_HALF_TURN = (-0.12, 0.12)  # tangent of half the angle
_SHIFT = (-2.0, 2.0)
_JITTER = 0.055  # of the box
_PEN_RADIUS = (0.7, 1.7)
_SOFTNESS = (0.8, 1.6)  # width of the edge from ink to paper
_PRESSURE = (0.7, 1.0)  # of full ink
_GRAIN = 0.15  # of the ink

_LARGEST_TEMPLATE = max(sum(map(len, strokes)) for templates in TEMPLATES for strokes in templates)
_POSE_DRAWS = 10


def draw_digits(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``count`` digits: uint8 images (count, 28, 28, 1), white on black, and int64 labels (count,).

    Every class occurs equally often (up to one) and the order is random. Equal arguments give equal bits.
    """
    labels = permutation(seed, count) % CLASSES
    draws = uniform(seed, (count, _POSE_DRAWS + 2 * _LARGEST_TEMPLATE + SIZE * SIZE))
    pose, jitter, grain = np.split(draws, [_POSE_DRAWS, _POSE_DRAWS + 2 * _LARGEST_TEMPLATE], axis=1)
    images = np.empty((count, SIZE, SIZE, 1), np.uint8)
    for label, templates in enumerate(TEMPLATES):
        choice = np.floor(pose[:, 0] * len(templates)).astype(int)
        for number, strokes in enumerate(templates):
            chosen = np.flatnonzero((labels == label) & (choice == number))
            for start in range(0, len(chosen), _CHUNK):
                part = chosen[start : start + _CHUNK]
                images[part, ..., 0] = _draw(strokes, pose[part], jitter[part], grain[part])
    return images, labels


def _draw(strokes: tuple[Stroke, ...], pose: np.ndarray, jitter: np.ndarray, grain: np.ndarray) -> np.ndarray:
    """Draw one template once per row of random numbers: uint8 (n, 28, 28)."""
    points = np.array([point for stroke in strokes for point in stroke])
    moves = jitter[:, : 2 * len(points)].reshape(-1, len(points), 2) - 0.5
    points = _posed(points + _JITTER * 2 * moves, pose)
    distance = _distance(_segments(strokes, points))
    radius, softness, pressure = (
        _between(pose[:, column, np.newaxis, np.newaxis], limits)
        for column, limits in ((7, _PEN_RADIUS), (8, _SOFTNESS), (9, _PRESSURE))
    )
    ink = np.clip((radius - distance) / softness + 0.5, 0, 1)
    ink *= pressure * (1 - _GRAIN * grain.reshape(-1, SIZE, SIZE))
    return np.floor(ink * 255 + 0.5).astype(np.uint8)


def _posed(points: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Scale, slant, turn and place control points (n, points, 2); the result is in pixels, centred as MNIST is."""
    height, aspect, slant, tangent, right, down = (
        _between(pose[:, column, np.newaxis], limits)
        for column, limits in enumerate((_HEIGHT, _ASPECT, _SLANT, _HALF_TURN, _SHIFT, _SHIFT), start=1)
    )
    y = (points[..., 1] - 0.5) * height
    x = (points[..., 0] - 0.5) * height * aspect - slant * y
    cosine = (1 - tangent * tangent) / (1 + tangent * tangent)
    sine = 2 * tangent / (1 + tangent * tangent)
    turned = np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)
    middle = (turned.min(axis=1, keepdims=True) + turned.max(axis=1, keepdims=True)) / 2
    return turned - middle + (SIZE - 1) / 2 + np.stack([right, down], axis=-1)


def _segments(strokes: tuple[Stroke, ...], points: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Turn strokes through points (n, points, 2) into line segments: pairs of ends (n, 2)."""
    segments = []
    first = 0
    for stroke in strokes:
        line = _curve(points[:, first : first + len(stroke)])
        segments += [(line[:, i], line[:, i + 1]) for i in range(line.shape[1] - 1)]
        first += len(stroke)
    return segments


def _curve(points: np.ndarray) -> np.ndarray:
    """Sample the Catmull-Rom spline through control points (n, points, 2); two points stay a straight line."""
    if points.shape[1] == 2:
        return points
    before, after = points[:, :-1], points[:, 1:]
    previous = np.concatenate([points[:, :1], points[:, :-2]], axis=1)
    following = np.concatenate([points[:, 2:], points[:, -1:]], axis=1)
    samples = []
    for step in range(_SAMPLES_PER_SPAN):
        t = step / _SAMPLES_PER_SPAN
        samples.append(
            (
                (-t + 2 * t * t - t * t * t) * previous
                + (2 - 5 * t * t + 3 * t * t * t) * before
                + (t + 4 * t * t - 3 * t * t * t) * after
                + (t * t * t - t * t) * following
            )
            / 2
        )
    spans = np.stack(samples, axis=2).reshape(len(points), -1, 2)
    return np.concatenate([spans, points[:, -1:]], axis=1)


def _distance(segments: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Distance in pixels of every pixel's centre to the nearest segment: float32 (n, 28, 28)."""
    grid = np.arange(SIZE, dtype=np.float32)
    count = len(segments[0][0])
    nearest = np.full((count, SIZE, SIZE), _FAR)
    along, across = np.empty_like(nearest), np.empty_like(nearest)
    for start, end in segments:
        x0, y0 = (column[:, np.newaxis, np.newaxis] for column in start.astype(np.float32).T)
        dx, dy = (column[:, np.newaxis, np.newaxis] for column in (end - start).astype(np.float32).T)
        x, y = grid - x0, grid[:, np.newaxis] - y0
        length = dx * dx + dy * dy + np.float32(1e-12)
        np.add(x * (dx / length), y * (dy / length), out=along)
        np.clip(along, 0, 1, out=along)
        np.multiply(along, dx, out=across)
        np.subtract(x, across, out=across)
        np.multiply(across, across, out=across)
        np.multiply(along, dy, out=along)
        np.subtract(y, along, out=along)
        np.multiply(along, along, out=along)
        np.add(across, along, out=across)
        np.minimum(nearest, across, out=nearest)
    return np.sqrt(nearest, out=nearest)


def _between(draw: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    low, high = limits
    return low + (high - low) * draw
