"""Drawn small objects of CIFAR-10's ten classes, for machines without the real photographs.

Every class has a few forms (``object_forms``). A sample moves the points of all parts a little, scales, turns, mirrors
and shifts the whole, chooses its colours, and draws it, anti-aliased by the distance of a pixel's centre to the edge of
each part, before sky and ground, or a wall, with soft blotches and noise.

Only +, -, *, / and the square root are used, each rounded exactly by IEEE 754, so that the same seed gives the same
bits on every platform.
"""

import numpy as np

from compresslab.data.cifar import CLASSES
from compresslab.data.object_forms import FORMS, Bar, Form
from compresslab.data.sampling import permutation, uniform

SIZE = 32

Colour = tuple[float, float, float]

_PAINT: tuple[Colour, ...] = (
    (0.8, 0.12, 0.1),
    (0.12, 0.25, 0.65),
    (0.9, 0.9, 0.9),
    (0.15, 0.15, 0.17),
    (0.85, 0.7, 0.15),
    (0.15, 0.45, 0.25),
    (0.55, 0.57, 0.6),
    (0.75, 0.4, 0.12),
)
_METAL: tuple[Colour, ...] = (
    (0.93, 0.93, 0.95),
    (0.72, 0.75, 0.8),
    (0.5, 0.53, 0.58),
    (0.75, 0.2, 0.18),
    (0.2, 0.3, 0.6),
)
_FEATHERS: tuple[Colour, ...] = (
    (0.45, 0.33, 0.2),
    (0.92, 0.92, 0.9),
    (0.2, 0.2, 0.22),
    (0.7, 0.25, 0.15),
    (0.25, 0.4, 0.7),
    (0.75, 0.65, 0.25),
    (0.5, 0.5, 0.5),
)
_FUR: tuple[Colour, ...] = (
    (0.5, 0.33, 0.18),
    (0.72, 0.52, 0.3),
    (0.2, 0.17, 0.15),
    (0.88, 0.84, 0.78),
    (0.5, 0.48, 0.46),
    (0.7, 0.42, 0.18),
)
_HIDE: tuple[Colour, ...] = ((0.5, 0.33, 0.18), (0.62, 0.44, 0.26), (0.4, 0.28, 0.18), (0.7, 0.52, 0.34))
_SKIN: tuple[Colour, ...] = ((0.3, 0.5, 0.16), (0.42, 0.48, 0.2), (0.2, 0.36, 0.18), (0.5, 0.4, 0.22), (0.55, 0.6, 0.2))
_PALETTES = {
    "airplane": _METAL,
    "automobile": _PAINT,
    "bird": _FEATHERS,
    "cat": _FUR,
    "deer": _HIDE,
    "dog": _FUR,
    "frog": _SKIN,
    "horse": _FUR,
    "ship": _PAINT,
    "truck": _PAINT,
}
"""Colours of a class's body."""

_FIXED: dict[str, Colour] = {
    "black": (0.06, 0.06, 0.07),
    "light": (0.93, 0.93, 0.88),
    "glass": (0.35, 0.48, 0.6),
    "pink": (0.85, 0.55, 0.55),
    "beak": (0.85, 0.55, 0.15),
    "horn": (0.72, 0.62, 0.45),
    "eye": (0.85, 0.8, 0.3),
}
"""Paints that are the same for all samples; the others follow from a sample's body."""

_SKY: tuple[Colour, ...] = ((0.45, 0.65, 0.9), (0.75, 0.83, 0.9), (0.85, 0.7, 0.6), (0.55, 0.6, 0.68))
_WATER: tuple[Colour, ...] = ((0.12, 0.3, 0.48), (0.2, 0.42, 0.5), (0.35, 0.42, 0.48))
_ROAD: tuple[Colour, ...] = ((0.4, 0.4, 0.42), (0.55, 0.52, 0.48), (0.3, 0.3, 0.32))
_GRASS: tuple[Colour, ...] = ((0.3, 0.48, 0.18), (0.45, 0.5, 0.25), (0.6, 0.52, 0.32), (0.22, 0.36, 0.16))
_ROOM: tuple[Colour, ...] = (
    (0.7, 0.62, 0.52),
    (0.5, 0.36, 0.28),
    (0.8, 0.78, 0.74),
    (0.35, 0.42, 0.5),
    (0.6, 0.3, 0.3),
)
_WOODS: tuple[Colour, ...] = ((0.2, 0.3, 0.15), (0.35, 0.38, 0.25), (0.5, 0.58, 0.4), (0.7, 0.75, 0.7))
_SCENES = (
    (_SKY, _SKY),
    (_SKY, _WATER),
    (_SKY, _ROAD),
    (_WOODS, _ROAD),
    (_WOODS, _GRASS),
    (_SKY, _GRASS),
    (_ROOM, _ROOM),
)
"""What is behind an object, above and below."""

_AIR, _SEA, _STREET, _TRACK, _FOREST, _MEADOW, _INDOORS = range(len(_SCENES))
_SCENES_OF = {
    "airplane": (_AIR, _AIR, _AIR, _STREET),
    "automobile": (_STREET, _TRACK, _STREET, _MEADOW),
    "bird": (_AIR, _FOREST, _MEADOW, _SEA),
    "cat": (_INDOORS, _INDOORS, _FOREST, _MEADOW),
    "deer": (_FOREST, _FOREST, _MEADOW, _MEADOW),
    "dog": (_INDOORS, _MEADOW, _FOREST, _TRACK),
    "frog": (_FOREST, _SEA, _INDOORS, _FOREST),
    "horse": (_MEADOW, _FOREST, _MEADOW, _TRACK),
    "ship": (_SEA, _SEA, _SEA, _AIR),
    "truck": (_STREET, _TRACK, _STREET, _MEADOW),
}
"""Scenes of a class, each as likely as the others."""

_ANY_SCENE = 0.25  # share of samples whose scene does not go by their class, so that it does not give the class away

# Ranges of the random choices.
_SCALE = (10.5, 15.5)  # pixels for a length of 1
_ASPECT = (0.85, 1.15)
_HALF_TURN = (-0.11, 0.11)  # tangent of half the angle
_SHIFT = (-2.5, 2.5)  # pixels
_JITTER = 0.035  # of a length of 1, each way
_THICKER = (0.85, 1.2)
_TINT = 0.09  # of full scale, each way, for each channel
_LIGHT = (0.7, 1.12)
_SHADE = (0.0, 0.3)  # how much darker the bottom of an object is than its top
_HORIZON = (0.35, 0.75)  # of the height
_BLOTCHES = (0.05, 0.3)  # of full scale
_GRAIN = (0.02, 0.14)

_BLOTCH_CELLS = 5
_CHUNK = 64  # images drawn at once: their working arrays stay in the cache
_MOST_POINTS = max(sum(len(part.points) for part in form) for forms in FORMS.values() for form in forms)
_CHOICES = 40
_DRAWS = (_CHOICES, 2 * _MOST_POINTS, 3 * (_BLOTCH_CELLS + 1) ** 2, SIZE * SIZE)


def draw_objects(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``count`` objects: uint8 images (count, 32, 32, 3), RGB, and int64 labels (count,), places in ``CLASSES``.

    Every class occurs equally often (up to one) and the order is random. Equal arguments give equal bits.
    """
    labels = permutation(seed, count) % len(CLASSES)
    draws = np.split(uniform(seed, (count, sum(_DRAWS))), np.cumsum(_DRAWS)[:-1], axis=1)
    images = np.empty((count, SIZE, SIZE, 3), np.uint8)
    for label, name in enumerate(CLASSES):
        forms = FORMS[name]
        choice = np.floor(draws[0][:, 0] * len(forms)).astype(int)
        for number, form in enumerate(forms):
            chosen = np.flatnonzero((labels == label) & (choice == number))
            for start in range(0, len(chosen), _CHUNK):
                part = chosen[start : start + _CHUNK]
                images[part] = _draw(name, form, *(draw[part] for draw in draws))
    return images, labels


def _draw(
    name: str, form: Form, choices: np.ndarray, jitter: np.ndarray, blotches: np.ndarray, grain: np.ndarray
) -> np.ndarray:
    """Draw one form once per row of random numbers: uint8 (n, 32, 32, 3)."""
    jitter, blotches, grain = (draw.astype(np.float32) for draw in (jitter, blotches, grain))
    picture = _scene(name, choices, blotches)
    x, y, scale = _object_coordinates(choices)
    paints = _paints(name, choices)
    shade = 1 - _column(choices, 18, _SHADE) * np.clip(0.5 + 0.6 * y, 0, 1)
    thicker = _column(choices, 19, _THICKER)
    first = 0
    for part in form:
        moves = jitter[:, 2 * first : 2 * (first + len(part.points))].reshape(-1, len(part.points), 2) * 2 - 1
        points = np.array(part.points, np.float32) + _JITTER * moves
        first += len(part.points)
        if isinstance(part, Bar):
            distance = _distance_to_bar(x, y, points, part.radii, thicker)
        else:
            distance = _distance_to_plate(x, y, points)
        cover = np.clip(0.5 - distance * scale, 0, 1)
        picture += cover[:, np.newaxis] * (_flat(paints[part.paint]) * shade[:, np.newaxis] - picture)
    picture *= _column(choices, 20, _LIGHT)[:, np.newaxis]
    picture += (_column(choices, 21, _GRAIN) * (grain.reshape(-1, SIZE, SIZE) - 0.5))[:, np.newaxis]
    return np.floor(np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(0, 2, 3, 1)


def _object_coordinates(choices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where every pixel's centre lies on the posed object: x and y (n, 32, 32), and pixels per length of 1."""
    scale, aspect, tangent, right, down = (
        _column(choices, column, limits)
        for column, limits in enumerate((_SCALE, _ASPECT, _HALF_TURN, _SHIFT, _SHIFT), start=1)
    )
    mirror = np.where(choices[:, 6, np.newaxis, np.newaxis] < 0.5, np.float32(-1), np.float32(1))
    cosine = (1 - tangent * tangent) / (1 + tangent * tangent)
    sine = 2 * tangent / (1 + tangent * tangent)
    grid = np.arange(SIZE, dtype=np.float32) - (SIZE - 1) / 2
    across, along = grid - right, grid[:, np.newaxis] - down
    x = mirror * (cosine * across + sine * along) / scale
    y = (cosine * along - sine * across) / (scale * aspect)
    return x, y, scale


def _distance_to_bar(
    x: np.ndarray, y: np.ndarray, points: np.ndarray, radii: tuple[float, float], thicker: np.ndarray
) -> np.ndarray:
    """Distance of every pixel to the edge of a bar with ends (n, 2, 2), negative inside: (n, 32, 32)."""
    x0, y0, x1, y1 = (points.reshape(-1, 4)[:, column, np.newaxis, np.newaxis] for column in range(4))
    dx, dy = x1 - x0, y1 - y0
    along = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy + 1e-12), 0, 1)
    across, down = x - x0 - along * dx, y - y0 - along * dy
    return np.sqrt(across * across + down * down) - thicker * (radii[0] + along * (radii[1] - radii[0]))


def _distance_to_plate(x: np.ndarray, y: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Distance of every pixel to the nearest side of a plate with corners (n, corners, 2), negative inside."""
    farthest = np.full_like(x, -np.inf)
    for corner in range(points.shape[1]):
        x0, y0 = (points[:, corner, axis, np.newaxis, np.newaxis] for axis in range(2))
        x1, y1 = (points[:, (corner + 1) % points.shape[1], axis, np.newaxis, np.newaxis] for axis in range(2))
        dx, dy = x1 - x0, y1 - y0
        length = np.sqrt(dx * dx + dy * dy)
        np.maximum(farthest, (x - x0) * (dy / length) - (y - y0) * (dx / length), out=farthest)
    return farthest


def _paints(name: str, choices: np.ndarray) -> dict[str, np.ndarray]:
    """Return the colours of every paint, (n, 3) each."""
    body = _tinted(_chosen(_PALETTES[name], choices[:, 7]), choices[:, 8:11])
    second = _tinted(_chosen(_PALETTES[name], choices[:, 11]), choices[:, 12:15])
    paints = {paint: np.broadcast_to(np.array(colour, np.float32), body.shape) for paint, colour in _FIXED.items()}
    return paints | {
        "body": body,
        "second": second,
        "far": 0.7 * body,
        "dark": 0.35 * body,
        "pale": 0.45 * body + 0.5,
    }


def _scene(name: str, choices: np.ndarray, blotches: np.ndarray) -> np.ndarray:
    """Draw what is behind an object, a row of random numbers each: float32 (n, 3, 32, 32)."""
    count = len(choices)
    own = np.array(_SCENES_OF[name])[np.floor(4 * choices[:, 22]).astype(int)]
    any_scene = np.floor(len(_SCENES) * choices[:, 23]).astype(int)
    number = np.where(choices[:, 24] < _ANY_SCENE, any_scene, own)
    above, below = np.empty((count, 3), np.float32), np.empty((count, 3), np.float32)
    for scene, (upper, lower) in enumerate(_SCENES):
        chosen = number == scene
        above[chosen] = _chosen(upper, choices[chosen, 25])
        below[chosen] = _chosen(lower, choices[chosen, 26])
    above, below = _tinted(above, choices[:, 27:30]), _tinted(below, choices[:, 30:33])
    rows = np.arange(SIZE, dtype=np.float32)[:, np.newaxis]
    down = np.clip(rows - SIZE * _column(choices, 33, _HORIZON), 0, 1)[:, np.newaxis]
    picture = _flat(above) * (1 - down) + _flat(below) * down
    cells = blotches.reshape(count, 3, _BLOTCH_CELLS + 1, _BLOTCH_CELLS + 1) - 0.5
    strength = _column(choices, 34, _BLOTCHES)[:, np.newaxis]
    grey = _column(choices, 35, (0.0, 1.0))[:, np.newaxis]  # how much of a blotch is light rather than colour
    cells = grey * cells[:, :1] + (1 - grey) * cells
    return picture + strength * _smoothed(cells)


def _smoothed(cells: np.ndarray) -> np.ndarray:
    """Interpolate (n, 3, cells + 1, cells + 1) linearly to (n, 3, 32, 32)."""
    place = (np.arange(SIZE, dtype=np.float32) + 0.5) * _BLOTCH_CELLS / SIZE
    cell = np.floor(place).astype(int)
    share = place - cell
    rows = cells[:, :, cell] + share[:, np.newaxis] * (cells[:, :, cell + 1] - cells[:, :, cell])
    return rows[..., cell] + share * (rows[..., cell + 1] - rows[..., cell])


def _chosen(colours: tuple[Colour, ...], draw: np.ndarray) -> np.ndarray:
    return np.array(colours, np.float32)[np.floor(len(colours) * draw).astype(int)]


def _tinted(colours: np.ndarray, draw: np.ndarray) -> np.ndarray:
    return colours + _TINT * (2 * draw.astype(np.float32) - 1)


def _flat(colours: np.ndarray) -> np.ndarray:
    """Give colours (n, 3) the shape of a picture, (n, 3, 1, 1)."""
    return colours[..., np.newaxis, np.newaxis]


def _column(choices: np.ndarray, column: int, limits: tuple[float, float]) -> np.ndarray:
    """Scale one column of random numbers to a range: float32 (n, 1, 1)."""
    low, high = limits
    return low + (high - low) * choices[:, column, np.newaxis, np.newaxis].astype(np.float32)
