"""Images that have been added to a user's data since its split was written down."""

from __future__ import annotations

from hscl_fast.config.sections import DataConfig
from hscl_fast.counted import counted
from hscl_fast.csv_text import escaped
from hscl_fast.data.kinds import files_root
from hscl_fast.data.paths import at_home
from hscl_fast.data.split.record import SplitRecord
from hscl_fast.data.types import Remark
from hscl_fast.data.user.csv_list import list_csv
from hscl_fast.data.user.folder import list_folder
from hscl_fast.errors import UsageError

_SHOWN = 3


def remark_on_added_files(config: DataConfig, record: SplitRecord) -> tuple[Remark, ...]:
    """Return a doubt if a folder or a CSV file has images that a split record has not.

    Parameters
    ----------
    config
        Where the data is, and which files of it are left out.
    record
        The split that is used. The data may have changed so much that it cannot be listed as it was.
    """
    if config.skip_bad:
        return ()  # those that were left out are not in the record either
    root = files_root(config, record.kind)
    try:
        if record.kind == "folder":
            listing = list_folder(root, config.exclude, follow_links=config.follow_links)
        elif record.kind == "csv":
            listing = list_csv(at_home(config.name), root, allow_missing=True, follow_links=config.follow_links)
        else:
            return ()
    except UsageError:
        return ()
    known = {*record.train.image, *record.test.image}
    new = [image.name for image in (*listing.train, *listing.test) if image.name not in known]
    if not new:
        return ()
    shown = ", ".join(escaped(name) for name in new[:_SHOWN])
    more = f" and {len(new) - _SHOWN:,} more" if len(new) > _SHOWN else ""
    text = (
        f"{counted(len(new), 'image')} not used, since the split record does not have them: {shown}{more}. To use them "
        "as well, train without --from and --data.split_record, but with --data.labels RUN/labels_history.csv"
    )
    return (Remark(text, doubt=True),)
