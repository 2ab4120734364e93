"""Images in, roles out: data sets, users' own images, splits and their manifests."""

from hscl_fast.data.bad_images import SHOWN, BadImages
from hscl_fast.data.batch import Batch, Loader
from hscl_fast.data.beton_loader import BetonLoader
from hscl_fast.data.ffcv_import import ffcv_is_installed
from hscl_fast.data.image_set import (
    LabelledImages,
    LazyImages,
    Source,
    Split,
    TestImages,
    TrainingImages,
    take,
)
from hscl_fast.data.images import ImageFiles, find_bad_files, find_images, resize_images
from hscl_fast.data.load import in_memory, load_split, open_split
from hscl_fast.data.loaders import LoaderKind, choose_loader, is_held_in_memory, make_loader
from hscl_fast.data.manifest import write_manifest
from hscl_fast.data.manifest_check import read_manifest
from hscl_fast.data.order import Share
from hscl_fast.data.prepare import Preparation, prepare_beton
from hscl_fast.data.resident import ResidentLoader
from hscl_fast.data.roles import ABNORMAL, NORMAL, UNLABELLED, check_labels
from hscl_fast.data.sources import SOURCES, SourceDescription, SourceInfo, describe_sources, load_source
from hscl_fast.data.torch_loader import TorchLoader
from hscl_fast.data.verify import Verification, verify_source

__all__ = [
    "ABNORMAL",
    "NORMAL",
    "SHOWN",
    "SOURCES",
    "UNLABELLED",
    "BadImages",
    "Batch",
    "BetonLoader",
    "ImageFiles",
    "LabelledImages",
    "LazyImages",
    "Loader",
    "LoaderKind",
    "Preparation",
    "ResidentLoader",
    "Share",
    "Source",
    "SourceDescription",
    "SourceInfo",
    "Split",
    "TestImages",
    "TorchLoader",
    "TrainingImages",
    "Verification",
    "check_labels",
    "choose_loader",
    "describe_sources",
    "ffcv_is_installed",
    "find_bad_files",
    "find_images",
    "in_memory",
    "is_held_in_memory",
    "load_source",
    "load_split",
    "make_loader",
    "open_split",
    "prepare_beton",
    "read_manifest",
    "resize_images",
    "take",
    "verify_source",
    "write_manifest",
]
