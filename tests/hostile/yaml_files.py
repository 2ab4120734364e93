"""Hostile YAML: tags that run code, aliases that grow, nesting, values of the wrong type; as --config and in a run."""

from hostile.build import copy, fifo, replace_text, sparse
from hostile.case import Case


def laughs(levels=9, width=9):
    """A text of a few hundred bytes that stands for a billion entries."""
    lines = ["a0: &a0 [" + ",".join(["lol"] * width) + "]"]
    lines += [f"a{i}: &a{i} [" + ",".join([f"*a{i - 1}"] * width) + "]" for i in range(1, levels)]
    return "\n".join(lines) + f"\ndata: {{name: *a{levels - 1}}}\n"


TEXTS = {
    "python_apply": "data: !!python/object/apply:os.system ['touch HARM']\n",
    "python_new": "data: !!python/object/new:os.system ['touch HARM']\n",
    "python_name": "data: {name: !!python/name:os.system ''}\n",
    "python_module": "data: {name: !!python/module:antigravity ''}\n",
    "class_path": "model: {class_path: os.system, init_args: {command: touch HARM}}\n",
    "laughs": laughs(),
    "laughs_in_seed": laughs().replace("name:", "seed:"),
    "laughs_as_section": laughs().replace("data: {name:", "optim: {epochs:"),
    "alias_of_itself": "data: &d {name: *d}\n",
    "merge": "base: &b {name: digits}\ndata: {<<: *b}\n",
    "deep": "data: " + "[" * 20_000 + "]" * 20_000 + "\n",
    "deep_blocks": "".join(" " * i + "a:\n" for i in range(3000)),
    "deep_section": "model: {encoder: " + "{a: " * 400 + "1" + "}" * 400 + "}\n",
    "timestamp": "data: {name: 2001-99-99}\n",
    "timestamp_as_seed": "data: {seed: 2001-01-41 10:10:10}\n",
    "long_integer": "data: {seed: " + "9" * 5000 + "}\n",
    "integer_tag": "data: {seed: !!int many}\n",
    "float_tag": "data: {held_out_ratio: !!float many}\n",
    "binary_tag": "data: {name: !!binary '***'}\n",
    "octal": "data: {seed: 0o99}\n",
    "sexagesimal": "data: {seed: " + ":".join(["59"] * 3000) + "}\n",
    "infinite": "optim: {learning_rate: .inf}\n",
    "not_a_number": "objective: {temperature: .nan}\n",
    "negative": "optim: {batch_size: -1}\n",
    "beyond_64_bits": "data: {seed: 99999999999999999999999}\n",
    "bool_as_number": "optim: {epochs: true}\n",
    "section_is_list": "data: [1, 2]\n",
    "section_is_number": "data: 5\n",
    "value_is_mapping": "data: {name: {a: b}}\n",
    "unknown_section": "dada: {name: digits}\n",
    "unknown_key": "data: {nane: digits}\n",
    "mapping_as_key": "? {a: b}\n: 1\n",
    "list_as_key": "data: {? [a]: 1}\n",
    "top_is_list": "- data\n- optim\n",
    "top_is_word": "digits\n",
    "two_documents": "data: {name: digits}\n---\ndata: {name: svhn}\n",
    "tabs": "data:\n\tname: digits\n",
    "quote": 'data: {name: "digits}\n',
    "nul": "data: {name: dig\0its}\n",
    "escape": 'data: {name: "\\e]0;owned\\a"}\n',
    "lone_surrogate": "data: {name: \ud800}\n",
    "latin1": "data: {name: größe}\n".encode("latin1"),
    "binary": bytes(range(256)),
    "directive": "%YAML 9.9\n---\ndata: {name: digits}\n",
    "anchors": "\n".join(f"k{i}: &k{i} 1" for i in range(20_000)),
    "long_key": "k" * 200_000 + ": 1\n",
    "config_in_config": "config: other.yaml\n",
}
# What reads a run's configuration; jsonargparse reads the files of --config.
RUN_COMMANDS = (
    ("eval", "run", "--name", "again"),
    ("predict", "run", "photos", "--out", "out.csv"),
    ("train", "--out", "run", "--resume"),
)
# These have no place in a whole configuration, or are the same fault in both.
_CONFIG_ONLY = {
    "config_in_config",
    "anchors",
    "escape",
    "deep_blocks",
    "integer_tag",
    "octal",
    "quote",
    "two_documents",
}
_CONFIG_ONLY |= {"laughs_in_seed", "directive", "tabs", "top_is_word", "unknown_key", "negative", "merge", "long_key"}


def text_of(text, box):
    """The text with the place of the file that shows executed code."""
    return text.replace("HARM", str(box.harm)) if isinstance(text, str) else text


def config_case(name, text):
    """A file for ``--config``."""
    command = ("train", "--config", "hostile.yaml", "--out", "out")
    return Case("yaml", name, lambda box: replace_text(box.work / "hostile.yaml", text_of(text, box)), command)


def run_case(number, name, text):
    """The ``config.yaml`` of a run."""

    def make(box):
        copy(box, "run", "photos")
        replace_text(box.work / "run/config.yaml", text_of(text, box))

    return Case("run-yaml", name, make, RUN_COMMANDS[number % 3], culprit="config.yaml", may_change=("run/.lock",))


def odd_file(kind, name, put):
    """A file that is no text: ``put(path)`` makes it."""

    def make(box):
        copy(box, "run", "photos")
        path = box.work / ("hostile.yaml" if kind == "yaml" else "run/config.yaml")
        path.unlink(missing_ok=True)
        put(path)

    command = ("train", "--config", "hostile.yaml", "--out", "out") if kind == "yaml" else RUN_COMMANDS[1]
    return Case(kind, name, make, command, culprit="hostile.yaml" if kind == "yaml" else "config.yaml")


ODD = {"sparse": sparse, "pipe": fifo, "folder": lambda path: path.mkdir(), "gone": lambda path: None}

CASES = [
    *(config_case(name, text) for name, text in TEXTS.items()),
    *(run_case(i, name, text) for i, (name, text) in enumerate(TEXTS.items()) if name not in _CONFIG_ONLY),
    *(odd_file(kind, name, put) for kind in ("yaml", "run-yaml") for name, put in ODD.items()),
]
