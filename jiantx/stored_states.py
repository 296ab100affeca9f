"""The states of a frozen encoder after every layer, on disk: probes then train without it.

A file holds the states of different sequences, one after the other. Its name is its key, a hash of
the encoder and of these sequences. A sequence that several tasks read is encoded once.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc
import torch
import transformers
from accelerate import PartialState
from torch import Tensor
from transformers.utils import logging
from transformers.utils.logging import tqdm

from jiantx.cache import cache_dir, whole_file
from jiantx.fields import check_choice
from jiantx.fingerprints import fingerprint_text
from jiantx.half_precision import autocast
from jiantx.model import MultitaskModel

if TYPE_CHECKING:
    import datasets

logger = logging.get_logger("jiantx.stored_states")

VERSION = 1  # of the code that computes states; a new number makes new files
# of a config, and without influence on the states
_NOT_IN_KEY = ("_name_or_path", "transformers_version", "architectures")


@dataclass(frozen=True)
class _Sequence:
    """The tokens of one sequence, as the encoder reads them."""

    ids: np.ndarray  # (tokens,)
    segments: np.ndarray | None  # (tokens,), None where the encoder takes none

    @property
    def digest(self) -> bytes:
        content = self.ids.astype(np.int32).tobytes()
        if self.segments is not None:
            content += b"segments" + self.segments.astype(np.uint8).tobytes()
        return hashlib.blake2b(content, digest_size=16).digest()


class StoredStates:
    """The states of sequences after every layer, memory-mapped.

    Set it as `model.stored_states`; the model then reads the states of batches whose sequences are
    all here, and runs its encoder for the others. It does not read the states of other weights,
    as far as torch tells: a write to `parameter.data`, or adapters that are switched off, it does
    not see. Make a new object after these.

    Args:
        model: With a frozen encoder.
        dtype: Of the stored numbers; "float16" takes half the room.
        half: The half precision that the states are computed in; None computes in that of the
            weights.

    Raises:
        ValueError: The encoder is not frozen, or is sharded.
    """

    def __init__(
        self, model: MultitaskModel, *, dtype: str = "float32", half: torch.dtype | None = None
    ) -> None:
        check_choice("dtype", dtype, ("float32", "float16"))
        if _is_trained(model):
            raise ValueError(
                "The encoder is to be trained, so its states will change: call "
                "model.freeze_encoder() first."
            )
        if model.is_distributed_loading_by_transformers:
            raise ValueError(
                "The encoder is sharded over ranks. Load it without `distributed_config` to store "
                "its states, or train without stored states."
            )
        self.dtype = np.dtype(dtype)
        self.half = half
        config = model.encoder.config
        self.shape = (config.num_hidden_layers + 1, config.hidden_size)  # of a token
        self.takes_segments = model._traits.takes_segments(config)
        self.key = self._key(model)
        self._checked = _versions(model)
        self._fits = True
        self._positions: dict[bytes, tuple[np.ndarray, int]] = {}  # digest -> file, first token

    def __len__(self) -> int:
        return len(self._positions)

    # --- writing ----------------------------------------------------------------------------------

    def add(
        self,
        model: MultitaskModel,
        tables: Iterable[datasets.Dataset],
        *,
        batch_size: int = 32,
        max_bytes: float = 20e9,
    ) -> None:
        """Open the states of some features; compute and write those that no file holds.

        On several ranks, the first of each machine writes.

        Args:
            model: The one whose states these are.
            tables: Features. Each has a file for those of its sequences that no earlier one has.
            batch_size: Sequences of a batch.
            max_bytes: Of all files that are to be written.

        Raises:
            ValueError: The files would be larger, or the disk has no room for them, or a state is
                too large for float16.
        """
        blocks: dict[Path, dict[bytes, _Sequence]] = {}
        for table in tables:
            sequences = self._new_sequences(table, blocks.values())
            if sequences:
                blocks[self._path(sequences)] = sequences
        with PartialState(cpu=model.device.type == "cpu").local_main_process_first():
            missing = {
                path: sequences
                for path, sequences in blocks.items()
                if not self._is_complete(path, sequences)
            }
            self._check_room(list(missing.values()), max_bytes)
            for path, sequences in missing.items():
                self._write(model, path, sequences, batch_size)
        for path, sequences in blocks.items():
            tokens = _token_count(sequences)
            states = np.memmap(path, self.dtype, mode="r", shape=(tokens, *self.shape))
            start = 0
            for sequence in sequences.values():
                self._positions[sequence.digest] = (states, start)
                start += len(sequence.ids)

    def _new_sequences(
        self, table: datasets.Dataset, earlier: Iterable[dict[bytes, _Sequence]]
    ) -> dict[bytes, _Sequence]:
        """Digest -> sequence of a table that is in no file yet, the longest first."""
        earlier = list(earlier)
        sequences = {}
        for sequence in _sequences(table, self.takes_segments):
            digest = sequence.digest
            is_known = digest in self._positions or any(digest in block for block in earlier)
            if not is_known:
                sequences[digest] = sequence
        return dict(sorted(sequences.items(), key=lambda item: -len(item[1].ids)))

    def _path(self, sequences: dict[bytes, _Sequence]) -> Path:
        content = b"".join(sequences)
        digest = hashlib.blake2b(self.key.encode() + content, digest_size=16).hexdigest()
        return cache_dir() / "states" / f"{digest}.bin"

    def _bytes(self, sequences: dict[bytes, _Sequence]) -> int:
        return _token_count(sequences) * int(np.prod(self.shape)) * self.dtype.itemsize

    def _is_complete(self, path: Path, sequences: dict[bytes, _Sequence]) -> bool:
        return path.exists() and path.stat().st_size == self._bytes(sequences)

    def _check_room(self, blocks: Sequence[dict[bytes, _Sequence]], max_bytes: float) -> None:
        """Say how much is to be written, and refuse too much."""
        needed = sum(map(self._bytes, blocks))
        if not needed:
            return
        folder = cache_dir() / "states"
        folder.mkdir(parents=True, exist_ok=True)
        available = shutil.disk_usage(folder).free
        summary = (
            f"The states of {sum(map(_token_count, blocks)):,} tokens in {sum(map(len, blocks)):,} "
            f"sequences, {self.shape[0]} layers of {self.shape[1]} numbers in {self.dtype}, take "
            f"{needed / 1e9:.2f} GB in {folder}"
        )
        if needed > min(max_bytes, available):
            raise ValueError(
                f"{summary}. The limit is {max_bytes / 1e9:g} GB, and the disk has "
                f"{available / 1e9:.1f} GB left. Store float16, take fewer rows, raise the limit, "
                "or train without stored states."
            )
        logger.warning(f"{summary}.")

    @torch.no_grad()
    def _write(
        self,
        model: MultitaskModel,
        path: Path,
        sequences: dict[bytes, _Sequence],
        batch_size: int,
    ) -> None:
        """Encode sequences and write their states, in their order."""
        was_training = model.training
        model.eval()
        items = list(sequences.values())
        starts = tqdm(
            range(0, len(items), batch_size), "states of the encoder", leave=False, delay=1
        )
        try:
            with whole_file(path) as temporary, open(temporary, "wb") as file:
                for start in starts:
                    batch = _batch(items[start : start + batch_size], model.device)
                    with autocast(model.device, self.half):
                        by_layer = model.states(**batch, layers=range(self.shape[0]))
                    states = torch.stack(by_layer, dim=1).float().cpu().numpy()
                    self._write_states(file, states)
        finally:
            model.train(was_training)

    def _write_states(self, file: Any, states: np.ndarray) -> None:
        with np.errstate(over="ignore"):
            stored = states.astype(self.dtype)
        if np.isfinite(states).all() and not np.isfinite(stored).all():
            raise ValueError(
                f"A state of the encoder is {np.abs(states).max():.0f}, which {self.dtype} cannot "
                'hold. Store "float32".'
            )
        file.write(stored.tobytes())

    # --- reading ----------------------------------------------------------------------------------

    def read(
        self,
        model: MultitaskModel,
        input_ids: Tensor,
        lengths: Tensor,
        token_type_ids: Tensor | None,
        layers: Sequence[int | None],
    ) -> list[Tensor] | None:
        """Read the states of a flat batch.

        Args:
            model: The one that would compute them.
            input_ids: (total tokens,).
            lengths: (sequences,) tokens of each sequence.
            token_type_ids: (total tokens,) segments.
            layers: How many layers have run; 0 is the embeddings, None all of them.

        Returns:
            (total tokens, hidden) states for each of `layers`, in the dtype of the weights. None if
            a sequence is not here, or the encoder has other weights by now.
        """
        if not self._are_those_of(model):
            return None
        ids = input_ids.cpu().numpy()
        segments = None if token_type_ids is None else token_type_ids.cpu().numpy()
        sizes = lengths.cpu().numpy()
        depths = [self.shape[0] - 1 if layer is None else layer for layer in layers]
        # neighbours are read as one piece
        are_neighbours = depths == list(range(depths[0], depths[0] + len(depths)))
        columns = slice(depths[0], depths[0] + len(depths)) if are_neighbours else depths
        states = np.empty((len(ids), len(depths), self.shape[1]), dtype=self.dtype)
        start = 0
        for sequence in _split(ids, segments if self.takes_segments else None, sizes):
            position = self._positions.get(sequence.digest)
            if position is None:
                return None
            stored, first = position
            size = len(sequence.ids)
            states[start : start + size] = stored[first : first + size, columns]
            start += size
        on_device = torch.from_numpy(states).to(model.device, model.dtype)
        return list(on_device.unbind(dim=1))

    def _are_those_of(self, model: MultitaskModel) -> bool:
        """Whether the encoder still has the weights that the states are of."""
        if _is_trained(model):
            return False
        weights = _versions(model)
        if not _are_same(weights, self._checked):  # some were written, perhaps with equal values
            self._checked = weights
            self._fits = self._key(model) == self.key
        if not self._fits:
            logger.warning_once(
                "The stored states are those of other weights than the encoder now has, and are "
                "not read. Store them again, or set model.stored_states = None."
            )
        return self._fits

    def _key(self, model: MultitaskModel) -> str:
        """A hash over all that the states depend on, but for the sequences."""
        config = model.encoder.config.to_dict()
        values = {name: value for name, value in config.items() if name not in _NOT_IN_KEY}
        made_by = (VERSION, transformers.__version__, str(self.half), str(self.dtype))
        weights = fingerprint_text(dict(model.encoder.state_dict()))
        values_of_key = (*made_by, model.padding_free, repr(sorted(values.items())), weights)
        text = fingerprint_text(values_of_key)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _is_trained(model: MultitaskModel) -> bool:
    """Whether the encoder's states may change from step to step, if only by dropout."""
    trained = [parameter for parameter in model.encoder.parameters() if parameter.requires_grad]
    return bool(trained) or not model._is_frozen


def _versions(model: MultitaskModel) -> list[tuple[Tensor, int]]:
    """Each parameter of the encoder, and a number that changes when it is written."""
    return [(parameter, parameter._version) for parameter in model.encoder.parameters()]


def _are_same(one: list[tuple[Tensor, int]], other: list[tuple[Tensor, int]]) -> bool:
    """Whether they are of the same parameters, not written in between."""
    if len(one) != len(other):
        return False
    pairs = zip(one, other, strict=True)
    return all(a is b and version == before for (a, version), (b, before) in pairs)


def _token_count(sequences: dict[bytes, _Sequence]) -> int:
    return sum(len(sequence.ids) for sequence in sequences.values())


def _sequences(table: datasets.Dataset, takes_segments: bool) -> Iterator[_Sequence]:
    """The sequences of some features, in their order."""
    for block in table.with_format("arrow").iter(batch_size=10_000):
        ids = pc.list_flatten(block["input_ids"]).to_numpy()
        lengths = pc.list_flatten(block["lengths"]).to_numpy()
        segments = None
        if takes_segments and "token_type_ids" in block.column_names:
            segments = pc.list_flatten(block["token_type_ids"]).to_numpy()
        yield from _split(ids, segments, lengths)


def _split(
    ids: np.ndarray, segments: np.ndarray | None, lengths: np.ndarray
) -> Iterator[_Sequence]:
    """The sequences of flat token ids."""
    ends = np.cumsum(lengths)
    for start, end in zip(ends - lengths, ends, strict=True):
        yield _Sequence(ids[start:end], None if segments is None else segments[start:end])


def _batch(sequences: Sequence[_Sequence], device: torch.device) -> dict[str, Any]:
    """What `MultitaskModel.states` reads, see `batching.collate`."""
    sizes = [len(sequence.ids) for sequence in sequences]
    arrays = {
        "input_ids": np.concatenate([sequence.ids for sequence in sequences]),
        "position_ids": np.concatenate([np.arange(size) for size in sizes]),
        "lengths": np.array(sizes),
    }
    segments = [sequence.segments for sequence in sequences if sequence.segments is not None]
    if segments:
        arrays["token_type_ids"] = np.concatenate(segments)
    tensors = {
        name: torch.from_numpy(array.astype(np.int64)).to(device) for name, array in arrays.items()
    }
    return {**tensors, "longest": max(sizes)}
