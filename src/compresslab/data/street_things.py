"""What stands and moves in drawn streets: walls, fences, trees, poles and signs, people and cars; lengths in metres."""

from collections.abc import Sequence

import numpy as np

from compresslab.data.sampling import Dice
from compresslab.data.street_canvas import Camera, Canvas, Colour, Texture

_WALLS: tuple[Colour, ...] = (
    (0.62, 0.42, 0.33),
    (0.75, 0.7, 0.6),
    (0.55, 0.53, 0.5),
    (0.82, 0.78, 0.72),
    (0.48, 0.36, 0.3),
    (0.6, 0.62, 0.66),
    (0.72, 0.6, 0.45),
)
_FENCES: tuple[Colour, ...] = ((0.42, 0.32, 0.22), (0.3, 0.32, 0.34), (0.62, 0.6, 0.56), (0.25, 0.33, 0.27))
_LEAVES: tuple[Colour, ...] = ((0.18, 0.33, 0.12), (0.28, 0.4, 0.16), (0.13, 0.25, 0.12), (0.42, 0.42, 0.18))
_TRUNK: Colour = (0.28, 0.22, 0.16)
_METALS: tuple[Colour, ...] = ((0.35, 0.36, 0.37), (0.55, 0.56, 0.57), (0.2, 0.22, 0.2))
_SIGNS: tuple[Colour, ...] = ((0.75, 0.12, 0.12), (0.12, 0.25, 0.65), (0.85, 0.75, 0.2), (0.9, 0.9, 0.88))
_CLOTHES: tuple[Colour, ...] = (
    (0.15, 0.16, 0.2),
    (0.6, 0.15, 0.15),
    (0.2, 0.3, 0.5),
    (0.8, 0.78, 0.72),
    (0.35, 0.3, 0.25),
    (0.75, 0.6, 0.2),
    (0.25, 0.42, 0.3),
)
_SKINS: tuple[Colour, ...] = ((0.82, 0.64, 0.53), (0.6, 0.43, 0.32), (0.38, 0.26, 0.2))
_PAINTS: tuple[Colour, ...] = (
    (0.7, 0.1, 0.1),
    (0.12, 0.2, 0.5),
    (0.88, 0.88, 0.88),
    (0.12, 0.12, 0.14),
    (0.55, 0.57, 0.6),
    (0.3, 0.4, 0.3),
    (0.8, 0.65, 0.15),
)
_GLASS: Colour = (0.2, 0.26, 0.32)
_TYRE: Colour = (0.06, 0.06, 0.07)
_LAMP: Colour = (0.85, 0.15, 0.1)
_BRIGHT: Colour = (0.9, 0.88, 0.8)
_TALL = 2.0  # metres; a car that is higher has upright windows


class Street:
    """A canvas with its camera, its dice and the light: all that a thing needs to be drawn.

    ``haze``: colour that far things fade into; ``light``: factor of all colours, one for each channel.
    """

    def __init__(self, canvas: Canvas, camera: Camera, dice: Dice, haze: Colour) -> None:
        self.canvas, self.camera, self.dice, self.haze = canvas, camera, dice, haze

    def seen(self, colour: Colour, away: float, shade: float = 1.0) -> Colour:
        """Return a colour as it looks from afar."""
        lost = away / (away + 160)
        red, green, blue = (
            shade * own + lost * (far - shade * own) for own, far in zip(colour, self.haze, strict=True)
        )
        return red, green, blue

    def tinted(self, colours: Sequence[Colour]) -> Colour:
        """Choose a colour and change it a little."""
        red, green, blue = self.dice.chosen(colours)
        by = self.dice.between
        return red + by(-0.06, 0.06), green + by(-0.06, 0.06), blue + by(-0.06, 0.06)


def wall(street: Street, right: float, near: float, far: float, height: float) -> None:
    """A house along the street, its front at ``right`` metres, and its side that faces the camera."""
    colour = street.tinted(_WALLS)
    side = 1 if right > 0 else -1
    windows = _windows(street, right, street.dice.between(2.2, 4.0), street.dice.between(2.8, 3.6))
    place = street.camera.place
    middle = (near + far) / 2
    end = (place(right, 0, near), place(right, height, near))
    depth = right + 12 * side
    gable = (*end, place(depth, height, near), place(depth, 0, near))
    street.canvas.plate(gable, street.seen(colour, near, 0.75), "construction")
    front = (*end, place(right, height, far), place(right, 0, far))
    street.canvas.plate(front, street.seen(colour, middle), "construction", windows)


def _windows(street: Street, right: float, step: float, storey: float) -> Texture:
    """Dark windows in rows on a front that runs along the street."""
    camera, dark = street.camera, street.dice.between(0.35, 0.7)

    def brightness(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        across = x - np.float32(camera.vanishing)
        across = np.where(np.abs(across) < 1e-4, np.float32(1e-4), across)
        away = np.float32(camera.focal * right) / across
        up = np.float32(camera.above) - (y - np.float32(camera.horizon)) * (away / np.float32(camera.focal))
        along, floor = away / np.float32(step), up / np.float32(storey)
        along, floor = along - np.floor(along), floor - np.floor(floor)
        window = (along > 0.25) & (along < 0.72) & (floor > 0.3) & (floor < 0.78)
        return np.where(window, np.float32(dark), np.float32(1))

    return brightness


def fence(street: Street, right: float, near: float, far: float) -> None:
    """A fence along the street."""
    height, place = street.dice.between(1.0, 2.1), street.camera.place
    colour = street.seen(street.tinted(_FENCES), (near + far) / 2)
    corners = (place(right, 0, near), place(right, height, near), place(right, height, far), place(right, 0, far))
    street.canvas.plate(corners, colour, "construction", _boards(street, right))


def _boards(street: Street, right: float) -> Texture:
    camera, dark = street.camera, street.dice.between(0.6, 0.9)

    def brightness(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        across = x - np.float32(camera.vanishing)
        across = np.where(np.abs(across) < 1e-4, np.float32(1e-4), across)
        along = np.float32(2 * camera.focal * right) / across
        gap = (along - np.floor(along)) < 0.3
        return np.broadcast_to(np.where(gap, np.float32(dark), np.float32(1)), (y.shape[0], x.shape[1]))

    return brightness


def tree(street: Street, right: float, away: float) -> None:
    """A tree: a trunk, and a crown of a few discs, lighter above."""
    dice, canvas, place = street.dice, street.canvas, street.camera.place
    height, crown = dice.between(4.0, 9.0), dice.between(1.2, 2.4)
    leaves = street.tinted(_LEAVES)
    trunk = street.camera.length(dice.between(0.12, 0.22), away)
    canvas.bar(place(right, 0, away), place(right, height, away), trunk, street.seen(_TRUNK, away), "nature")
    for number in range(6):
        size = crown * dice.between(0.5, 0.85)
        moved = right + crown * dice.between(-0.75, 0.75)
        up = height + crown * (number / 5 - 0.5) * 1.6
        colour = street.seen(leaves, away, 0.7 + 0.09 * number)
        canvas.disc(place(moved, up, away), street.camera.length(size, away), colour, "nature")


def bush(street: Street, right: float, away: float) -> None:
    """A bush: discs near the ground."""
    leaves, length = street.tinted(_LEAVES), street.camera.length
    for number in range(3):
        size = street.dice.between(0.4, 0.9)
        centre = street.camera.place(right + street.dice.between(-0.9, 0.9), 0.7 * size, away)
        street.canvas.disc(centre, length(size, away), street.seen(leaves, away, 0.75 + 0.1 * number), "nature")


def pole(street: Street, right: float, away: float) -> None:
    """A street lamp, whose arm reaches over the road, a sign or a traffic light."""
    dice = street.dice
    colour = street.seen(dice.chosen(_METALS), away)
    kind = dice.chosen(("lamp", "sign", "light"))
    height = dice.between(5.5, 8.0) if kind == "lamp" else dice.between(2.3, 3.4)
    foot, top = street.camera.place(right, 0, away), street.camera.place(right, height, away)
    street.canvas.bar(foot, top, street.camera.length(0.07, away), colour, "object")
    if kind == "lamp":
        arm = street.camera.place(right - (1.6 if right > 0 else -1.6), height + 0.2, away)
        street.canvas.bar(top, arm, street.camera.length(0.06, away), colour, "object")
    elif kind == "sign":
        _sign(street, right, height, away)
    else:
        _traffic_light(street, right, height, away)


def _sign(street: Street, right: float, height: float, away: float) -> None:
    canvas, place, length = street.canvas, street.camera.place, street.camera.length
    colour, size = street.dice.chosen(_SIGNS), street.dice.between(0.35, 0.5)
    outer, inner = street.seen(colour, away), street.seen(_BRIGHT, away)
    x, y = place(right, height, away)
    size = length(size, away)
    form = street.dice.chosen(("disc", "triangle", "plate"))
    if form == "disc":
        canvas.disc((x, y), size, outer, "object")
        canvas.disc((x, y), 0.6 * size, inner, "object")
    elif form == "triangle":
        canvas.plate(((x, y - size), (x + size, y + 0.8 * size), (x - size, y + 0.8 * size)), outer, "object")
        canvas.disc((x, y + 0.2 * size), 0.35 * size, inner, "object")
    else:
        canvas.box(x - size, y - 0.8 * size, x + size, y + 0.8 * size, outer, "object")
        canvas.box(x - 0.6 * size, y - 0.2 * size, x + 0.6 * size, y + 0.2 * size, inner, "object")


def _traffic_light(street: Street, right: float, height: float, away: float) -> None:
    canvas, length = street.canvas, street.camera.length
    x, y = street.camera.place(right, height, away)
    wide, high = length(0.2, away), length(0.5, away)
    canvas.box(x - wide, y - high, x + wide, y + high, street.seen(_TYRE, away), "object")
    on = street.dice.chosen((0, 1, 2))
    lamp = ((0.95, 0.15, 0.1), (0.95, 0.7, 0.1), (0.15, 0.85, 0.4))[on]
    canvas.disc((x, y + (on - 1) * 0.62 * high), 0.7 * wide, lamp, "object")


def bin_(street: Street, right: float, away: float) -> None:
    """Something on the pavement that belongs to no class."""
    (x, bottom), length = street.camera.place(right, 0, away), street.camera.length
    wide, high = length(street.dice.between(0.25, 0.5), away), length(street.dice.between(0.6, 1.3), away)
    colour = street.seen(street.tinted(_FENCES), away)
    street.canvas.box(x - wide, bottom - high, x + wide, bottom, colour, "void")


def person(street: Street, right: float, away: float) -> None:
    """Somebody on foot, in the middle of a step."""
    dice, tall = street.dice, street.dice.between(1.45, 1.9)
    (x, bottom), unit = street.camera.place(right, 0, away), street.camera.length(tall, away)
    coat = street.seen(street.tinted(_CLOTHES), away)
    trousers = street.seen(street.tinted(_CLOTHES), away, 0.7)
    step = dice.between(0.02, 0.13)
    hip, neck = bottom - 0.48 * unit, bottom - 0.8 * unit
    for way in (-1, 1):
        street.canvas.bar((x, hip), (x + way * step * unit, bottom), 0.05 * unit, trousers, "human")
    _upper_body(street, (x, hip), (x, neck), unit, coat, away)


def rider(street: Street, right: float, away: float) -> None:
    """Somebody on a bicycle, seen from the side; bicycle and rider are one thing, as in CamVid."""
    (x, bottom), unit = street.camera.place(right, 0, away), street.camera.length(1.7, away)
    metal = street.seen(street.dice.chosen(_METALS), away, 0.6)
    wheel, way = 0.19 * unit, street.dice.chosen((-1, 1))
    hubs = ((x - 0.3 * unit, bottom - wheel), (x + 0.3 * unit, bottom - wheel))
    for hub in hubs:
        street.canvas.ring(hub, wheel, 0.035 * unit, street.seen(_TYRE, away), "human")
    saddle, pedal = (x - way * 0.12 * unit, bottom - 0.52 * unit), (x, bottom - 0.2 * unit)
    for hub in hubs:
        street.canvas.bar(saddle, hub, 0.018 * unit, metal, "human")
    street.canvas.bar(saddle, pedal, 0.05 * unit, street.seen(street.tinted(_CLOTHES), away, 0.7), "human")
    coat = street.seen(street.tinted(_CLOTHES), away)
    neck = (x + way * 0.1 * unit, bottom - 0.88 * unit)
    _upper_body(street, saddle, neck, unit, coat, away)


def _upper_body(
    street: Street, hip: tuple[float, float], neck: tuple[float, float], unit: float, coat: Colour, away: float
) -> None:
    canvas, skin = street.canvas, street.seen(street.dice.chosen(_SKINS), away)
    canvas.bar(hip, neck, 0.1 * unit, coat, "human")
    arm = street.dice.between(-0.2, 0.2)
    canvas.bar(neck, (hip[0] + arm * unit, hip[1] - 0.02 * unit), 0.04 * unit, coat, "human")
    canvas.disc((neck[0], neck[1] - 0.12 * unit), 0.075 * unit, skin, "human")


def car(street: Street, right: float, away: float) -> None:
    """A car, van or bus that drives or stands along the street, seen from behind or from in front."""
    dice, place = street.dice, street.camera.place
    wide, high, long = dice.chosen(((1.75, 1.45, 4.2), (1.8, 1.5, 4.4), (1.95, 2.1, 5.2), (2.5, 3.0, 10.0)))
    paint = street.tinted(_PAINTS)
    _shadow(street, right, away, wide)
    # The side that the camera sees is the one nearer to it.
    edge = right - wide / 2 if right > 0 else right + wide / 2
    belt = 0.62 * high
    low, far = 0.28, away + long
    body = (place(edge, low, away), place(edge, belt, away), place(edge, belt, far), place(edge, low, far))
    slant = 0.0 if high > _TALL else 0.1 * long
    roof = (
        place(edge, belt, away),
        place(edge, high, away + slant),
        place(edge, high, far),
        place(edge, belt, far),
    )
    for wheel in (away + 0.2 * long, away + 0.8 * long):
        street.canvas.disc(place(edge, 0.32, wheel), street.camera.length(0.32, wheel), _TYRE, "vehicle")
    street.canvas.plate(body, street.seen(paint, away, 0.7), "vehicle")
    street.canvas.plate(roof, street.seen(_GLASS, away, 0.8), "vehicle")
    _back(street, right, away, (wide, high), paint)


def _back(street: Street, right: float, away: float, size: tuple[float, float], paint: Colour) -> None:
    canvas, place, length = street.canvas, street.camera.place, street.camera.length
    wide, high = size
    colour = street.seen(paint, away)
    x, bottom = place(right, 0, away)
    half, belt, top = length(wide / 2, away), bottom - length(0.62 * high, away), bottom - length(high, away)
    tyre = length(0.11, away)
    for way in (-1, 1):
        canvas.bar(
            (x + way * 0.8 * half, bottom - length(0.35, away)),
            (x + way * 0.8 * half, bottom - tyre),
            tyre,
            _TYRE,
            "vehicle",
        )
    roof = 1.0 if high > _TALL else 0.74
    cabin = ((x - half, belt), (x - roof * half, top), (x + roof * half, top), (x + half, belt))
    canvas.plate(cabin, colour, "vehicle")
    glass = belt - 0.85 * (belt - top)
    window = (
        (x - 0.86 * half, belt),
        (x - 0.9 * roof * half, glass),
        (x + 0.9 * roof * half, glass),
        (x + 0.86 * half, belt),
    )
    canvas.plate(window, street.seen(_GLASS, away), "vehicle")
    canvas.box(x - half, belt, x + half, bottom - length(0.25, away), colour, "vehicle")
    lamp = _LAMP if street.dice.happens(0.6) else _BRIGHT
    for way in (-1, 1):
        canvas.disc((x + way * 0.82 * half, belt + length(0.18, away)), length(0.1, away), lamp, "vehicle")


def crossing_car(street: Street, right: float, away: float) -> None:
    """A car seen from the side."""
    canvas, length = street.canvas, street.camera.length
    paint = street.seen(street.tinted(_PAINTS), away)
    x, bottom = street.camera.place(right, 0, away)
    unit, way = length(1.0, away), street.dice.chosen((-1, 1))
    _shadow(street, right, away, 4.2)
    outline = ((-1.2, 0.85), (-0.7, 1.45), (0.7, 1.45), (1.3, 0.85))
    canvas.plate([(x + way * a * unit, bottom - b * unit) for a, b in outline], paint, "vehicle")
    inner = ((-0.95, 0.87), (-0.62, 1.36), (0.64, 1.36), (1.05, 0.87))
    canvas.plate([(x + way * a * unit, bottom - b * unit) for a, b in inner], street.seen(_GLASS, away), "vehicle")
    canvas.box(x - 2.1 * unit, bottom - 0.9 * unit, x + 2.1 * unit, bottom - 0.28 * unit, paint, "vehicle")
    for place in (-1.35, 1.35):
        canvas.disc((x + place * unit, bottom - 0.33 * unit), 0.33 * unit, _TYRE, "vehicle")
        canvas.disc((x + place * unit, bottom - 0.33 * unit), 0.16 * unit, street.seen(_METALS[1], away), "vehicle")


def _shadow(street: Street, right: float, away: float, wide: float) -> None:
    """Darken the road below a car; its label stays that of the road."""
    x, bottom = street.camera.place(right, 0, away)
    half = street.camera.length(0.55 * wide, away)
    street.canvas.darken((x - half, bottom - 0.3 * half), (x + half, bottom + 0.08 * half), 0.55)
