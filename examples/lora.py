"""Train LoRA adapters with PEFT. Only the adapters and the heads change; the encoder is frozen.

pip install jiantx[lora]
python examples/lora.py
"""

from argparse import RawDescriptionHelpFormatter
from dataclasses import dataclass, field
from pathlib import Path

from peft import PeftModel, get_peft_model
from transformers import HfArgumentParser, TrainingArguments, set_seed

import jiantx as jx


@dataclass
class Options:
    """The arguments of the program."""

    encoder: str | None = field(
        default=None,
        metadata={"help": "Hub id or folder (default: the artificial world's encoder)"},
    )
    data_root: str | None = field(
        default=None, metadata={"help": "a folder, or `hub` (default: the artificial world)"}
    )
    rank: int = field(default=8, metadata={"help": "of each adapter's two matrices (default: 8)"})
    max_steps: int = field(default=200, metadata={"help": "training steps (default: 200)"})
    output: Path = field(
        default=Path("runs/lora"), metadata={"help": "folder of the adapters (default: runs/lora)"}
    )


def main() -> None:
    parser = HfArgumentParser(
        Options, description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    (options,) = parser.parse_args_into_dataclasses()

    # 1. Tasks, and an encoder with a head for each.
    root = options.data_root or jx.default_root()
    jx.data_root(None if root == "hub" else root)
    encoder = options.encoder or jx.default_encoder()
    tasks = [jx.get_task("udpos"), jx.get_task("pawsx")]
    set_seed(1)
    model = jx.MultitaskModel.from_pretrained(encoder, tasks)

    # 2. Put adapters beside the encoder's matrices. The heads are new: `lora_config` trains them
    #    in full.
    adapted = get_peft_model(model, model.lora_config(r=options.rank))
    adapted.print_trainable_parameters()

    # 3. Train and score as always. Adapters need a higher learning rate than a whole encoder.
    arguments = TrainingArguments(
        str(options.output),
        max_steps=options.max_steps,
        learning_rate=2e-3,
        save_strategy="no",
        report_to="none",
    )
    jx.Trainer(adapted, arguments, tasks=tasks).train()
    report = jx.evaluate(adapted, tasks)
    print(report.to_markdown())

    # 4. Save the adapters and the heads. The folder does not contain the encoder.
    adapted.save_pretrained(options.output)

    # 5. Load them into a fresh model, and score again.
    fresh_model = jx.MultitaskModel.from_pretrained(encoder, tasks)
    loaded = PeftModel.from_pretrained(fresh_model, options.output)
    loaded_report = jx.evaluate(loaded, tasks)
    is_equal = loaded_report.to_records() == report.to_records()
    print(f"The loaded adapters give the same {len(loaded_report)} scores: {is_equal}.")

    # 6. Or merge the adapters into the encoder. The result is a jiantx model that needs no PEFT.
    merged = options.output / "merged"
    loaded.merge_and_unload().save_pretrained(merged)
    for folder in (options.output, merged):
        size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        print(f"{folder}: {size / 1e6:,.1f} MB of weights")


if __name__ == "__main__":
    main()
