"""Recognises how a user sorted images into folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hscl_fast.counted import counted
from hscl_fast.data.find import MASK_FOLDERS, Finder
from hscl_fast.data.types import ABNORMAL, NORMAL, UNLABELLED, Remark
from hscl_fast.errors import UsageError

UNDERSTOOD = (
    "train/unlabeled/, train/normal/, train/abnormal/ (any of them may be absent) and test/normal/, test/abnormal/ "
    "(whose sub-folders name kinds of anomaly). Also understood are good or ok for normal, and bad, defect, nok or ko "
    "for abnormal; MVTec's train/good/, test/good/ and test/KIND/; normal/ and abnormal/ without train/ (nothing to "
    "test on); and a folder of images that are all unlabelled"
)
TESTED = (
    "normal/ and abnormal/ (whose sub-folders name kinds of anomaly) or one of them, in the folder itself or in its "
    "test/; good or ok for normal, and bad, defect, nok or ko for abnormal; or MVTec's good/ and KIND/"
)
ROLES = {
    "unlabeled": UNLABELLED,
    "unlabelled": UNLABELLED,
    "normal": NORMAL,
    "good": NORMAL,
    "ok": NORMAL,
    "abnormal": ABNORMAL,
    "bad": ABNORMAL,
    "defect": ABNORMAL,
    "nok": ABNORMAL,
    "ko": ABNORMAL,
}
_TESTED_ROLES = {name: role for name, role in ROLES.items() if role != UNLABELLED}
_WORDS = {UNLABELLED: "unlabelled", NORMAL: "normal", ABNORMAL: "abnormal"}
# Names that say that a folder is not just one of unlabelled images.
_PARTS = {"train", "training", "test", "testing", "val", "valid", "validation", "ground_truth"}


@dataclass(frozen=True)
class Folder:
    """A folder of images of one role.

    Parameters
    ----------
    path
        Where it is.
    role
        +1, 0 or -1.
    kind
        The kind of anomaly of all its images; None: its sub-folders name them.
    """

    path: Path
    role: int
    kind: str | None = None


@dataclass(frozen=True)
class Layout:
    """Which folders hold images to train and to test on, and what is worth saying about it."""

    train: tuple[Folder, ...]
    test: tuple[Folder, ...]
    remarks: tuple[Remark, ...] = ()


def recognise(finder: Finder) -> Layout:
    """Return the folders below ``finder.root`` that hold images, and their roles; capitals do not matter.

    Parameters
    ----------
    finder
        Of a user's folder.

    Raises
    ------
    UsageError
        A folder or an image lies where it has no role, two folders have the same meaning, or nothing is recognised.
    """
    root, top = finder.root, _Level(finder, finder.root, with_masks=True)
    if "train" in top.folders:
        return _with_parts(top, finder)
    known = [name for name in top.folders if name in ROLES]
    if "test" in top.folders or not (known or top.folders or top.images):
        raise UsageError(f"{root} has no folder train/. Expected {UNDERSTOOD}. Sort the images into these folders.")
    if known:
        return _roles_only(top)
    return _unlabelled(finder)


def recognise_test(finder: Finder) -> Layout:
    """Return the folders of ``finder.root`` that hold images to test a trained run on: see :func:`recognise`.

    They are those of ``test/``, or of the root itself where it has neither ``train/`` nor ``test/``.

    Raises
    ------
    UsageError
        As for :func:`recognise`, or there is no folder of normal or abnormal images.
    """
    root, top = finder.root, _Level(finder, finder.root)
    within = "test" in top.folders
    if "train" in top.folders and not within:
        raise UsageError(
            f"{root} has train/ but no test/, so there is nothing to test on. Expected {TESTED}. Give the folder of "
            "the images to test on."
        )
    level = _Level(finder, top.folders["test"]) if within else top
    folders = _kinds(level) if _has_kinds(level) else _folders(level, _TESTED_ROLES, TESTED)
    if not folders:
        raise UsageError(f"{root} has no images to test on. Expected {TESTED}.")
    read = ", ".join(f"{top.named(folder.path)} as {_WORDS[folder.role]}" for folder in folders)
    others = [top.named(path) for name, path in top.folders.items() if within and name != "test"]
    not_read = [Remark(f"not read: {', '.join(others)}")] if others else []
    return Layout((), folders, (Remark(f"to test on: read {read}"), *not_read))


class _Level:
    """The folders and images directly in a folder that are read; names with a meaning are in lower case."""

    def __init__(self, finder: Finder, path: Path, *, with_masks: bool = False) -> None:
        self.path = path
        self.folders: dict[str, Path] = {}
        folders, self.images = finder.listing(path, with_masks=with_masks)
        for folder in folders:
            has_meaning = folder.name.lower() in (*ROLES, *_PARTS)
            name = folder.name.lower() if has_meaning else folder.name
            if name in self.folders:
                raise UsageError(
                    f"{self.folders[name]} and {folder} differ in capitals only, and have the same meaning. Give "
                    "one of them another name, or put their images into one folder."
                )
            self.folders[name] = folder

    def named(self, path: Path) -> str:
        """Return the name of a folder below this one, with a slash."""
        return f"{path.relative_to(self.path).as_posix()}/"


def _with_parts(top: _Level, finder: Finder) -> Layout:
    train = _Level(finder, top.folders["train"])
    test = _Level(finder, top.folders["test"]) if "test" in top.folders else None
    remarks = []
    if others := [top.named(path) for name, path in top.folders.items() if name not in ("train", "test")]:
        remarks.append(Remark(f"not read: {', '.join(others)} beside train/ and test/"))
    if top.images:
        remarks.append(Remark(f"not read: {counted(len(top.images), 'image file')} beside train/ and test/"))
    if test is not None and _is_mvtec(train, test):
        remarks.insert(
            0,
            Remark(
                "read as MVTec's layout: train/good is labelled normal, test/good is normal, and every other folder "
                "of test/ is a kind of anomaly"
            ),
        )
        return Layout((Folder(train.folders["good"], NORMAL),), _kinds(test), tuple(remarks))
    trained = _folders(train, ROLES)
    tested = () if test is None else _folders(test, _TESTED_ROLES)
    return Layout(trained, tested, (*_reading((*trained, *tested), top), *remarks))


def _is_mvtec(train: _Level, test: _Level) -> bool:
    """Whether all training images are good, and the folders of the test images are good and kinds of anomaly."""
    return set(train.folders) == {"good"} and not train.images and _has_kinds(test)


def _has_kinds(test: _Level) -> bool:
    """Whether the folders of test images are good and kinds of anomaly."""
    if test.images or "good" not in test.folders:
        return False
    others = {name: ROLES.get(name, ABNORMAL) for name in test.folders if name != "good"}
    return any(name not in ROLES for name in others) and set(others.values()) == {ABNORMAL}


def _kinds(test: _Level) -> tuple[Folder, ...]:
    kinds = (Folder(path, ABNORMAL, path.name) for name, path in test.folders.items() if name != "good")
    return Folder(test.folders["good"], NORMAL), *kinds


def _folders(level: _Level, roles: dict[str, int], expected: str = UNDERSTOOD) -> tuple[Folder, ...]:
    """Return the folders of one part; a role is in a folder of one name, or of both spellings of unlabelled."""
    stray = [path for name, path in level.folders.items() if name not in roles]
    if strays := sorted([*level.images, *stray]):
        raise _stray(strays[0], expected)
    found: dict[int, Path] = {}
    for name, path in level.folders.items():
        other = found.setdefault(roles[name], path)
        if other is not path and roles[name] != UNLABELLED:
            first, second = sorted((other, path), key=lambda one: one.name.lower() in ("normal", "abnormal"))
            reason = f", because {second.name}/ is there for {_WORDS[roles[name]]} images"
            raise _stray(first, expected, reason)
    return tuple(Folder(path, roles[name]) for name, path in level.folders.items())


def _stray(path: Path, expected: str, reason: str = "") -> UsageError:
    return UsageError(f"{path} lies where it has no role{reason}. Expected {expected}. Move it into one of them.")


def _reading(folders: tuple[Folder, ...], top: _Level) -> tuple[Remark, ...]:
    """Say which folders were read as what, where their names are not those of the documentation."""
    usual = {"unlabeled", "unlabelled", "normal", "abnormal"}
    other = [folder for folder in folders if folder.path.name.lower() not in usual]
    if not other:
        return ()
    read = ", ".join(f"{top.named(folder.path)} as {_WORDS[folder.role]}" for folder in other)
    return (Remark(f"read {read}"),)


def _roles_only(top: _Level) -> Layout:
    masks = [path for path in top.folders.values() if path.name.lower() in MASK_FOLDERS]
    top.folders = {name: path for name, path in top.folders.items() if path not in masks}
    folders = _folders(top, ROLES)
    read = ", ".join(f"{top.named(folder.path)} as {_WORDS[folder.role]}" for folder in folders)
    remarks = [Remark(f"no folder train/: read {read}, all of it to train on, and nothing to test on")]
    if masks:
        remarks.append(Remark(f"not read: {', '.join(map(top.named, masks))}"))
    return Layout(folders, (), tuple(remarks))


def _unlabelled(finder: Finder) -> Layout:
    root, top = finder.root, _Level(finder, finder.root)
    for folder in sorted({folder for path in finder.find() for folder in path.relative_to(root).parents}):
        if folder.name.lower() in ROLES or folder.name.lower() in _PARTS:
            raise UsageError(
                f"{root} has no folder train/, but {root / folder} has a name with a meaning, so it is not "
                f"clear how to read it. Expected {UNDERSTOOD}. Give the folder that has this structure, such as "
                f"{(root / folder).parent}, or rename folders."
            )
    inside = f", those of its {len(top.folders):,} sub-folders included" if top.folders else ""
    remark = Remark(f"no folder train/: read as one folder of unlabelled images{inside}, and nothing to test on")
    return Layout((Folder(root, UNLABELLED),), (), (remark,))
