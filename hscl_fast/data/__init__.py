"""Images and their roles: named data sets, users' folders and lists, splits, and the loader that feeds training."""

from hscl_fast.data.image_set import Split, TestImages, TrainingImages
from hscl_fast.data.images import find_images, load_images
from hscl_fast.data.loading import load_split, verify_source
from hscl_fast.data.resident import Batch, ResidentLoader
from hscl_fast.data.roles import check_labels
from hscl_fast.data.sources import describe_sources

__all__ = [
    "Batch",
    "ResidentLoader",
    "Split",
    "TestImages",
    "TrainingImages",
    "check_labels",
    "describe_sources",
    "find_images",
    "load_images",
    "load_split",
    "verify_source",
]
