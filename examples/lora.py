"""LoRA through PEFT: a few small matrices and the heads are trained and saved, the encoder stays as
it is.

pip install jiantx[lora]
python examples/lora.py
"""

import argparse
from pathlib import Path

from peft import PeftModel, get_peft_model
from transformers import TrainingArguments, set_seed

import jiantx as jx


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--encoder", help="Hub id or folder (default: the artificial world's encoder)"
    )
    parser.add_argument("--data-root", help="a folder, or `hub` (default: the artificial world)")
    parser.add_argument(
        "--rank", type=int, default=8, help="of each adapter's two matrices (default: 8)"
    )
    parser.add_argument("--max-steps", type=int, default=200)
    parser.add_argument("--output", default="runs/lora")
    options = parser.parse_args()

    # 1. Tasks, and an encoder with a head for each.
    root = options.data_root or jx.default_root()
    jx.data_root(None if root == "hub" else root)
    encoder = options.encoder or jx.default_encoder()
    tasks = [jx.get_task("udpos"), jx.get_task("pawsx")]
    set_seed(1)
    model = jx.MultitaskModel.from_pretrained(encoder, tasks)

    # 2. Adapters beside the encoder's own matrices; `lora_config` has the heads, which are new,
    # trained in full.
    adapted = get_peft_model(model, model.lora_config(r=options.rank))
    adapted.print_trainable_parameters()

    # 3. Train and score as always. Adapters want a higher learning rate than a whole encoder.
    arguments = TrainingArguments(
        options.output,
        max_steps=options.max_steps,
        learning_rate=2e-3,
        save_strategy="no",
        report_to="none",
    )
    jx.Trainer(adapted, arguments, tasks=tasks).train()
    report = jx.evaluate(adapted, tasks)
    print(report.to_markdown())

    # 4. Save the adapters and the heads. The encoder is not in the folder: it is where it was.
    adapted.save_pretrained(options.output)

    # 5. Load them into a fresh model, and score again.
    loaded = PeftModel.from_pretrained(
        jx.MultitaskModel.from_pretrained(encoder, tasks), options.output
    )
    again = jx.evaluate(loaded, tasks)
    equal = again.to_records() == report.to_records()
    print(f"The loaded adapters give the same {len(again)} scores: {equal}.")

    # 6. Or merge the adapters into the encoder: a plain jiantx model, which needs no PEFT.
    merged = Path(options.output) / "merged"
    loaded.merge_and_unload().save_pretrained(merged)
    for folder in (Path(options.output), merged):
        size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        print(f"{folder}: {size / 1e6:,.1f} MB of weights")


if __name__ == "__main__":
    main()
