"""The configuration: frozen typed dataclasses that define both the YAML file and the command-line flags.

Every field is read somewhere; every value is validated once, here, when the dataclass is built.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Literal

from hscl_fast.config.policies import POLICIES, Policy
from hscl_fast.config.scores import AUTO, needs_of, parse_scoring
from hscl_fast.errors import UsageError

CheckpointName = Literal["last", "best"]
# Those of hscl_kernels.checks, which a test compares: importing them from there would import torch.
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 1e-4, 1e4


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        raise UsageError(f"--{name} is {value!r}, but must be {expected}. Give another value for --{name}.")


def _require_positive(section: str, values: dict[str, float]) -> None:
    for name, value in values.items():
        _require(value > 0 and math.isfinite(value), f"{section}.{name}", value, "greater than 0")


def _require_not_negative(section: str, values: dict[str, float]) -> None:
    for name, value in values.items():
        _require(value >= 0 and math.isfinite(value), f"{section}.{name}", value, "0 or more")


def _require_counts(section: str, values: object, names: tuple[str, ...]) -> None:
    for name in names:
        _require(getattr(values, name) >= 1, f"{section}.{name}", getattr(values, name), "1 or more")


@dataclass(frozen=True)
class DataConfig:
    """The images, and how roles are assigned to them.

    Parameters
    ----------
    name
        A data-set name (see ``hscl data list``), a folder, or a ``.csv``, ``.npz`` or ``.beton`` file.
    root
        Folder with the files of a named data set, or the folder that the paths in a CSV file are relative to.
        With ``--resume``, the new folder of data that has moved.
    image_size
        Side in pixels to which every image is resized. Unset: the data set's own size, or 32 for folders and CSV
        files; with pretrained weights the size that these were trained with, but five times the own size for a named
        data set of up to 32 pixels.
    bit_depth
        Bits of the values of image files with more than 8 bits per value, 1 to 32: 12 makes 4095 white. Unset: found
        in the images to train on, and said in a warning. The run keeps it and applies it to all images.
    float_white
        Value of floating-point image files that is white. Unset: found, 1 or 255, as ``bit_depth`` is.
    max_megapixels
        Image files with more million pixels are refused.
    protocol
        How roles are assigned to the images of a named data set: ``elsa`` or ``released``.
    normal_class
        The normal class; all other classes are anomalies. Not used for your own images, which come with roles.
    known_abnormal_class
        The one anomaly class that labelled anomalies come from (``elsa``). Unset: the class after the normal one.
    labelled_ratio
        gamma_l: share of the training set that is labelled, for normals and for anomalies each.
    pollution_ratio
        gamma_p: share of anomalies hidden among the unlabelled images.
    superclasses
        Which 20 super-classes of CIFAR-100 to use: the ``standard`` ones or those of ``csi``.
    held_out_ratio
        Share of the labelled training images kept out of training, to fit the decision threshold and to choose the
        best checkpoint.
    seed
        Seed of the split.
    split_record
        A ``split.json`` whose split is reloaded exactly, instead of drawing a new one.
    labels
        A CSV file ``path,label`` with labels of training images, such as those that ``hscl review`` gives. They are put
        on top of the labels that the data or the split record has; what is held out or tested stays.
    exclude
        Files and folders of a folder of images to leave out: a pattern, such as ``*_mask.png``, or a list of patterns,
        ``["*_mask.png", "train/normal/old"]``. One with ``/`` is matched with the path relative to the folder, another
        with the name alone.
    follow_links
        Search folders that links lead to, and read images outside of the folder that links lead to.
    skip_bad
        Leave out image files that cannot be read, in place of an error. All are read once to find them.
    """

    name: str = "digits"
    root: str | None = None
    image_size: int | None = None
    bit_depth: int | None = None
    float_white: float | None = None
    max_megapixels: int = 67
    protocol: Literal["elsa", "released"] = "elsa"
    normal_class: int = 0
    known_abnormal_class: int | None = None
    labelled_ratio: float = 0.05
    pollution_ratio: float = 0.10
    superclasses: Literal["standard", "csi"] = "standard"
    held_out_ratio: float = 0.2
    seed: int = 0
    split_record: str | None = None
    labels: str | None = None
    exclude: tuple[str, ...] | str = ()
    follow_links: bool = False
    skip_bad: bool = False

    def __post_init__(self) -> None:
        patterns = (self.exclude,) if isinstance(self.exclude, str) else tuple(self.exclude)
        object.__setattr__(self, "exclude", patterns)  # so that two spellings of one configuration are equal
        _require(all(patterns), "data.exclude", list(patterns), "one or more patterns, none of them empty")
        if self.image_size is not None:
            _require(8 <= self.image_size <= 1024, "data.image_size", self.image_size, "between 8 and 1024 pixels")
        if self.bit_depth is not None:
            _require(1 <= self.bit_depth <= 32, "data.bit_depth", self.bit_depth, "between 1 and 32 bits")
        if self.float_white is not None:
            _require_positive("data", {"float_white": self.float_white})
        _require_counts("data", self, ("max_megapixels",))
        _require(self.normal_class >= 0, "data.normal_class", self.normal_class, "a class index, 0 or more")
        if self.known_abnormal_class is not None:
            known = self.known_abnormal_class
            _require(known >= 0, "data.known_abnormal_class", known, "a class index, 0 or more")
            _require(
                known != self.normal_class,
                "data.known_abnormal_class",
                known,
                "a class other than normal_class",
            )
        _require(0 <= self.labelled_ratio < 0.5, "data.labelled_ratio", self.labelled_ratio, "in [0, 0.5)")
        _require(0 <= self.pollution_ratio < 1, "data.pollution_ratio", self.pollution_ratio, "in [0, 1)")
        _require(0 <= self.held_out_ratio < 1, "data.held_out_ratio", self.held_out_ratio, "in [0, 1)")
        _require(0 <= self.seed < 2**63, "data.seed", self.seed, "in [0, 2**63)")


# The fields that are not flags of `hscl data prepare`: DATA is the name, and the others matter to training only.
NOT_PREPARED = {"name", "held_out_ratio", "split_record", "labels", "skip_bad"}
# The fields that are flags of `hscl data verify`, beside the data and its root.
VERIFIED = {"bit_depth", "float_white", "max_megapixels"}
# The fields that are not flags of `hscl data views`.
NO_PICTURE = {"name", "split_record", "labels"}


@dataclass(frozen=True)
class ModelConfig:
    """Encoder, projection head and prototypes.

    Parameters
    ----------
    encoder
        Any timm model name. From scratch, ``resnet*`` gets a 3x3 stem without max-pool for images up to 64 pixels.
    pretrained
        Begin with timm's weights of the encoder, which are downloaded where they are not on this machine.
    weights
        Begin with the weights of this ``.safetensors`` file, under timm's names. They take the place of those of
        ``pretrained``, also where a recipe sets it.
    freeze
        Keep the encoder as it begins, and train the projection head and the prototypes only. Its features are
        standardised before the head.
    warm_start
        A run whose weights the training begins with, all of them, heads and prototypes included; the optimizer begins
        anew. ``--from`` sets it. The other fields of this section must be those of that run.
    width
        Channels of a ``resnet*``'s first stage, 16 or more (64 is the full network); the later stages double it.
    stem_stride
        Stride of that 3x3 stem: 1 keeps the full resolution, 2 halves it, at a quarter of the cost. Images below 16
        pixels keep theirs.
    projection_hidden
        Width of the projection head's hidden layer; 0: a linear head without one. Unset: the encoder's number of
        features.
    embedding_dim
        D, the dimension of the embeddings that the objective is computed on.
    prototypes
        K, the number of normal prototypes.
    """

    encoder: str = "resnet18"
    pretrained: bool = False
    weights: str | None = None
    freeze: bool = False
    warm_start: str | None = None
    width: int = 64
    stem_stride: Literal[1, 2] = 1
    projection_hidden: int | None = None
    embedding_dim: int = 128
    prototypes: int = 1

    def __post_init__(self) -> None:
        # oneDNN (uxlfoundation/oneDNN issue 6035) writes past its buffers in the backward pass of strided 1x1
        # convolutions on channels_last input narrower than a vector register, 16 channels on AVX-512.
        _require(self.width >= 16 and self.width % 2 == 0, "model.width", self.width, "an even number, 16 or more")
        if self.weights is not None:
            # Not in capitals: timm takes a file of any other name for a pickle.
            _require(self.weights.endswith(".safetensors"), "model.weights", self.weights, "a .safetensors file")
        if self.starts_trained:
            full = type(self).width
            _require(self.width == full, "model.width", self.width, f"{full}, the width of pretrained weights")
        if self.freeze:
            _require(
                self.starts_trained, "model.freeze", self.freeze, "false without --model.pretrained or --model.weights"
            )
        if self.projection_hidden is not None:
            _require(self.projection_hidden >= 0, "model.projection_hidden", self.projection_hidden, "0 or more")
        _require(self.embedding_dim > 1, "model.embedding_dim", self.embedding_dim, "2 or more")
        _require(1 <= self.prototypes <= 256, "model.prototypes", self.prototypes, "between 1 and 256")

    @property
    def starts_trained(self) -> bool:
        """Whether the encoder begins with trained weights."""
        return self.pretrained or self.weights is not None


@dataclass(frozen=True)
class ObjectiveConfig:
    """The training objective, L = lambda_sample L_SS + lambda_prototype L_SP + lambda_abnormal L_NA (Eq. 8).

    Parameters
    ----------
    name
        ``paper``: equations 1-8. ``released``: the loss of the authors' released code, term by term.
    temperature
        tau of the contrastive terms, from 1e-4 to 1e4.
    lambda_sample
        Weight of the sample-to-sample term, 1 in the paper. 0 suits a frozen encoder with a single cached view, in
        which nothing is left to contrast.
    lambda_prototype
        lambda_1, weight of the sample-to-prototype term. 0 turns prototypes off; then score with ``knn``.
    lambda_abnormal
        lambda_2, weight of the normal-to-abnormal term.
    weight_threshold
        w_delta: rows with a smaller weight are left out of the normal-to-abnormal term.
    na_estimator
        How the normal-to-abnormal term is computed: ``expectation`` (no sampling) or ``multinomial``.
    rotated_roles
        Role of the rotated copies of an image: ``exclude`` (used in the contrastive term only), ``inherit`` (the role
        of the image) or ``abnormal``. The released objective requires ``inherit``.
    shift_loss
        Add the four-way rotation-classification cross-entropy. Required by ``evaluate.scoring=released``. Needs
        ``augment.rotations`` 2 or 4.
    backend
        Form of the paper objective: ``auto`` (``triton`` on a GPU, ``cpu`` on the CPU), ``cpu``, ``triton`` or
        ``reference`` (plain PyTorch, which stores the N x N similarities). The released objective has only one form.
    """

    name: Literal["paper", "released"] = "paper"
    temperature: float = 0.5
    lambda_sample: float = 1.0
    lambda_prototype: float = 1.0
    lambda_abnormal: float = 1.0
    weight_threshold: float = 0.4
    na_estimator: Literal["expectation", "multinomial"] = "expectation"
    rotated_roles: Literal["inherit", "exclude", "abnormal"] = "exclude"
    shift_loss: bool = False
    backend: Literal["auto", "reference", "cpu", "triton"] = "auto"

    def __post_init__(self) -> None:
        _require(
            LOWEST_TEMPERATURE <= self.temperature <= HIGHEST_TEMPERATURE,
            "objective.temperature",
            self.temperature,
            f"from {LOWEST_TEMPERATURE:g} to {HIGHEST_TEMPERATURE:g}",
        )
        _require_not_negative(
            "objective",
            {
                "lambda_sample": self.lambda_sample,
                "lambda_prototype": self.lambda_prototype,
                "lambda_abnormal": self.lambda_abnormal,
            },
        )
        trained = self.lambda_sample > 0 or self.lambda_prototype > 0
        _require(trained, "objective.lambda_sample", self.lambda_sample, "above 0 where lambda_prototype is 0")
        _require(0 <= self.weight_threshold < 1, "objective.weight_threshold", self.weight_threshold, "in [0, 1)")
        if self.name == "released":
            inherits = self.rotated_roles == "inherit"
            _require(inherits, "objective.rotated_roles", self.rotated_roles, "inherit with the released objective")
            _require(self.backend == "auto", "objective.backend", self.backend, "auto with the released objective")
            unit = self.lambda_sample == self.lambda_prototype == self.lambda_abnormal == 1.0
            _require(
                unit,
                "objective.lambda_*",
                (self.lambda_sample, self.lambda_prototype, self.lambda_abnormal),
                "1 with the released objective",
            )


@dataclass(frozen=True)
class AugmentConfig:
    """How training views are drawn.

    Parameters
    ----------
    policy
        ``released``: flip, rotation, jitter, grey, crop, in the order of the released code. ``simclr``: the crop comes
        before the colours. ``none``: rotations only. The fields below override the numbers of the policy.
    rotations
        R, rotated copies of every view: ``4`` (all quarter turns, as in the paper), ``2`` (upright, and one turn drawn
        for each image and step) or ``1`` (upright only). 2 and 1 make a half and a quarter of the rows.
    flip_probability, jitter_probability, gray_probability
        Chances of a horizontal flip (per image and view), of colour jitter and of grey (per row).
    brightness, contrast, saturation, hue
        Half-widths of the jitter factors around 1 (around 0 for hue, in turns).
    crop_area
        Smallest and largest area of the Inception crop, as a share of the image.
    crop_ratio
        Smallest and largest aspect ratio of the crop, width over height.
    cached_views
        With a frozen encoder, the views of every image that go through it, once, before the training: the upright one
        without augmentation, then others that the policy draws. Their features are kept in the run, and a step takes
        thousandths of a second. Unset: new views at every step.
    backend
        Form that renders the views: ``auto`` (``triton`` on a GPU, ``cpu`` on the CPU), ``cpu``, ``triton`` or
        ``reference`` (plain PyTorch).
    """

    policy: Literal["released", "simclr", "none"] = "released"
    rotations: Literal[1, 2, 4] = 4
    flip_probability: float | None = None
    jitter_probability: float | None = None
    gray_probability: float | None = None
    brightness: float | None = None
    contrast: float | None = None
    saturation: float | None = None
    hue: float | None = None
    crop_area: tuple[float, float] | None = None
    crop_ratio: tuple[float, float] | None = None
    cached_views: int | None = None
    backend: Literal["auto", "reference", "cpu", "triton"] = "auto"

    def __post_init__(self) -> None:
        # For the parser true is 1, and 2.0 is 2.
        counts = type(self.rotations) is int and self.rotations in (1, 2, 4)
        _require(counts, "augment.rotations", self.rotations, "1, 2 or 4")
        numbers = self.numbers
        for name in ("flip_probability", "jitter_probability", "gray_probability"):
            value = getattr(numbers, name)
            _require(0 <= value <= 1, f"augment.{name}", value, "a probability in [0, 1]")
        for name in ("brightness", "contrast", "saturation"):
            value = getattr(numbers, name)
            _require(0 <= value <= 1, f"augment.{name}", value, "in [0, 1]")
        _require(0 <= numbers.hue <= 0.5, "augment.hue", numbers.hue, "in [0, 0.5] turns")
        low, high = numbers.crop_area
        _require(0 < low <= high <= 1, "augment.crop_area", numbers.crop_area, "two numbers, 0 < low <= high <= 1")
        low, high = numbers.crop_ratio
        _require(0 < low <= high, "augment.crop_ratio", numbers.crop_ratio, "two numbers with 0 < low <= high")
        if self.cached_views is not None:
            _require(1 <= self.cached_views <= 64, "augment.cached_views", self.cached_views, "between 1 and 64")

    @property
    def numbers(self) -> Policy:
        """The policy, with its numbers replaced by the fields that are set."""
        policy = POLICIES[self.policy]
        given = {name: getattr(self, name, None) for name in vars(policy)}
        return replace(policy, **{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True)
class OptimConfig:
    """Adam with linear warm-up, then cosine decay to zero.

    Parameters
    ----------
    epochs
        Passes over the training images.
    max_steps
        Upper limit on the number of steps; the learning-rate schedule is shortened to it.
    batch_size
        B, images per step over all ranks; 2 R B rows go through the encoder (2 views x R ``augment.rotations``).
    learning_rate
        Peak learning rate, reached at the end of the warm-up.
    encoder_rate
        Factor of the learning rate for the encoder, such as 0.1 for one that begins trained beside heads that do not.
    warmup_share
        Share of all steps that the linear warm-up takes (in the paper, 10 of 250 epochs).
    weight_decay
        Adam's L2 penalty.
    clip_norm
        Largest gradient norm; larger gradients are scaled down. Unset: no clipping.
    """

    epochs: int = 250
    max_steps: int | None = None
    batch_size: int = 256
    learning_rate: float = 1e-3
    encoder_rate: float = 1.0
    warmup_share: float = 0.04
    weight_decay: float = 0.0
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        _require(self.epochs >= 1, "optim.epochs", self.epochs, "1 or more")
        if self.max_steps is not None:
            _require(self.max_steps >= 1, "optim.max_steps", self.max_steps, "1 or more")
        _require(self.batch_size >= 2, "optim.batch_size", self.batch_size, "2 or more")
        _require_positive("optim", {"learning_rate": self.learning_rate, "encoder_rate": self.encoder_rate})
        _require(0 <= self.warmup_share <= 1, "optim.warmup_share", self.warmup_share, "a share in [0, 1]")
        _require_not_negative("optim", {"weight_decay": self.weight_decay})
        if self.clip_norm is not None:
            _require_positive("optim", {"clip_norm": self.clip_norm})


@dataclass(frozen=True)
class RuntimeConfig:
    """Device, precision and other settings of how a run executes.

    Parameters
    ----------
    device
        ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:N``.
    precision
        Precision of the encoder. ``auto``: bfloat16 on a GPU that supports it, else float16; bfloat16 on a CPU with
        AMX, else float32. ``tf32`` is float32 with products that a GPU may round to TF32, also in the loss; with
        ``float32`` it may not.
    threads
        CPU threads of torch, at most the number of cores that this process may use. Unset: torch's default.
    compile
        Compile the whole training step, and scoring, into one graph with ``torch.compile``: ``off``, ``default``,
        ``max-autotune`` or ``reduce-overhead`` (both capture CUDA graphs). ``auto``: ``default`` on a GPU, ``off`` on
        the CPU, where the first step of a compiled run takes a minute or more.
    deterministic
        Use GPU kernels that give the same bits in every run (needed to resume bit for bit).
    seed
        Seed of the initial weights, the order of the images and the views.
    max_skipped_updates
        Stop the run after this many consecutive updates with a non-finite loss or gradient.
    loader
        Loader kind: ``resident`` (all images on the device), ``ffcv`` (reads a ``.beton``, see ``hscl data prepare``),
        ``torch`` (a DataLoader) or ``auto`` (the first of these that can serve the data). All give the same batches.
    resident_gib
        Most memory, in GiB, that the images may take for ``auto`` to choose ``resident``. Unset: half of the free
        memory.
    workers
        Threads of ``ffcv`` or processes of ``torch`` that decode images. With 0, ``torch`` decodes in the main process.
        Unset: one per core, or a single one for raw images.
    timeout_minutes
        Minutes for which a rank waits for the others before the run ends with an error. It must cover the scoring
        of the held-out images, which the first rank does while the others wait.
    """

    device: str = "auto"
    precision: Literal["auto", "float32", "tf32", "bfloat16", "float16"] = "auto"
    threads: int | None = None
    compile: Literal["auto", "off", "default", "max-autotune", "reduce-overhead"] = "auto"
    deterministic: bool = True
    seed: int = 0
    max_skipped_updates: int = 20
    loader: Literal["auto", "resident", "ffcv", "torch"] = "auto"
    resident_gib: float | None = None
    workers: int | None = None
    timeout_minutes: float = 10.0

    def __post_init__(self) -> None:
        named = self.device in ("auto", "cpu", "cuda") or (
            self.device.startswith("cuda:") and self.device[5:].isdigit()
        )
        _require(named, "runtime.device", self.device, "auto, cpu, cuda or cuda:N")
        if self.threads is not None:
            _require(self.threads >= 1, "runtime.threads", self.threads, "1 or more")
        _require(0 <= self.seed < 2**63, "runtime.seed", self.seed, "in [0, 2**63)")
        _require_counts("runtime", self, ("max_skipped_updates",))
        if self.resident_gib is not None:
            _require_not_negative("runtime", {"resident_gib": self.resident_gib})
        if self.workers is not None:
            least = 1 if self.loader == "ffcv" else 0
            _require(least <= self.workers <= 256, "runtime.workers", self.workers, f"between {least} and 256")
        _require_positive("runtime", {"timeout_minutes": self.timeout_minutes})


@dataclass(frozen=True)
class RecordConfig:
    """Logs and checkpoints that a run writes while it trains.

    Parameters
    ----------
    log_every
        Steps between two rows of ``metrics.jsonl``. Only then are the metrics read from the device.
    checkpoint_every
        Steps between two checkpoints.
    validate_every
        Epochs between two validations on the held-out labelled images, by which the best checkpoint is chosen.
    tensorboard
        Write TensorBoard event files beside ``metrics.jsonl`` (needs the extra ``tensorboard``).
    """

    log_every: int = 10
    checkpoint_every: int = 100
    validate_every: int = 5
    tensorboard: bool = False

    def __post_init__(self) -> None:
        _require_counts("record", self, ("log_every", "checkpoint_every", "validate_every"))


@dataclass(frozen=True)
class EvaluateConfig:
    """Scoring and evaluation.

    Parameters
    ----------
    checkpoint
        Which checkpoint is evaluated: ``last`` or ``best`` (on held-out labelled images).
    scoring
        Normality score: ``auto`` (chosen by the AUROC on held-out labelled images), ``paper`` (Eq. 9), ``rotations``
        (the mean of Eq. 9 over four rotations), ``rotation_likelihood`` (log-probabilities of the rotation classifier),
        ``contrast`` (Eq. 9 minus half the similarity to the mean labelled anomaly), ``released`` (that of the released
        code, with 10 crops x 4 rotations and rotation logits) or, on features, ``knn`` (cosine to the
        nearest training images), ``mahalanobis`` (distance from them) or ``regression`` (on the labels). Several joined
        by ``+``, such as ``contrast+knn``, are standardised on the training images and added.
    batch_size
        Images per batch while scoring.
    threshold
        Decision threshold: images with a higher anomaly score are abnormal (null: fitted).
    max_false_alarms
        Fits the threshold so that at most this share of the normal images is called abnormal, in (0, 1), on the
        held-out normals and the unlabelled images (null: by balanced accuracy on the held-out labelled images).
    contamination
        With max_false_alarms: the share of the unlabelled images, in [0, 1), that is suspected to be anomalies. That
        many with the highest scores are not taken for normals.
    """

    checkpoint: CheckpointName = "last"
    scoring: str = "auto"
    batch_size: int = 500
    threshold: float | None = None
    max_false_alarms: float | None = None
    contamination: float = 0.1

    def __post_init__(self) -> None:
        self._require_one_threshold()
        try:
            scoring = self.scoring if self.scoring == AUTO else "+".join(parse_scoring(self.scoring))
        except ValueError as error:
            raise UsageError(f"--evaluate.scoring {error}") from None
        object.__setattr__(self, "scoring", scoring)  # so that two spellings of one configuration are equal
        _require_counts("evaluate", self, ("batch_size",))

    def _require_one_threshold(self) -> None:
        value, share, suspected = self.threshold, self.max_false_alarms, self.contamination
        if value is not None:
            _require(math.isfinite(value), "evaluate.threshold", value, "a finite anomaly score")
        if share is not None:
            _require(0 < share < 1, "evaluate.max_false_alarms", share, "a share in (0, 1), such as 0.02")
        _require(0 <= suspected < 1, "evaluate.contamination", suspected, "a share in [0, 1), such as 0.1")
        if value is not None and share is not None:
            raise UsageError(
                f"--evaluate.threshold is {value} and --evaluate.max_false_alarms is {share}, but only one of them can "
                "set the threshold. Leave one out."
            )


@dataclass(frozen=True)
class Config:
    """The whole configuration of a run, saved as ``config.yaml``, which runs the same training again."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    record: RecordConfig = field(default_factory=RecordConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    def __post_init__(self) -> None:
        scoring, objective = self.evaluate.scoring, self.objective
        if objective.shift_loss and self.augment.rotations == 1:
            raise UsageError(
                "--augment.rotations is 1, so every view is upright and --objective.shift_loss has no turns to tell "
                "apart. Add --augment.rotations 2 or 4, or --objective.shift_loss false."
            )
        if self.augment.cached_views is not None:
            self._require_cacheable()
        if scoring == AUTO:
            return  # of what can be had
        needs = needs_of(scoring)
        if needs.rotation_head and not objective.shift_loss:
            raise UsageError(
                f"--evaluate.scoring is {scoring!r}, which needs rotation logits, but the rotation head is not "
                "trained. Add --objective.shift_loss true, or use --evaluate.scoring paper or rotations."
            )
        if needs.prototypes and objective.lambda_prototype == 0:
            raise UsageError(
                f"--evaluate.scoring is {scoring!r}, which needs prototypes, but --objective.lambda_prototype is 0, so "
                "they are not trained. Add --evaluate.scoring knn, or give lambda_prototype a positive value."
            )

    def _require_cacheable(self) -> None:
        views = self.augment.cached_views
        if not self.model.freeze:
            raise UsageError(
                f"--augment.cached_views is {views}, but the encoder is trained, so its features change with every "
                "step. Add --model.freeze true, or leave --augment.cached_views out."
            )
        if self.augment.rotations != 1:
            raise UsageError(
                f"--augment.cached_views is {views}, but --augment.rotations is {self.augment.rotations}, and the "
                "cache has no rotated copies. Add --augment.rotations 1, or leave --augment.cached_views out."
            )


SECTIONS: dict[str, type] = {section.name: section.default_factory for section in fields(Config)}  # type: ignore[misc]
