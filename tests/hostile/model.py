"""The folder of real files that cases copy from and that the fuzzer begins with."""

from hostile.build import draw_photos
from hscl_fast.config.parsing import from_dict
from hscl_fast.config.sections import DataConfig
from hscl_fast.data.prepare import Preparation, prepare_beton
from hscl_fast.runs.train_run import train_run


def make_model(folder):
    """Fill a folder as :attr:`hostile.case.Box.model` says, and return it."""
    photos = draw_photos(folder / "photos")
    prepare_beton(DataConfig(name=str(photos), image_size=12), Preparation(folder / "photos.beton"))
    config = {
        "data": {"name": str(photos), "image_size": 12, "held_out_ratio": 0.5},
        "model": {"width": 16, "embedding_dim": 16},
        "optim": {"epochs": 1, "batch_size": 4},
        "runtime": {"device": "cpu", "threads": 1},
    }
    train_run(from_dict(config, "the model's configuration"), folder / "run")
    return folder
