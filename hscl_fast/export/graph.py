"""The whole detector as one PyTorch graph: from images of any size to scores and decisions."""

from __future__ import annotations

import copy

import torch
from hscl_kernels import ViewParameters
from hscl_kernels.prototypes import reference as prototypes
from hscl_kernels.views import reference as rendering
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from hscl_fast.errors import UsageError
from hscl_fast.export.resizing import resize
from hscl_fast.export.signature import AXES, INPUT
from hscl_fast.method.scoring.pixels import shrunk_pixels
from hscl_fast.method.scoring.scoring import Scoring


class DetectorGraph(nn.Module):
    """What ``hscl predict`` does with decoded images, in float32 and in operations that every runtime has.

    Parameters
    ----------
    scoring
        The calibrated score, on the CPU.
    threshold
        An image is abnormal where its anomaly score is higher.
    """

    def __init__(self, scoring: Scoring, threshold: float) -> None:
        super().__init__()
        self.scoring, self.threshold = scoring, threshold
        self.network = scoring.network
        self.views = scoring.views
        one_image = torch.zeros(1, self.network.image_size, self.network.image_size, 3, dtype=torch.uint8)
        self.parameters_of_one = self.views.parameters(one_image, scoring.augment)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return anomaly scores float32 ``[B]`` and decisions bool ``[B]`` of images uint8 ``[B, H, W, 3]``."""
        pixels = resize(images, self.network.image_size)
        found = self.network.heads(self.network.encoder(self._rendered(pixels)))
        shrunk = shrunk_pixels(pixels) if self.scoring.sees_pixels else None
        anomaly = 0.0 - self.scoring.of_outputs(self.views.split(found, images.shape[0], shrunk))
        return anomaly.float(), anomaly > self.threshold

    def _rendered(self, pixels: Tensor) -> Tensor:
        """Return all views ``[rows * B, 3, S, S]``, view by view, as ``augment_views`` renders them."""
        mean, std = (torch.tensor(values)[:, None, None] for values in self.network.statistics)
        upright = (pixels / 255 - mean) / std
        views = [torch.rot90(upright, turn, (2, 3)) for turn in range(self.views.turns)]
        if self.views.corners or self.views.crops:
            views.append(self._crops(pixels))
        return torch.cat(views)

    def _crops(self, pixels: Tensor) -> Tensor:
        """Return the crops; those of all images are alike."""
        images, first = pixels.shape[0], self.views.turns
        rows = ViewParameters(*(field[first:] for field in self.parameters_of_one))
        every = [field[:, None].expand(-1, images, *field.shape[1:]).flatten(0, 1) for field in rows]
        place = torch.arange(images).repeat(len(rows.image))
        mean, std = (list(values) for values in self.network.statistics)
        return rendering.augment_views(
            pixels.permute(0, 2, 3, 1),
            ViewParameters(*every)._replace(image=place),
            dtype=torch.float32,
            mean=mean,
            std=std,
        )


def trace(scoring: Scoring, threshold: float) -> ExportedProgram:
    """Return the detector as a graph of PyTorch's own operations, with any batch size, height and width.

    Parameters
    ----------
    scoring
        The calibrated score, on the CPU in float32.
    threshold
        An image is abnormal where its anomaly score is higher.

    Raises
    ------
    UsageError
        The encoder is no graph of such operations.
    """
    own = copy.deepcopy(scoring)  # whose weights lie in memory as every runtime expects them
    graph = DetectorGraph(own, threshold).eval().to(memory_format=torch.contiguous_format)
    side = scoring.network.image_size
    example = torch.zeros(2, side + 3, side + 5, 3, dtype=torch.uint8)
    sizes = {axis: Dim(name) for axis, name in AXES.items()}
    try:
        with torch.no_grad():
            program = torch.export.export(graph, (example,), dynamic_shapes={INPUT: sizes})
    except Exception as error:  # whatever a layer of the encoder does that is no graph
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"torch.export cannot trace the run's network: {reason}. All scores can be exported, and encoders whose "
            "layers do not depend on the values in an image, such as those of the families resnet and efficientnet. "
            "Train with one of these as --model.encoder."
        ) from error
    ours = torch.ops.hscl_kernels.prototype_similarity.default
    return program.run_decompositions({ours: _similarity})


def _similarity(embeddings: Tensor, normal: Tensor, backend: str) -> tuple[Tensor, ...]:
    """Take the place of the operation, of whose results only the first is used."""
    similarity, index = prototypes.prototype_similarity(embeddings, normal)
    return similarity, index, embeddings, similarity
