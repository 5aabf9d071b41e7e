"""Find near copies of photos: crops, mirror images, cut-outs.

Such a pair in two splits, or in two folds of cross-validation, makes a model look better than it
is. Candidates are neighbours in the features of the shipped model. A pair is proven by SIFT
keypoints that one affine transform maps onto each other (Lowe 2004), and by equal grey values
under that transform: frames and watermarks have such keypoints too.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from model_code import artifact, framing
from model_code.inference import DEFAULT_MODEL_DIR
from model_code.runtime import CORE, compile_model, ov
from training import openvino_graph
from training.photos import Photo
from training.preprocessing import decode_served

# Measured on 6,049 photos, on pairs judged by eye (docs/training.md).
NEIGHBOURS = 5
MIN_COSINE = 0.75
MIN_KEYPOINTS = 12
MIN_AREA = 0.04
"""Fraction of a photo that the matching keypoints span."""
MIN_CORRELATION = 0.75
MAX_SIDE_PX = 300

_KEYPOINTS = 250
_RATIO = 0.75  # Lowe's test: the best match must be this much closer than the second best
_RANSAC_PX = 4.0

Grey = NDArray[np.uint8]
Keypoints = tuple[NDArray[np.float32], cv2.typing.MatLike]
"""Places [K, 2] and descriptors [K, 128]."""


def find(
    photos: Sequence[Photo], may_pair: Callable[[Photo, Photo], bool]
) -> list[tuple[int, int]]:
    """Return the pairs of indices of photos that are copies of one photo.

    Only pairs for which `may_pair` is true are compared. About 20 ms per photo, and 130 KB.
    """
    spec = artifact.load(DEFAULT_MODEL_DIR).input
    network = _feature_network()
    features, greys = [], []
    for photo in tqdm(photos, desc="features", unit="photo", leave=False, disable=None):
        image = decode_served(photo, spec)
        look = image.look(framing.first_look(image.width, image.height, spec))
        features.append(network(look[np.newaxis])[0].reshape(-1).copy())
        greys.append(_grey(image.image))
    if not features:
        return []
    matcher = _Matcher(greys)
    pairs = _candidates(np.stack(features), photos, may_pair)
    return [
        pair
        for pair in tqdm(pairs, desc="compare", unit="pair", leave=False, disable=None)
        if matcher.show_the_same(*pair)
    ]


def _feature_network() -> ov.CompiledModel:
    """Compile the shipped model up to the features that its breed head reads."""
    graph = CORE.read_model(DEFAULT_MODEL_DIR / artifact.GRAPH_FILE)
    head = openvino_graph.breed_head(graph)
    features = ov.Model([head.input_value(0)], graph.get_parameters(), "features")
    return compile_model(features, "LATENCY")


def _grey(image: Image.Image) -> Grey:
    reduced = image.convert("L")
    reduced.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
    return np.asarray(reduced)


def _candidates(
    features: NDArray[np.float32],
    photos: Sequence[Photo],
    may_pair: Callable[[Photo, Photo], bool],
) -> list[tuple[int, int]]:
    """Return the pairs of nearest neighbours in the features [N, F], each once, in order."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    pairs = set()
    for number, row in enumerate(unit):
        cosines = unit @ row
        near = np.flatnonzero(cosines >= MIN_COSINE)
        others = [
            int(other)
            for other in near[np.argsort(-cosines[near])]
            if other != number and may_pair(photos[number], photos[other])
        ]
        pairs |= {(min(number, other), max(number, other)) for other in others[:NEIGHBOURS]}
    return sorted(pairs)


class _Matcher:
    """Compares grey images by keypoints, each of which is described once."""

    def __init__(self, greys: Sequence[Grey]) -> None:
        self._greys = greys
        self._sift = cv2.SIFT.create(_KEYPOINTS)
        self._matcher = cv2.BFMatcher(cv2.NORM_L2)
        self._described: dict[int, Keypoints] = {}
        self._mirrored: tuple[int, Grey, Keypoints] | None = None

    def show_the_same(self, first: int, second: int) -> bool:
        """Return whether one is a copy of a part of the other, mirrored or not."""
        if second not in self._described:
            self._described[second] = self._describe(self._greys[second])
        if first not in self._described:
            self._described[first] = self._describe(self._greys[first])
        if self._mirrored is None or self._mirrored[0] != first:  # pairs are in order of the first
            mirrored = np.ascontiguousarray(self._greys[first][:, ::-1])
            self._mirrored = first, mirrored, self._describe(mirrored)
        other = self._greys[second], self._described[second]
        return self._match(self._greys[first], self._described[first], *other) or self._match(
            *self._mirrored[1:], *other
        )

    def _describe(self, grey: Grey) -> Keypoints:
        points, descriptors = self._sift.detectAndCompute(grey, None)
        places = np.array([point.pt for point in points], np.float32).reshape(-1, 2)
        if descriptors is None:
            descriptors = np.empty((0, 128), np.float32)
        return places, descriptors

    def _match(self, first: Grey, one: Keypoints, second: Grey, two: Keypoints) -> bool:
        if min(len(one[0]), len(two[0])) < MIN_KEYPOINTS:
            return False
        matches = [
            best
            for best, next_best in self._matcher.knnMatch(one[1], two[1], k=2)
            if best.distance < _RATIO * next_best.distance
        ]
        if len(matches) < MIN_KEYPOINTS:
            return False
        source = one[0][[match.queryIdx for match in matches]]
        target = two[0][[match.trainIdx for match in matches]]
        transform, inliers = cv2.estimateAffine2D(
            source, target, method=cv2.RANSAC, ransacReprojThreshold=_RANSAC_PX
        )
        if transform is None or inliers.sum() < MIN_KEYPOINTS:
            return False
        hull = cv2.convexHull(target[inliers[:, 0] > 0])
        if cv2.contourArea(hull) < MIN_AREA * second.size:
            return False
        return _correlation(first, second, transform, hull) >= MIN_CORRELATION


def _correlation(
    first: Grey, second: Grey, transform: cv2.typing.MatLike, hull: cv2.typing.MatLike
) -> float:
    """Return how equal `second` is to the transformed `first` inside `hull`, from -1 to 1."""
    height, width = second.shape
    warped = cv2.warpAffine(first, transform, (width, height))
    inside = cv2.fillConvexPoly(np.zeros_like(second), hull.astype(np.int32), 1) > 0
    one, two = warped[inside].astype(np.float64), second[inside].astype(np.float64)
    if one.std() == 0 or two.std() == 0:
        return 0.0
    return float(np.corrcoef(one, two)[0, 1])
