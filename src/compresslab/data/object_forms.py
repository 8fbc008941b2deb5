"""The forms of drawn small objects: of every class of CIFAR-10, a few views, each a list of parts, back to front.

Parts are bars with round ends, which may taper (a limb, a wheel, a head), and convex plates (a wing, a hull, a window).
Cat, dog, deer and horse are one animal with other proportions, so they are confused as the real ones are.
"""

from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True)
class Bar:
    """A thick line from ``start`` to ``end`` with round ends of two radii."""

    start: Point
    end: Point
    radii: tuple[float, float]
    paint: str

    @property
    def points(self) -> tuple[Point, ...]:
        """What a sample moves."""
        return (self.start, self.end)


@dataclass(frozen=True)
class Plate:
    """A convex polygon; its corners go round clockwise as they are seen, y pointing downwards."""

    points: tuple[Point, ...]
    paint: str


Part = Bar | Plate
Form = tuple[Part, ...]


def _disc(centre: Point, radius: float, paint: str) -> Bar:
    return Bar(centre, centre, (radius, radius), paint)


def _box(left: float, top: float, right: float, bottom: float, paint: str) -> Plate:
    return Plate(((left, top), (right, top), (right, bottom), (left, bottom)), paint)


def _wheels(*places: float, radius: float = 0.17, ground: float = 0.6) -> Form:
    tyres = (_disc((place, ground), radius, "black") for place in places)
    hubs = (_disc((place, ground), 0.4 * radius, "light") for place in places)
    return (*tyres, *hubs)


def _four_legs(
    *, length: float, thickness: float, trunk: float, head: Point, skull: float, muzzle: float, neck: float
) -> Form:
    """The animal that cats, dogs, deer and horses have in common, seen from its left side, without ears and tail."""
    back = 0.8 - length - trunk
    rump, chest = (0.42, back), (-0.34, back - 0.02)
    legs = []
    for x, paint in ((-0.26, "far"), (0.34, "far"), (-0.42, "body"), (0.48, "body")):
        knee = (x + 0.02, 0.8 - 0.5 * length)
        legs += [
            Bar((x, back + 0.5 * trunk), knee, (1.3 * thickness, thickness), paint),
            Bar(knee, (x, 0.8), (thickness, 0.9 * thickness), paint),
        ]
    nose = (head[0] - muzzle, head[1] + 0.4 * muzzle)
    return (
        *legs[:4],
        Bar(chest, rump, (trunk, 0.95 * trunk), "body"),
        *legs[4:],
        Bar((chest[0] - 0.04, chest[1] - 0.2 * trunk), head, (neck, 0.8 * neck), "body"),
        Bar(head, nose, (skull, 0.55 * skull), "body"),
        _disc((nose[0] - 0.02, nose[1]), 0.05, "black"),
        _disc((head[0] - 0.3 * skull, head[1] - 0.25 * skull), 0.05, "black"),
    )


# Parts lie in a box from -1 to 1, x to the right, y downwards; what stands, stands on y = 0.8.
_AIRPLANES: tuple[Form, ...] = (
    (  # from the side
        Plate(((0.0, -0.02), (0.5, -0.42), (0.62, -0.4), (0.3, 0.02)), "far"),
        Bar((-0.72, 0.02), (0.62, 0.0), (0.15, 0.09), "body"),
        Plate(((0.45, -0.02), (0.72, -0.48), (0.9, -0.48), (0.78, 0.02)), "second"),
        Plate(((-0.2, 0.05), (0.18, 0.05), (0.62, 0.46), (0.44, 0.48)), "second"),
        Bar((-0.05, 0.24), (0.08, 0.24), (0.07, 0.07), "dark"),
        Bar((-0.5, -0.03), (0.4, -0.04), (0.025, 0.025), "glass"),
        Plate(((-0.85, -0.03), (-0.72, -0.1), (-0.62, -0.1), (-0.68, -0.01)), "glass"),
    ),
    (  # from above
        Plate(((-0.18, 0.0), (0.1, 0.0), (0.42, 0.85), (0.26, 0.85)), "second"),
        Plate(((0.26, -0.85), (0.42, -0.85), (0.1, 0.0), (-0.18, 0.0)), "second"),
        Plate(((0.6, 0.0), (0.74, 0.0), (0.9, 0.34), (0.78, 0.34)), "second"),
        Plate(((0.78, -0.34), (0.9, -0.34), (0.74, 0.0), (0.6, 0.0)), "second"),
        Bar((-0.78, 0.0), (0.82, 0.0), (0.12, 0.06), "body"),
        Bar((0.0, 0.42), (0.14, 0.42), (0.06, 0.06), "dark"),
        Bar((0.0, -0.42), (0.14, -0.42), (0.06, 0.06), "dark"),
        Bar((-0.78, -0.04), (-0.78, 0.04), (0.04, 0.04), "glass"),
    ),
)
_AUTOMOBILES: tuple[Form, ...] = (
    (  # a saloon from the side
        Plate(((-0.46, 0.12), (-0.24, -0.24), (0.24, -0.24), (0.52, 0.12)), "body"),
        Plate(((-0.36, 0.1), (-0.2, -0.17), (-0.02, -0.17), (-0.02, 0.1)), "glass"),
        Plate(((0.04, 0.1), (0.04, -0.17), (0.2, -0.17), (0.4, 0.1)), "glass"),
        Bar((-0.74, 0.3), (0.76, 0.28), (0.19, 0.19), "body"),
        _box(-0.88, 0.4, 0.9, 0.52, "far"),
        _disc((-0.86, 0.24), 0.06, "light"),
        *_wheels(-0.5, 0.52, radius=0.2, ground=0.5),
    ),
    (  # a small car, high and round
        Bar((-0.12, -0.02), (0.34, -0.02), (0.34, 0.34), "body"),
        Plate(((-0.38, 0.06), (-0.2, -0.26), (0.04, -0.26), (0.04, 0.06)), "glass"),
        Plate(((0.1, 0.06), (0.1, -0.26), (0.4, -0.26), (0.52, 0.06)), "glass"),
        Bar((-0.58, 0.3), (0.6, 0.26), (0.2, 0.22), "body"),
        _disc((-0.72, 0.24), 0.06, "light"),
        *_wheels(-0.42, 0.48, radius=0.2, ground=0.5),
    ),
    (  # from the front
        Plate(((-0.44, 0.0), (-0.32, -0.42), (0.32, -0.42), (0.44, 0.0)), "body"),
        Plate(((-0.36, -0.04), (-0.26, -0.34), (0.26, -0.34), (0.36, -0.04)), "glass"),
        _box(-0.58, 0.3, -0.36, 0.7, "black"),
        _box(0.36, 0.3, 0.58, 0.7, "black"),
        Bar((-0.4, 0.2), (0.4, 0.2), (0.24, 0.24), "body"),
        _box(-0.26, 0.2, 0.26, 0.34, "dark"),
        _disc((-0.46, 0.16), 0.09, "light"),
        _disc((0.46, 0.16), 0.09, "light"),
    ),
)
_BIRDS: tuple[Form, ...] = (
    (  # perched
        Bar((0.05, 0.3), (0.0, 0.72), (0.03, 0.03), "beak"),
        Bar((0.18, 0.3), (0.16, 0.72), (0.03, 0.03), "beak"),
        Plate(((0.25, 0.0), (0.86, 0.3), (0.8, 0.42), (0.2, 0.26)), "far"),
        Bar((-0.1, 0.02), (0.22, 0.16), (0.3, 0.22), "body"),
        Bar((-0.16, 0.12), (0.02, 0.24), (0.18, 0.12), "pale"),
        _disc((-0.3, -0.36), 0.21, "body"),
        Plate(((-0.74, -0.3), (-0.46, -0.42), (-0.46, -0.24)), "beak"),
        Bar((0.02, 0.0), (0.46, 0.22), (0.16, 0.05), "second"),
        _disc((-0.36, -0.42), 0.05, "black"),
    ),
    (  # flying, wings raised
        Plate(((-0.1, -0.02), (0.2, -0.86), (0.42, -0.7), (0.22, 0.02)), "far"),
        Plate(((0.3, 0.02), (0.84, 0.08), (0.86, 0.26), (0.3, 0.16)), "far"),
        Bar((-0.24, 0.08), (0.3, 0.1), (0.2, 0.12), "body"),
        Bar((-0.1, 0.18), (0.16, 0.18), (0.1, 0.06), "pale"),
        _disc((-0.46, 0.0), 0.16, "body"),
        Plate(((-0.84, 0.08), (-0.58, -0.06), (-0.58, 0.08)), "beak"),
        Plate(((-0.16, 0.06), (-0.44, -0.74), (-0.24, -0.86), (0.22, 0.08)), "second"),
        _disc((-0.5, -0.04), 0.04, "black"),
    ),
    (  # long-legged, in water or grass
        Bar((0.0, 0.2), (-0.02, 0.82), (0.03, 0.03), "beak"),
        Bar((0.16, 0.2), (0.2, 0.82), (0.03, 0.03), "beak"),
        Bar((-0.04, 0.08), (0.34, 0.12), (0.23, 0.14), "body"),
        Plate(((0.06, -0.08), (0.78, 0.16), (0.74, 0.26), (0.06, 0.2)), "second"),
        Bar((-0.14, 0.0), (-0.34, -0.3), (0.11, 0.07), "body"),
        Bar((-0.34, -0.3), (-0.26, -0.6), (0.07, 0.07), "body"),
        _disc((-0.28, -0.64), 0.13, "body"),
        Plate(((-0.8, -0.54), (-0.38, -0.72), (-0.38, -0.58)), "beak"),
        _disc((-0.32, -0.68), 0.04, "black"),
    ),
)
_CAT = _four_legs(length=0.36, thickness=0.07, trunk=0.18, head=(-0.56, 0.02), skull=0.23, muzzle=0.05, neck=0.14)
_CATS: tuple[Form, ...] = (
    (  # from the side
        Bar((0.52, 0.24), (0.82, -0.1), (0.06, 0.06), "body"),
        Bar((0.82, -0.1), (0.72, -0.46), (0.06, 0.05), "body"),
        *_CAT,
        Plate(((-0.78, -0.1), (-0.74, -0.4), (-0.58, -0.16)), "body"),
        Plate(((-0.54, -0.16), (-0.4, -0.4), (-0.36, -0.08)), "body"),
    ),
    (  # sitting, from the front
        Bar((0.26, 0.66), (0.66, 0.56), (0.07, 0.06), "far"),
        Bar((0.66, 0.56), (0.72, 0.24), (0.06, 0.05), "far"),
        Bar((0.0, 0.1), (0.0, 0.55), (0.22, 0.34), "body"),
        Bar((0.0, 0.22), (0.0, 0.42), (0.12, 0.14), "pale"),
        Bar((-0.14, 0.5), (-0.14, 0.78), (0.09, 0.1), "far"),
        Bar((0.14, 0.5), (0.14, 0.78), (0.09, 0.1), "far"),
        Plate(((-0.36, -0.3), (-0.36, -0.78), (-0.02, -0.5)), "body"),
        Plate(((0.02, -0.5), (0.36, -0.78), (0.36, -0.3)), "body"),
        Plate(((-0.28, -0.44), (-0.3, -0.64), (-0.14, -0.52)), "pink"),
        Plate(((0.14, -0.52), (0.3, -0.64), (0.28, -0.44)), "pink"),
        Bar((-0.08, -0.26), (0.08, -0.26), (0.3, 0.3), "body"),
        _disc((-0.15, -0.3), 0.08, "eye"),
        _disc((0.15, -0.3), 0.08, "eye"),
        _disc((-0.15, -0.3), 0.035, "black"),
        _disc((0.15, -0.3), 0.035, "black"),
        Plate(((-0.06, -0.18), (0.06, -0.18), (0.0, -0.1)), "pink"),
    ),
)
_DOG = _four_legs(length=0.44, thickness=0.08, trunk=0.2, head=(-0.54, -0.18), skull=0.19, muzzle=0.28, neck=0.15)
_DOGS: tuple[Form, ...] = (
    (  # from the side
        Bar((0.54, 0.08), (0.78, -0.22), (0.07, 0.03), "body"),
        *_DOG,
        Bar((-0.44, -0.26), (-0.34, 0.02), (0.08, 0.1), "dark"),
    ),
    (  # sitting, from the front
        Bar((0.0, 0.1), (0.0, 0.55), (0.26, 0.34), "body"),
        Bar((0.0, 0.2), (0.0, 0.4), (0.14, 0.16), "pale"),
        Bar((-0.16, 0.46), (-0.16, 0.78), (0.1, 0.12), "far"),
        Bar((0.16, 0.46), (0.16, 0.78), (0.1, 0.12), "far"),
        Bar((0.0, -0.42), (0.0, -0.22), (0.28, 0.26), "body"),
        Bar((-0.3, -0.5), (-0.42, -0.1), (0.1, 0.12), "dark"),
        Bar((0.3, -0.5), (0.42, -0.1), (0.1, 0.12), "dark"),
        Bar((0.0, -0.2), (0.0, -0.08), (0.15, 0.16), "pale"),
        Bar((-0.04, -0.18), (0.04, -0.18), (0.07, 0.07), "black"),
        _disc((-0.13, -0.42), 0.05, "black"),
        _disc((0.13, -0.42), 0.05, "black"),
        Bar((0.0, -0.02), (0.0, 0.06), (0.05, 0.05), "pink"),
    ),
)
_DEER = _four_legs(length=0.58, thickness=0.045, trunk=0.17, head=(-0.58, -0.38), skull=0.12, muzzle=0.2, neck=0.11)
_DEERS: tuple[Form, ...] = (
    (  # with antlers
        Bar((0.56, 0.0), (0.64, 0.1), (0.07, 0.04), "pale"),
        *_DEER,
        Bar((-0.52, -0.46), (-0.36, -0.5), (0.06, 0.02), "far"),
        Bar((-0.56, -0.46), (-0.42, -0.92), (0.035, 0.025), "horn"),
        Bar((-0.5, -0.66), (-0.26, -0.84), (0.03, 0.02), "horn"),
        Bar((-0.62, -0.46), (-0.76, -0.9), (0.035, 0.025), "horn"),
        Bar((-0.68, -0.66), (-0.9, -0.74), (0.03, 0.02), "horn"),
        Bar((-0.2, 0.2), (0.3, 0.2), (0.05, 0.06), "pale"),
    ),
    (  # without
        Bar((0.56, 0.0), (0.64, 0.12), (0.08, 0.04), "pale"),
        *_DEER,
        Bar((-0.5, -0.46), (-0.32, -0.6), (0.06, 0.03), "body"),
        Bar((-0.6, -0.48), (-0.64, -0.68), (0.05, 0.02), "far"),
        Bar((-0.2, 0.2), (0.3, 0.2), (0.05, 0.06), "pale"),
        *(
            _disc((x, y), 0.035, "pale")
            for x, y in ((-0.1, -0.02), (0.1, -0.06), (0.3, 0.0), (0.2, 0.08), (-0.2, 0.08))
        ),
    ),
)
_HORSE = _four_legs(length=0.5, thickness=0.075, trunk=0.23, head=(-0.66, -0.46), skull=0.14, muzzle=0.22, neck=0.2)
_HORSES: tuple[Form, ...] = (
    (  # head up
        Bar((0.6, 0.02), (0.76, 0.5), (0.07, 0.09), "dark"),
        *_HORSE,
        Bar((-0.58, -0.56), (-0.28, -0.12), (0.07, 0.09), "dark"),
        Plate(((-0.66, -0.54), (-0.62, -0.74), (-0.54, -0.54)), "body"),
    ),
    (  # grazing
        Bar((0.6, 0.02), (0.74, 0.5), (0.07, 0.09), "dark"),
        *_four_legs(length=0.5, thickness=0.075, trunk=0.23, head=(-0.78, 0.34), skull=0.14, muzzle=0.12, neck=0.19),
        Bar((-0.36, -0.14), (-0.66, 0.12), (0.07, 0.07), "dark"),
        Plate(((-0.7, 0.24), (-0.64, 0.04), (-0.56, 0.22)), "body"),
    ),
)
_FROGS: tuple[Form, ...] = (
    (  # from the side
        Bar((0.5, 0.52), (0.16, 0.7), (0.14, 0.08), "far"),
        Bar((-0.3, 0.0), (0.46, 0.38), (0.24, 0.28), "body"),
        Bar((-0.34, 0.2), (0.3, 0.52), (0.16, 0.16), "pale"),
        Bar((0.36, 0.62), (0.66, 0.36), (0.16, 0.16), "body"),
        Bar((0.3, 0.72), (0.74, 0.74), (0.07, 0.08), "far"),
        Bar((-0.24, 0.34), (-0.3, 0.72), (0.1, 0.07), "body"),
        Bar((-0.3, 0.72), (-0.5, 0.74), (0.06, 0.05), "body"),
        Bar((-0.52, 0.06), (-0.16, 0.14), (0.025, 0.025), "black"),
        _disc((-0.32, -0.24), 0.14, "body"),
        _disc((-0.35, -0.25), 0.08, "eye"),
        _disc((-0.36, -0.25), 0.045, "black"),
        *(_disc(place, 0.06, "second") for place in ((0.06, 0.0), (0.26, 0.12), (0.46, 0.24))),
    ),
    (  # from the front
        Bar((-0.56, 0.42), (-0.66, 0.68), (0.18, 0.12), "far"),
        Bar((0.56, 0.42), (0.66, 0.68), (0.18, 0.12), "far"),
        Bar((-0.2, 0.26), (0.2, 0.26), (0.42, 0.42), "body"),
        Bar((-0.18, 0.4), (0.18, 0.4), (0.26, 0.26), "pale"),
        Bar((-0.3, 0.44), (-0.36, 0.74), (0.1, 0.08), "body"),
        Bar((0.3, 0.44), (0.36, 0.74), (0.1, 0.08), "body"),
        _disc((-0.34, -0.22), 0.18, "body"),
        _disc((0.34, -0.22), 0.18, "body"),
        _disc((-0.34, -0.24), 0.11, "eye"),
        _disc((0.34, -0.24), 0.11, "eye"),
        _disc((-0.34, -0.24), 0.055, "black"),
        _disc((0.34, -0.24), 0.055, "black"),
        Bar((-0.36, 0.12), (0.36, 0.12), (0.025, 0.025), "black"),
    ),
)
_SHIPS: tuple[Form, ...] = (
    (  # a freighter
        Bar((0.3, -0.1), (0.3, -0.5), (0.09, 0.09), "dark"),
        Bar((-0.5, 0.1), (-0.5, -0.4), (0.025, 0.02), "black"),
        _box(0.1, -0.24, 0.56, 0.16, "light"),
        _box(0.16, -0.16, 0.5, -0.06, "glass"),
        _box(-0.36, -0.02, -0.14, 0.16, "second"),
        _box(-0.12, -0.08, 0.08, 0.16, "far"),
        Plate(((-0.94, 0.12), (0.84, 0.12), (0.72, 0.5), (-0.72, 0.5)), "body"),
        Plate(((-0.8, 0.38), (0.76, 0.38), (0.72, 0.5), (-0.72, 0.5)), "dark"),
    ),
    (  # a sailing boat
        Bar((0.0, 0.3), (0.0, -0.86), (0.03, 0.025), "black"),
        Plate(((-0.04, -0.76), (-0.04, 0.22), (-0.56, 0.22)), "light"),
        Plate(((0.05, -0.82), (0.62, 0.24), (0.05, 0.24)), "second"),
        Plate(((-0.66, 0.3), (0.72, 0.3), (0.5, 0.58), (-0.44, 0.58)), "body"),
    ),
    (  # a liner
        Bar((-0.1, -0.2), (-0.06, -0.46), (0.08, 0.08), "second"),
        Bar((0.26, -0.2), (0.3, -0.46), (0.08, 0.08), "second"),
        _box(-0.5, -0.24, 0.6, -0.02, "light"),
        Plate(((-0.66, -0.02), (0.72, -0.02), (0.72, 0.18), (-0.66, 0.18)), "light"),
        Bar((-0.4, -0.12), (0.5, -0.12), (0.03, 0.03), "glass"),
        Bar((-0.56, 0.08), (0.6, 0.08), (0.03, 0.03), "glass"),
        Plate(((-0.94, 0.14), (0.84, 0.16), (0.74, 0.48), (-0.7, 0.48)), "body"),
    ),
)
_TRUCKS: tuple[Form, ...] = (
    (  # with a box
        _box(-0.84, 0.4, 0.86, 0.52, "black"),
        _box(-0.28, -0.5, 0.88, 0.4, "second"),
        _box(-0.28, 0.28, 0.88, 0.4, "dark"),
        Plate(((-0.9, 0.46), (-0.9, 0.0), (-0.72, -0.32), (-0.36, -0.32), (-0.36, 0.46)), "body"),
        Plate(((-0.82, 0.02), (-0.68, -0.24), (-0.46, -0.24), (-0.46, 0.02)), "glass"),
        _disc((-0.86, 0.26), 0.06, "light"),
        *_wheels(-0.6, 0.3, 0.66, radius=0.19, ground=0.54),
    ),
    (  # a tipper
        _box(-0.84, 0.34, 0.8, 0.46, "black"),
        Plate(((-0.24, -0.26), (0.94, -0.26), (0.8, 0.36), (-0.16, 0.36)), "second"),
        Bar((0.0, -0.28), (0.6, -0.28), (0.12, 0.1), "far"),
        _box(-0.92, 0.06, -0.5, 0.44, "body"),
        Plate(((-0.62, 0.44), (-0.56, -0.42), (-0.3, -0.42), (-0.3, 0.44)), "body"),
        _box(-0.52, -0.32, -0.36, -0.02, "glass"),
        *_wheels(-0.64, 0.32, 0.66, radius=0.2, ground=0.54),
    ),
    (  # from the front
        _box(-0.54, 0.3, -0.3, 0.8, "black"),
        _box(0.3, 0.3, 0.54, 0.8, "black"),
        _box(-0.56, -0.82, 0.56, 0.1, "second"),
        _box(-0.5, -0.5, 0.5, 0.6, "body"),
        _box(-0.42, -0.42, 0.42, -0.04, "glass"),
        _box(-0.28, 0.1, 0.28, 0.36, "dark"),
        _disc((-0.38, 0.42), 0.09, "light"),
        _disc((0.38, 0.42), 0.09, "light"),
    ),
)
FORMS: dict[str, tuple[Form, ...]] = {
    "airplane": _AIRPLANES,
    "automobile": _AUTOMOBILES,
    "bird": _BIRDS,
    "cat": _CATS,
    "deer": _DEERS,
    "dog": _DOGS,
    "frog": _FROGS,
    "horse": _HORSES,
    "ship": _SHIPS,
    "truck": _TRUCKS,
}
