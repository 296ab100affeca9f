"""The default data root and encoder: what the examples start from, made on first use and cached."""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sentencepiece
from filelock import FileLock
from transformers import (
    AutoTokenizer,
    TrainingArguments,
    XLMRobertaConfig,
    XLMRobertaModel,
    XLMRobertaTokenizer,
    set_seed,
)

from jiantx.cache import cache_dir
from jiantx.checkpoints import MANIFEST, find_problem, write_manifest
from jiantx.evaluation import evaluate
from jiantx.model import MultitaskModel
from jiantx.sources import Files, read_lines
from jiantx.synthetic.languages import LANGUAGES
from jiantx.synthetic.root import VERSION, write_root
from jiantx.synthetic.shipped_encoder import check_shipped_encoder, store_in_half, write_record
from jiantx.task import Task
from jiantx.tasks import get_task
from jiantx.trainer import Trainer
from jiantx.training_bar import label_training_bar

# Arguments of `write_root` for the default root, where not its defaults. Writing 6,000 rows of each
# table would take twice as long, and a training of the demo reads 2,400 at most.
SIZES = {"train_examples": 3000}
PRETRAINING: dict[str, Any] = {  # arguments of `TrainingArguments`
    "max_steps": 1500,
    "per_device_train_batch_size": 64,
    "learning_rate": 3e-3,
    "warmup_steps": 50,
}
# A short run learns more from more masks: with 15 % the encoder was less able to learn mnli.
MASK_SHARE = 0.3
_HIDDEN_SIZE = 160
_LAYERS = 4
_MAX_TOKENS = 384  # of an input: question answering uses windows of this length


def _cached_folder(kind: str, *settings: object) -> Path:
    """Return a folder in the cache whose name depends on the settings."""
    text = json.dumps(settings, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return cache_dir() / f"{kind}-{VERSION}-{digest}"


def default_root() -> Path:
    """Return the artificial world's data root, written on first use and kept in the cache."""
    return write_root(_cached_folder("synthetic", SIZES), **SIZES)


def _tokenizer_text(root: Path) -> Iterator[str]:
    """Yield the same number of lines in each language, then every word that they hold.

    SentencePiece draws its first pieces from substrings that occur in two different words. In a
    small world most short words occur in one only, and would be split. So each word occurs once
    more, before a full stop.
    """
    vocabulary: dict[str, None] = {}  # a set that keeps its order
    for language in LANGUAGES:
        with (root / "mlm" / f"{language}.train.txt").open(encoding="utf-8") as file:
            for line in itertools.islice(file, 2000):
                line_words = line.replace(".", "").replace("?", "").split()
                vocabulary.update(dict.fromkeys(line_words))
                yield line.rstrip()
    for word in vocabulary:
        yield f"{word}."


def train_tokenizer(root: Path | str, path: Path | str, *, vocab_size: int = 2000) -> Path:
    """Train a SentencePiece unigram vocabulary, and save it as XLM-R's kind of fast tokenizer.

    The ids are XLM-R's: `<s>` 0, `<pad>` 1, `</s>` 2, `<unk>` 3, then the pieces, and `<mask>`
    last. The tokenizer gets pieces and scores, because transformers would need protobuf to load
    SentencePiece's own file.

    Args:
        root: A data root, whose plain text it learns from.
        path: The folder to save to.
        vocab_size: Number of tokens, at most. A small text gives fewer.

    Returns:
        `path`.
    """
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=_tokenizer_text(Path(root)),
        model_writer=model,
        model_type="unigram",
        vocab_size=vocab_size - 2,  # without <pad> and <mask>
        hard_vocab_limit=False,
        character_coverage=1.0,
        normalization_rule_name="nmt_nfkc",
        num_threads=1,
        minloglevel=2,
    )
    trained = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    vocab = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    for piece_id in range(3, trained.get_piece_size()):  # after SentencePiece's <unk>, <s>, </s>
        vocab.append((trained.id_to_piece(piece_id), trained.get_score(piece_id)))
    vocab.append(("<mask>", 0.0))
    tokenizer = XLMRobertaTokenizer(vocab=vocab, model_max_length=_MAX_TOKENS)
    tokenizer.save_pretrained(path)
    return Path(path)


def encoder_config(
    vocab_size: int, hidden: int = _HIDDEN_SIZE, layers: int = _LAYERS
) -> XLMRobertaConfig:
    """Return the configuration of a small XLM-R with four heads and room for 384 tokens.

    Args:
        vocab_size: Number of tokens.
        hidden: Hidden size, a multiple of 4.
        layers: Number of layers.

    Returns:
        The configuration. It has no dropout: runs of a few hundred steps do not overfit.
    """
    return XLMRobertaConfig(
        vocab_size=vocab_size,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=4 * hidden,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=_MAX_TOKENS + 2,  # XLM-R's positions begin at 2
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )


def default_encoder(
    *,
    hidden: int = _HIDDEN_SIZE,
    layers: int = _LAYERS,
    languages: Sequence[str] | None = None,
    max_steps: int | None = None,
) -> Path:
    """Return a small encoder, pretrained by masked LM on the world's text with jiantx itself.

    The package ships the one that the default arguments describe. Others are made on first use,
    which takes minutes, and kept in the cache.

    Args:
        hidden: Hidden size, a multiple of 4.
        layers: Number of layers.
        languages: Codes of the languages whose text it learns; None for all. The vocabulary is
            always that of all languages.
        max_steps: Steps of the pretraining; None for the shipped encoder's, 1,500.

    Returns:
        A folder that `from_pretrained` reads, with the tokenizer. The shipped one is a part of the
        installation: leave it unchanged.

    Raises:
        RuntimeError: If the encoder must be made and this is one of several processes, or if the
            shipped one is damaged.
    """
    settings = _settings(hidden, layers, languages, max_steps)
    if settings == _settings():
        return check_shipped_encoder()
    root = default_root()
    path = _cached_folder("synthetic-encoder", settings, root.name)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and find_problem(path):
        raise RuntimeError(
            "This encoder is made in one process. "
            "Call jiantx.default_encoder() with the same arguments in one first."
        )
    with FileLock(f"{path}.lock"):
        if find_problem(path) is not None:
            _make_encoder(path, root, settings)
    return path


def _settings(
    hidden: int = _HIDDEN_SIZE,
    layers: int = _LAYERS,
    languages: Sequence[str] | None = None,
    max_steps: int | None = None,
) -> dict[str, Any]:
    """Return all that decides what an encoder of this world will be."""
    arguments = dict(PRETRAINING)
    if max_steps is not None:
        arguments["max_steps"] = max_steps
    return {
        "hidden": hidden,
        "layers": layers,
        "languages": list(languages or LANGUAGES),
        "mask_share": MASK_SHARE,
        "arguments": arguments,
    }


def _make_encoder(path: Path, root: Path, settings: Mapping[str, Any]) -> None:
    """Train a tokenizer and an encoder on a root's text, and write them with their record."""
    started = time.process_time()
    (path / MANIFEST).unlink(missing_ok=True)  # it is incomplete from now on
    work_folder = path.with_name(path.name + ".work")
    tokenizer = AutoTokenizer.from_pretrained(train_tokenizer(root, work_folder))
    set_seed(0)
    config = encoder_config(len(tokenizer), settings["hidden"], settings["layers"])
    XLMRobertaModel(config).save_pretrained(work_folder)
    task = _masked_lm_task(root, settings)
    model = MultitaskModel.from_pretrained(work_folder, [task])
    arguments = TrainingArguments(
        str(work_folder),
        adam_beta2=0.98,
        weight_decay=0.01,
        save_strategy="no",
        report_to="none",
        **settings["arguments"],
    )
    # The encoder is small: one GPU of several is enough, and no processes must be started.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    trainer = Trainer(model, arguments, tasks=[task])
    size = f"{settings['hidden']}x{settings['layers']}"
    label_training_bar(trainer, f"pretraining the artificial world's encoder ({size}), once")
    trainer.train()
    model.export(task, path)  # as XLMRobertaForMaskedLM, the form that XLM-R has on the Hub
    store_in_half(path)
    minutes = round((time.process_time() - started) / 60, 1)
    measured = {"accuracy": _masked_accuracy(path, task, settings), "cpu_minutes": minutes}
    write_record(path, settings, measured, _command(settings))
    write_manifest(path)
    shutil.rmtree(work_folder)


def _masked_accuracy(path: Path, task: Task, settings: Mapping[str, Any]) -> dict[str, float]:
    """Score the written encoder on the validation text; return percentages by language."""
    model = MultitaskModel.from_pretrained(path, [task])
    accuracies = evaluate(model, [task], languages=settings["languages"]).mean(by="language")
    return {str(code): round(accuracy, 1) for code, accuracy in accuracies.items()}


def _command(settings: Mapping[str, Any]) -> str:
    """Return the command, or the call, that makes an encoder of these settings."""
    if settings == _settings():
        return "make encoder"
    arguments = {name: settings[name] for name in ("hidden", "layers", "languages")}
    arguments["max_steps"] = settings["arguments"]["max_steps"]
    texts = [f"{name}={value!r}" for name, value in arguments.items()]
    return f"jiantx.default_encoder({', '.join(texts)})"


def _masked_lm_task(root: Path, settings: Mapping[str, Any]) -> Task:
    """Return masked language modelling on the root's text."""
    text_files = str(root / "mlm" / "{language}.{split}.txt")
    return get_task("mlm").replace(
        source=Files(text_files, read_lines, languages=tuple(LANGUAGES)),
        train_languages=tuple(settings["languages"]),
        mask_share=settings["mask_share"],
    )


def main() -> None:
    """Make the encoder that the package ships, anew.

    python -m jiantx.synthetic.pretraining jiantx/synthetic/synthetic-encoder
    """
    parser = argparse.ArgumentParser(description="Pretrain the artificial world's encoder.")
    parser.add_argument("folder", type=Path, help="where to write it; files there are replaced")
    parser.add_argument(
        "--max-steps",
        type=int,
        help=f"steps (default: {PRETRAINING['max_steps']}, 10 minutes on one idle core)",
    )
    options = parser.parse_args()
    settings = _settings(max_steps=options.max_steps)
    _make_encoder(options.folder, default_root(), settings)
    print(f"{options.folder} holds the encoder.")


if __name__ == "__main__":
    main()
