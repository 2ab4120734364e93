"""Images in, roles out: data sets, users' own images, splits and their manifests."""

from hscl_fast.data.image_set import (
    LabelledImages,
    Source,
    Split,
    TestImages,
    TrainingImages,
)
from hscl_fast.data.images import find_images, load_images, resize_images
from hscl_fast.data.load import load_split
from hscl_fast.data.manifest import write_manifest
from hscl_fast.data.manifest_check import read_manifest
from hscl_fast.data.resident import Batch, ResidentLoader
from hscl_fast.data.roles import ABNORMAL, NORMAL, UNLABELLED, check_labels
from hscl_fast.data.sources import SOURCES, SourceDescription, SourceInfo, describe_sources, load_source
from hscl_fast.data.verify import Verification, verify_source

__all__ = [
    "ABNORMAL",
    "NORMAL",
    "SOURCES",
    "UNLABELLED",
    "Batch",
    "LabelledImages",
    "ResidentLoader",
    "Source",
    "SourceDescription",
    "SourceInfo",
    "Split",
    "TestImages",
    "TrainingImages",
    "Verification",
    "check_labels",
    "describe_sources",
    "find_images",
    "load_images",
    "load_source",
    "load_split",
    "read_manifest",
    "resize_images",
    "verify_source",
    "write_manifest",
]
