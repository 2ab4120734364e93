"""Hostile files of the public data sets: CIFAR's pickles, SVHN's MATLAB files, Fashion-MNIST's gzip, LSUN's images."""

import gzip
import io
import pickle
import struct
import zlib

import numpy as np
import scipy.io

from hostile.build import code, deflated_zeros, fifo, picture, sparse
from hostile.case import Case

_ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\1b\x87R"
_DTYPE = b"cnumpy\ndtype\nX\2\0\0\0u1K\0K\1\x87R"


def mapping(value, key=b"data"):
    """A pickle of a dictionary with one value, given as opcodes."""
    return b"\x80\3}X" + struct.pack("<I", len(key)) + key + value + b"s."


def array(shape, raw, dtype=_DTYPE):
    """The opcodes of an array, as numpy writes them."""
    return _ARRAY + b"(K\1" + shape + dtype + b"\x89" + raw + b"tb"


def batch(**changes):
    """A small batch of CIFAR-10 with values changed."""
    content = {"data": np.zeros((4, 3072), np.uint8), "labels": [0, 1, 2, 3]} | changes
    return pickle.dumps({name: value for name, value in content.items() if value is not None}, 2)


def exponential_list(depth=200):
    """Opcodes of a list that holds a list twice, which holds a list twice, and so on."""
    return b"]" + b"".join(b"q\1]q\2(h\1h\1e" for _ in range(depth))


BATCHES = {
    "code": lambda box: code(box),
    "code_of_protocol_0": lambda box: code(box, 0),
    "code_of_protocol_5": lambda box: code(box, 5),
    "code_in_state": lambda box: mapping(_ARRAY + b"(cos\nsystem\nX\1\0\0\0w\x85RK\1tb"),
    "instance": lambda box: b"(ios\nsystem\n.",
    "extension": lambda box: b"\x80\2\x82\1.",
    "persistent": lambda box: b"Pid\n.",
    "memo_bomb": lambda box: b"\x80\2}r\xff\xff\xff\x3f.",
    "memo_bomb_as_text": lambda box: b"\x80\2}p2000000000\n.",
    "bytes_bomb": lambda box: mapping(array(b"K\4M\0\x0c\x86", b"\x8a\5\0\0\0\0\1")),
    "bytearray_bomb": lambda box: b"\x80\5\x96" + struct.pack("<Q", 16 << 30) + b".",
    "string_lies": lambda box: b"\x80\4\x8d" + struct.pack("<Q", 2**62) + b".",
    "frame_lies": lambda box: b"\x80\4\x95" + struct.pack("<Q", 2**62) + b"}.",
    "nested_key": lambda box: b"\x80\2})" + b"q\1h\1\x86" * 60 + b"Ks.",
    "nested_value": lambda box: mapping(exponential_list(), b"labels"),
    "deep": lambda box: b"\x80\2" + b"]" * 1_000_000 + b"a" * 999_999 + b".",
    "shape_lies": lambda box: mapping(array(b"J\xff\xff\xff\x7fM\0\x0c\x86", b"C\4abcd")),
    "shape_of_text": lambda box: mapping(array(b"X\4\0\0\0abcd", b"C\4abcd")),
    "state_short": lambda box: mapping(_ARRAY + b"K\1\x85b"),
    "state_of_dictionary": lambda box: mapping(_ARRAY + b"}b"),
    "float_array": lambda box: batch(data=np.zeros((4, 3072))),
    "object_array": lambda box: batch(data=np.array([None] * 4, object)),
    "list": lambda box: pickle.dumps([1], 2),
    "half": lambda box: batch()[:200],
    "empty": lambda box: b"",
    "labels_short": lambda box: batch(labels=[0]),
    "labels_huge": lambda box: batch(labels=[0, 1, 2, 10**30]),
    "labels_negative": lambda box: batch(labels=[0, 1, 2, -1]),
    "labels_text": lambda box: batch(labels="abcd"),
    "labels_gone": lambda box: batch(labels=None),
    "pixels_gone": lambda box: batch(data=None),
    "pixels_flat": lambda box: batch(data=np.zeros(4 * 3072, np.uint8)),
}


def cifar(name, content):
    """CIFAR-10 with a hostile first batch."""

    def make(box):
        folder = box.work / "data/cifar-10-batches-py"
        folder.mkdir(parents=True)
        for file in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"):
            (folder / file).write_bytes(content(box) if file == "data_batch_1" else batch())

    return Case("cifar", name, make, ("data", "verify", "cifar10"), culprit="data_batch_1")


def mat(**changes):
    """The bytes of a MATLAB file of four digits with variables changed."""
    content = {"X": np.zeros((32, 32, 3, 4), np.uint8), "y": np.array([[1], [2], [3], [10]], np.uint8)} | changes
    file = io.BytesIO()
    scipy.io.savemat(file, {name: value for name, value in content.items() if value is not None}, do_compression=True)
    return file.getvalue()


_MAT_HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"


def compressed(element):
    """A MATLAB file of one compressed element."""
    data = zlib.compress(element, 9)
    return _MAT_HEADER + struct.pack("<II", 15, len(data)) + data


def matrix(kind, *elements):
    """An element of a MATLAB file: a matrix of a class, made of its elements."""
    parts = [struct.pack("<IIII", 6, 8, kind, 0), *elements]
    return struct.pack("<II", 14, sum(map(len, parts))) + b"".join(parts)


def dimensions(*sizes):
    """The element with the sizes of a matrix."""
    data = struct.pack(f"<{len(sizes)}i", *sizes)
    return struct.pack("<II", 5, len(data)) + data + bytes(-len(data) % 8)


def named(name):
    """The element with the name of a matrix."""
    return struct.pack("<II", 1, len(name)) + name.encode().ljust(8, b"\0")


def cells(depth):
    """Cells in cells, deeper than a stack."""
    element = matrix(9, dimensions(0, 0), named(""), struct.pack("<II", 2, 0))
    for _ in range(depth):
        parts = [struct.pack("<IIII", 6, 8, 1, 0), dimensions(1, 1), named(""), element]
        element = struct.pack("<II", 14, 56 + len(element)) + b"".join(parts)
    return matrix(1, dimensions(1, 1), named("X"), element)


def mat_bomb(gibibytes):
    """A MATLAB file of some megabytes whose X takes gibibytes."""
    size = gibibytes << 30
    head = b"".join(
        (
            struct.pack("<II", 14, min(size + 80, 2**32 - 8)),
            struct.pack("<IIII", 6, 8, 9, 0),
            dimensions(32, 32, 3, size // 3072),
            named("X"),
            struct.pack("<II", 2, size),
        )
    )
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = b"\x78\xda" + packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH) + deflated_zeros(size) + bytes(4)
    return _MAT_HEADER + struct.pack("<II", 15, len(data)) + data


MATS = {
    "empty": lambda: b"",
    "half": lambda: mat()[:200],
    "text": lambda: b"MATLAB".ljust(4096),
    "hdf5": lambda: b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + bytes(384) + b"\x89HDF\r\n\x1a\n" + bytes(4096),
    "version_4": lambda: struct.pack("<IIIII", 50, 2**30, 2**30, 0, 2) + b"X\0" + bytes(100),
    "size_lies": lambda: compressed(matrix(9, dimensions(32, 32, 3, 2**30), named("X"), struct.pack("<II", 2, 2**31))),
    "dimensions_negative": lambda: compressed(matrix(9, dimensions(-1, 32, 3, 4), named("X"), bytes(16))),
    "dimensions_many": lambda: compressed(matrix(9, dimensions(*[1] * 9000), named("X"), bytes(16))),
    "cells": lambda: compressed(cells(30_000)),
    "bomb": lambda: mat_bomb(3),
    "not_zlib": lambda: _MAT_HEADER + struct.pack("<II", 15, 64) + bytes(64),
    "function": lambda: compressed(matrix(16, dimensions(1, 1), named("X"), bytes(64))),
    "opaque": lambda: compressed(matrix(17, dimensions(1, 1), named("X"), bytes(64))),
    "floats": lambda: mat(X=np.zeros((32, 32, 3, 4))),
    "structure": lambda: mat(X={"a": 1}),
    "text_labels": lambda: mat(y="abcd"),
    "labels_eleven": lambda: mat(y=np.array([[1, 2, 3, 11]])),
    "labels_nan": lambda: mat(y=np.full((4, 1), np.nan)),
    "labels_short": lambda: mat(y=np.array([[1]])),
    "no_labels": lambda: mat(y=None),
}


def svhn(name, content):
    """SVHN with a hostile file of training images."""

    def make(box):
        (box.work / "data").mkdir()
        (box.work / "data/train_32x32.mat").write_bytes(content())
        (box.work / "data/test_32x32.mat").write_bytes(mat())

    return Case("svhn", name, make, ("data", "verify", "svhn"), culprit="train_32x32.mat")


def idx(*shape, body=None, magic=b"\0\0\x08"):
    """An IDX file."""
    body = bytes(int(np.prod(shape))) if body is None else body
    return magic + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + body


def gzip_bomb(gibibytes):
    """An IDX file of two gigabytes, compressed to two megabytes."""
    size = gibibytes << 30
    head = idx(size // 784, 28, 28, body=b"")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    stream = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH) + deflated_zeros(size // 784 * 784)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\3" + stream + struct.pack("<II", 0, size & 0xFFFFFFFF)


IDX = {
    "empty": lambda: b"",
    "not_gzip": lambda: b"x" * 100,
    "half": lambda: gzip.compress(idx(4, 28, 28))[:40],
    "magic": lambda: gzip.compress(idx(4, 28, 28, magic=b"\0\0\x0e")),
    "short": lambda: gzip.compress(idx(4, 28, 28, body=b"x")),
    "long": lambda: gzip.compress(idx(4, 28, 28) + b"x"),
    "shape_lies": lambda: gzip.compress(idx(2**31, 2**31, 2**31, body=b"")),
    "no_pixels": lambda: gzip.compress(idx(4, 0, 28)),
    "bomb": lambda: gzip_bomb(1),
    "crc": lambda: gzip.compress(idx(4, 28, 28))[:-8] + bytes(8),
    "dimensions": lambda: gzip.compress(idx(4, 784)),
    "no_images": lambda: gzip.compress(idx(0, 28, 28)),
}


def fashion_mnist(name, content):
    """Fashion-MNIST with a hostile file of training images."""

    def make(box):
        folder = box.work / "data"
        folder.mkdir()
        for part in ("train", "t10k"):
            (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(4, 28, 28)))
            (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(4)))
        (folder / "train-images-idx3-ubyte.gz").write_bytes(content())

    return Case("fashion_mnist", name, make, ("data", "verify", "fashion_mnist"), culprit="")


def lsun(name, put):
    """LSUN (fix) with one file of ten thousand."""

    def make(box):
        folder = box.work / "data/lsun_fix"
        folder.mkdir(parents=True)
        put(folder)

    return Case("lsun_fix", name, make, ("data", "verify", "lsun_fix"), culprit="lsun_fix")


def odd_file(name, put):
    """A binary version of CIFAR-10 with one file that is none."""

    def make(box):
        folder = box.work / "data/cifar-10-batches-bin"
        folder.mkdir(parents=True)
        for number in range(1, 6):
            (folder / f"data_batch_{number}.bin").write_bytes(bytes(3073))
        (folder / "test_batch.bin").write_bytes(bytes(3073))
        put(folder / "data_batch_1.bin")

    return Case("cifar", name, make, ("data", "verify", "cifar10"))


CASES = [
    *(cifar(name, content) for name, content in BATCHES.items()),
    odd_file("binary_sparse", sparse),
    odd_file("binary_pipe", fifo),
    odd_file("binary_label", lambda path: path.write_bytes(b"\xff" * 3073)),
    odd_file("binary_short", lambda path: path.write_bytes(bytes(100))),
    *(svhn(name, content) for name, content in MATS.items()),
    *(fashion_mnist(name, content) for name, content in IDX.items()),
    lsun("one_file", lambda folder: picture().save(folder / "correct_resize_0.png")),
    lsun("huge_number", lambda folder: picture().save(folder / f"correct_resize_{'9' * 200}.png")),
    lsun("folder", lambda folder: (folder / "correct_resize_0.png").mkdir()),
]
