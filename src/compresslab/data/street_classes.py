"""The eight classes of street scenes, and what the published labels of CamVid and Cityscapes become.

The classes are Cityscapes' categories (Cordts et al., CVPR 2016), of which "flat" is divided into road and sidewalk,
since a car may drive on one of them only.
"""

from compresslab.data.published_masks import VOID_NAME, PublishedLabel

CLASSES = ("road", "sidewalk", "construction", "object", "nature", "sky", "human", "vehicle")
"""In the order of the labels."""

CAMVID = tuple(
    PublishedLabel(*row)
    for row in (
        (0, "Sky", "sky"),
        (1, "Building", "construction"),
        (2, "Pole", "object"),
        (3, "Road", "road"),
        (4, "Pavement", "sidewalk"),
        (5, "Tree", "nature"),
        (6, "SignSymbol", "object"),
        (7, "Fence", "construction"),
        (8, "Car", "vehicle"),
        (9, "Pedestrian", "human"),
        (10, "Bicyclist", "human"),
        (11, "Unlabelled", VOID_NAME),
    )
)
"""The eleven classes of CamVid as the SegNet tutorial numbers them."""

CITYSCAPES = tuple(
    PublishedLabel(*row)
    for row in (
        (-1, "license plate", VOID_NAME),
        (0, "unlabeled", VOID_NAME),
        (1, "ego vehicle", VOID_NAME),
        (2, "rectification border", VOID_NAME),
        (3, "out of roi", VOID_NAME),
        (4, "static", VOID_NAME),
        (5, "dynamic", VOID_NAME),
        (6, "ground", VOID_NAME),
        (7, "road", "road"),
        (8, "sidewalk", "sidewalk"),
        (9, "parking", VOID_NAME),
        (10, "rail track", VOID_NAME),
        (11, "building", "construction"),
        (12, "wall", "construction"),
        (13, "fence", "construction"),
        (14, "guard rail", VOID_NAME),
        (15, "bridge", VOID_NAME),
        (16, "tunnel", VOID_NAME),
        (17, "pole", "object"),
        (18, "polegroup", VOID_NAME),
        (19, "traffic light", "object"),
        (20, "traffic sign", "object"),
        (21, "vegetation", "nature"),
        (22, "terrain", "nature"),
        (23, "sky", "sky"),
        (24, "person", "human"),
        (25, "rider", "human"),
        (26, "car", "vehicle"),
        (27, "truck", "vehicle"),
        (28, "bus", "vehicle"),
        (29, "caravan", VOID_NAME),
        (30, "trailer", VOID_NAME),
        (31, "train", "vehicle"),
        (32, "motorcycle", "vehicle"),
        (33, "bicycle", "vehicle"),
    )
)
"""Cityscapes' labels by their ids; what its own evaluation ignores is void here, too."""
