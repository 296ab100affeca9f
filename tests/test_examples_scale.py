"""The plan of memory says what real steps keep, and adapters come back as they were trained."""

import runpy
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
import torch
from conftest import config_of
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoConfig

import jiantx as jx

EXAMPLES = Path(__file__).parents[1] / "examples"
FAMILIES = ("xlm-r", "xlm-r-xl", "t5")
DROPOUT = {
    "xlm-r": {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1},
    "t5": {"dropout_rate": 0.1},
}


@pytest.fixture(scope="module")
def program():
    return runpy.run_path(str(EXAMPLES / "plan_memory.py"), run_name="plan_memory")


def tiny(family, tokenizer_of):
    return config_of(family, tokenizer_of(family), **DROPOUT.get(family, DROPOUT["xlm-r"]))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["float32", "bf16", "bf16, checkpointing", "LoRA, checkpointing"])
@pytest.mark.parametrize("family", FAMILIES)
def test_fake_tensors_keep_what_real_ones_keep(program, tokenizer_of, family, way):
    """One forward pass on fake tensors, one on the CPU: byte for byte."""
    counted = []
    for device, mode in (
        ("meta", FakeTensorMode(allow_non_fake_inputs=True)),
        ("cpu", nullcontext()),
    ):
        model = program["make"](tiny(family, tokenizer_of), lora="LoRA" in way, device=device)
        with mode:
            if device == "meta":
                model.to_empty(device="cpu")
            if "checkpointing" in way:
                model.activation_checkpointing_enable()
            steps = {
                head: partial(program["step"], model, head, 3, 17) for head in program["HEADS"]
            }
            counted.append(
                {
                    h: program["saved_bytes"](model, step, bf16=way != "float32")
                    for h, step in steps.items()
                }
            )
    fake, real = counted
    assert fake["labels"] == real["labels"] > 0
    # in bf16 the masked-LM head's norm keeps its means and deviations in float32 on a CPU, and the
    # fake one in bf16
    extra = 0 if way == "float32" else 2 * 2 * int(program["MASKED"] * 3 * 17)
    assert fake["mlm"] + extra == real["mlm"]


@pytest.mark.parametrize("family", ["xlm-r", "xlm-r-xl"])
def test_a_flat_step_keeps_what_the_plan_says(program, tokenizer_of, family):
    """On the CPU a flat step also keeps a copy of each layer's attention output, where it joins its
    sequences.
    """
    config, count, length = tiny(family, tokenizer_of), 4, 11
    model = program["make"](config, device="cpu")
    planned = program["saved_bytes"](
        model, partial(program["step"], model, "mlm", count, length), bf16=False
    )
    flat = program["make"](config, device="cpu")
    flat.set_padding_free("auto")
    assert flat.padding_free
    masked = torch.arange(int(program["MASKED"] * count * length))
    batch = {
        "input_ids": torch.full((count * length,), 5),
        "position_ids": torch.arange(length).repeat(count),
        "lengths": torch.full((count,), length),
        "longest": length,
        "masked_positions": masked,
        "labels": torch.zeros_like(masked),
        "head": "mlm",
    }
    real = program["saved_bytes"](flat, lambda: flat(**batch).loss, bf16=False)
    copies = config.num_hidden_layers * count * length * config.hidden_size * 4
    # a few integers a batch besides: where sequences begin, and which token is whose
    assert real == pytest.approx(planned + copies, rel=0.01)


@pytest.mark.parametrize("lora", [False, True])
def test_weights_gradients_and_optimizer_are_those_of_a_real_step(program, tokenizer_of, lora):
    config = tiny("xlm-r", tokenizer_of)
    planned = program["need"](program["make"](config, lora=lora), "bf16", 16)
    model = program["make"](config, lora=lora, device="cpu")
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained)
    with torch.autocast("cpu", torch.bfloat16):
        sum(program["step"](model, head, 4, 16) for head in program["HEADS"]).backward()
    optimizer.step()
    states = [
        value
        for state in optimizer.state.values()
        for name, value in state.items()
        if name != "step"
    ]
    assert planned.weights == sum(parameter.nbytes for parameter in model.parameters())
    assert planned.gradients == sum(parameter.grad.nbytes for parameter in trained)
    assert planned.optimizer == sum(state.nbytes for state in states)
    assert (planned.adapters > 0) == lora
    if lora:
        frozen = {
            parameter.dtype
            for parameter in model.encoder.parameters()
            if not parameter.requires_grad
        }
        assert frozen == {torch.bfloat16} and {parameter.dtype for parameter in trained} == {
            torch.float32
        }


def test_configs_are_the_public_ones(program):
    """The counts that transformers' own models have, without the pooler that jiantx leaves out."""
    sizes = {}
    for name in ("xlm-roberta-base", "xlm-roberta-xxl", "mt5-xxl"):
        config = AutoConfig.for_model(**program["ENCODERS"][name])
        sizes[name] = program["make"](config).encoder.num_parameters()
    assert sizes["xlm-roberta-base"] == 278_043_648 - 768 * 769
    assert 4 * sizes["xlm-roberta-xxl"] == pytest.approx(
        42.9e9, rel=0.01
    )  # the published file, in float32
    assert (
        sizes["mt5-xxl"]
        == 250_112 * 4096 + 24 * (4 * 4096**2 + 3 * 4096 * 10240 + 2 * 4096) + 32 * 64 + 4096
    )


@pytest.mark.slow
def test_the_program_plans_a_folder(monkeypatch, capsys, encoder_folder):
    folder = str(encoder_folder("xlm-r"))
    arguments = [
        "--encoders",
        folder,
        "--tokens",
        "64",
        "--length",
        "16",
        "--tflops",
        "1e-6",
        "--train-tokens",
        "1e4",
    ]
    monkeypatch.setattr(sys, "argv", ["plan_memory.py", *arguments])
    runpy.run_path(str(EXAMPLES / "plan_memory.py"), run_name="__main__")
    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if line.startswith(f"| {folder}")]
    assert len(lines) == 1 + 4 + 1 + 1
    assert "24 GB" in printed and "at an assumed 1e-06 TFLOP/s" in printed
    hours = 6 * jx.experiments.parameter_count(folder) * 1e4 / 1e6 / 3600
    assert f"| {folder} | {hours:,.2f} | {hours * 8 / 6:,.2f} | {hours / 8:,.2f} |" in printed


@pytest.mark.slow
def test_the_page_shows_what_the_program_prints(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["plan_memory.py", "--encoders", "xlm-roberta-base"])
    runpy.run_path(str(EXAMPLES / "plan_memory.py"), run_name="__main__")
    page = (EXAMPLES.parent / "docs" / "distributed.md").read_text(encoding="utf-8")
    printed = [line for line in capsys.readouterr().out.splitlines() if line]
    assert len(printed) > 10 and [line for line in printed if line not in page] == []


def test_what_fits(program):
    gib = 2**30
    assert [program["smallest"](size * gib) for size in (1, 21.5, 22, 71, 73)] == [
        *("24 GB", "24 GB", "40 GB"),
        *("80 GB", "none"),
    ]


@pytest.mark.slow
def test_adapters_come_back(world, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(
        sys, "argv", ["lora.py", "--max-steps", "4", "--rank", "4", "--output", str(tmp_path)]
    )
    runpy.run_path(str(EXAMPLES / "lora.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert "scores: True" in printed and "trainable params" in printed
    small, full = (
        tmp_path / name for name in ("adapter_model.safetensors", "merged/model.safetensors")
    )
    assert 0 < 5 * small.stat().st_size < full.stat().st_size
    merged = jx.MultitaskModel.from_pretrained(tmp_path / "merged")
    assert not any("lora" in name for name in merged.state_dict()) and set(merged.heads) == {
        "udpos",
        "pawsx",
    }


def test_checkpointed_layers_draw_the_same_dropout(program, tokenizer_of):
    """accelerate's own checkpointing, `fsdp_config={"activation_checkpointing": True}`, does not."""
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = program["make"](tiny("xlm-r", tokenizer_of), device="cpu")
        if checkpointing:
            model.activation_checkpointing_enable()
        torch.manual_seed(1)
        program["step"](model, "labels", 4, 16).backward()
        gradients.append(
            {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        )
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=0, rtol=0)


@pytest.mark.slow
def test_masked_lm_goes_on_and_is_watched(world, monkeypatch, tmp_path, capsys):
    """The folder that it writes is an encoder; a second call trains no step again."""
    flags = "--head_steps 2 --max_steps 2 --watch_steps 1 --batch_size 4 --layers 1 2 --languages de".split()
    command = ["continue_masked_lm.py", *flags, "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", command)
    runpy.run_path(str(EXAMPLES / "continue_masked_lm.py"), run_name="__main__")
    first = capsys.readouterr().out
    assert "pieces remain" in first
    assert [line for line in first.splitlines() if line.startswith("step 2: tatoeba, layer 1: ")]
    weights = tmp_path / "encoder" / "model.safetensors"
    before = weights.read_bytes()
    runpy.run_path(str(EXAMPLES / "continue_masked_lm.py"), run_name="__main__")
    assert weights.read_bytes() == before
    config = AutoConfig.from_pretrained(tmp_path / "encoder")
    assert config.model_type == "xlm-roberta", "a plain encoder, for every program"
    model = jx.MultitaskModel.from_pretrained(tmp_path / "encoder", ["tatoeba"])
    assert 0 <= jx.evaluate(model, ["tatoeba"], languages=["de"]).mean() <= 100
