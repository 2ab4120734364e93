"""Writes a detector as an ONNX model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch.export import ExportedProgram

from hscl_fast.errors import UsageError
from hscl_fast.export.signature import AXES, INPUT, OUTPUTS

_LARGEST = 2_000_000_000  # bytes; a file of protocol buffers ends at 2 GiB


def to_onnx(program: ExportedProgram, metadata: Mapping[str, str]) -> bytes:
    """Return a detector as one ONNX file.

    Parameters
    ----------
    program
        The graph, see :func:`hscl_fast.export.graph.trace`.
    metadata
        What is said of the model in its ``metadata_props``.

    Raises
    ------
    UsageError
        The weights are too large for one file, or an operation has no counterpart in ONNX.
    """
    size = sum(tensor.nbytes for tensor in program.state_dict.values())
    if size > _LARGEST:
        raise UsageError(
            f"The run's weights take {size / 1e9:.1f} GB, but one ONNX file holds up to 2 GB. Give --out a name that "
            "ends with .pt2."
        )
    import onnxscript  # imported here, since it is an extra

    converter = logging.getLogger("torch.onnx")
    level = converter.level
    converter.setLevel(logging.ERROR)  # it warns of optional packages
    try:
        exported: Any = torch.onnx.export(
            program,
            dynamo=True,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes={INPUT: AXES},  # so that the free sizes are called so
            verbose=False,
        )
    except torch.onnx.errors.OnnxExporterError as error:
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        raise UsageError(
            f"The run's encoder cannot be written as ONNX: {reason}. Give --out a name that ends with .pt2, or train "
            "with another --model.encoder, such as resnet18."
        ) from error
    finally:
        converter.setLevel(level)
    model = exported.model
    model.metadata_props.update({**metadata, "opset": str(model.opset_imports[""])})
    content: bytes = onnxscript.ir.serde.serialize_model(model).SerializeToString()
    return content
