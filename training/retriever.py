"""Tune a retriever on pairs of a question and the text that answers it.

    tune_encoder(folder_of_the_model, train, held_out, output, recipe)   # LoRA or all weights
    tune_static(table, tokenizer_json, train, recipe)                    # static token vectors

Both learn with in-batch negatives (Henderson et al. 2017, https://arxiv.org/abs/1705.00652): of all
the answers in a batch, a question has to prefer its own. A batch draws on few repositories, so that
most of the others are close ones (topic-aware batches, Hofstätter et al. 2021,
https://arxiv.org/abs/2104.06967).
"""

from __future__ import annotations

import ctypes
import json
import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.hardware import device_kind, precision
from training.hugging_face import is_at_hand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

Texts = tuple[str, str]  # a question and its answer
ADAPTER, WEIGHTS, MODEL = "adapter.safetensors", "model.safetensors", "model"
UNUSED = r".*pooler.*"  # of a BERT: its sentence vectors are means of token vectors
TRIM_EVERY = 5  # steps; each time costs the next step a little
RUN = 64  # pairs of one group that stand together
PART = 12  # texts of a batch that run through the model together
CHECKPOINTS = 4  # a run saves itself and is scored this often


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How an encoder is tuned; the defaults are what the shipped adapter was made with."""

    epochs: float = 1
    batch: int = 48
    max_tokens: int = 128
    rank: int = 32  # of the LoRA matrices; 0 trains all weights
    learning_rate: float = 1e-3  # of LoRA; all weights want 5e-5
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticRecipe:
    """How static vectors are tuned."""

    epochs: int = 4
    batch: int = 512
    learning_rate: float = 2e-3
    scale: float = 20.0  # of the cosine before the softmax
    seed: int = 0


def tune_encoder(
    source: str | Path,
    train: Sequence[Texts],
    held_out: Sequence[Texts],
    output: Path,
    recipe: Recipe,
    *,
    groups: Sequence[str] = (),
    start: Path | None = None,
    whole: bool = False,
    on_step: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Tune the sentence-transformers model ``source``; returns the held-out scores.

    ``output`` gets ``adapter.safetensors`` (float16, with rank and alpha as metadata); where
    ``recipe.rank`` is 0, or ``whole`` asks for it, it gets the folder ``model`` with the adapter
    merged. Checkpoints lie beside it: a killed run goes on from the last.

    Args:
        source: The model's folder, or its id.
        train: What is learned.
        held_out: What early stopping and the choice of the best checkpoint go by.
        output: Is made if it is not there.
        recipe: How.
        groups: One for each pair of ``train``, as its repository; none: all are of one.
        start: An adapter of the same rank to go on from.
        whole: Write the model, not the adapter alone.
        on_step: Called with the steps done and all steps.

    Raises:
        ValueError: the model is no transformer, or one that LoRA cannot be put on, or there is
            nothing to train or to score on.
    """
    if len(train) < recipe.batch or not held_out:
        raise ValueError(
            f"{len(train)} pairs to train on and {len(held_out)} held out: at least one batch of "
            f"{recipe.batch} and one pair are needed"
        )
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainingArguments
    from transformers import EarlyStoppingCallback
    from transformers.trainer_callback import PrinterCallback
    from transformers.trainer_utils import get_last_checkpoint

    model = SentenceTransformer(str(source), local_files_only=is_at_hand(str(source)))
    if not hasattr(model[0], "auto_model"):
        raise ValueError(
            f"{source} is no transformer: it cannot take LoRA, and all its weights cannot be tuned "
            "here either; tune the fast tier alone"
        )
    if recipe.rank:
        _add_lora(model, source, recipe, start)
    _without_dropout(model)
    model.max_seq_length = recipe.max_tokens
    steps = max(1, int(recipe.epochs * len(train) / recipe.batch) // CHECKPOINTS)
    checkpoints = output / "checkpoints"
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch,
        learning_rate=recipe.learning_rate,
        warmup_steps=0.1,
        seed=recipe.seed,
        eval_strategy="steps",
        save_strategy="steps",
        eval_steps=steps,
        save_steps=steps,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_held_out_cosine_mrr@10",
        logging_steps=10,
        report_to="none",
        disable_tqdm=True,
        **_precision(),
    )
    trainer = _trainer(groups or [""] * len(train))(
        model=model,
        args=arguments,
        train_dataset=_dataset(train),
        loss=_loss(model),
        evaluator=_evaluator(held_out),
        callbacks=[EarlyStoppingCallback(early_stopping_patience=2)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_steps_callback(on_step))
    last = get_last_checkpoint(str(checkpoints)) if checkpoints.is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    found = trainer.evaluate()  # its seconds and its speed too, which differ from run to run
    scores = {name: float(value) for name, value in found.items() if "held_out" in name}
    if recipe.rank and not whole:
        _save_adapter(model, output / ADAPTER, recipe)
    else:
        _save_model(model, source, output / MODEL)
    return scores


def tune_static(
    table: npt.NDArray[np.float32],
    tokenizer_json: str,
    train: Sequence[Texts],
    recipe: StaticRecipe,
    *,
    groups: Sequence[str] = (),
) -> npt.NDArray[np.float32]:
    """Tune a table of token vectors, shape (vocabulary, dimension); a text is their mean.

    The texts must be prepared as the encoder that will use the table prepares its own. ``groups``
    has one for each pair, as its repository; none: all are of one.
    """
    import torch
    from tokenizers import Tokenizer

    torch.manual_seed(recipe.seed)
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.no_padding()
    tokenizer.enable_truncation(512)
    sides = [
        [e.ids or [0] for e in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]
        for texts in zip(*train, strict=True)
    ]
    bag = torch.nn.EmbeddingBag.from_pretrained(torch.tensor(table), freeze=False, mode="mean")
    optimizer = torch.optim.Adam(bag.parameters(), lr=recipe.learning_rate)
    for epoch in range(recipe.epochs):
        rows = shuffled(groups or [""] * len(train), recipe.seed + epoch)
        for at in range(0, len(rows) - 1, recipe.batch):
            batch = rows[at : at + recipe.batch]
            questions, answers = (_bag(bag, [side[i] for i in batch]) for side in sides)
            scores = recipe.scale * questions @ answers.T
            loss = torch.nn.functional.cross_entropy(scores, torch.arange(len(batch)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return np.asarray(bag.weight.detach().numpy(), dtype=np.float32)


def shuffled(groups: Sequence[str], seed: int) -> list[int]:
    """Numbers of all rows in random order, but those of a group in runs of ``RUN``."""
    rng = random.Random(seed)
    members: defaultdict[str, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[group].append(row)
    runs = []
    for rows in members.values():
        rng.shuffle(rows)
        runs += [rows[at : at + RUN] for at in range(0, len(rows), RUN)]
    rng.shuffle(runs)
    return [row for run in runs for row in run]


def _bag(bag: Any, ids: list[list[int]]) -> Any:
    import torch

    offsets = np.cumsum([0, *map(len, ids[:-1])])
    flat = torch.tensor([token for row in ids for token in row])
    return torch.nn.functional.normalize(bag(flat, torch.tensor(offsets)))


def _without_dropout(model: Any) -> None:
    """An epoch is too short to overfit, and dropout takes a third of the time and of the memory."""
    for module in model.modules():
        if hasattr(module, "p") and type(module).__name__ == "Dropout":
            module.p = 0.0
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.0


def _add_lora(model: Any, source: str | Path, recipe: Recipe, start: Path | None) -> None:
    from peft import LoraConfig, TaskType, set_peft_model_state_dict
    from safetensors.torch import load_file

    config = LoraConfig(
        task_type=TaskType.FEATURE_EXTRACTION,
        r=recipe.rank,
        lora_alpha=2 * recipe.rank,
        lora_dropout=0.0,
        target_modules="all-linear",
        exclude_modules=UNUSED,
    )
    try:
        model.add_adapter(config)
    except ValueError as error:
        raise ValueError(f"{source} cannot take LoRA: {error}; tune all its weights") from error
    if start:
        weights = {name: value.float() for name, value in load_file(start).items()}
        set_peft_model_state_dict(model[0].auto_model, weights)


def _save_adapter(model: Any, path: Path, recipe: Recipe) -> None:
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    weights = get_peft_model_state_dict(model[0].auto_model)
    halves = {name: weight.detach().half().contiguous() for name, weight in weights.items()}
    settings = {"rank": recipe.rank, "alpha": 2 * recipe.rank}
    save_file(halves, path, metadata={"lora": json.dumps(settings)})


def _save_model(model: Any, source: str | Path, path: Path) -> None:
    """Write a copy of ``source`` with the tuned weights; adapters are merged."""
    from sentence_transformers import SentenceTransformer

    whole = SentenceTransformer(str(source), device="cpu")
    weights = {
        name.replace(".base_layer.", "."): value.detach().cpu()
        for name, value in model[0].auto_model.state_dict().items()
        if ".lora_" not in name
    }
    for name, module in model[0].auto_model.named_modules():
        if hasattr(module, "get_delta_weight"):
            weights[f"{name}.weight"] = (
                weights[f"{name}.weight"] + module.get_delta_weight("default").detach().cpu()
            )
    whole[0].auto_model.load_state_dict(weights)
    whole.save_pretrained(str(path))


def _steps_callback(on_step: Callable[[int, int], None] | None) -> Any:
    from transformers import TrainerCallback

    class Steps(TrainerCallback):  # type: ignore[misc]
        """Hands the trainer's steps on, and freed memory back: glibc keeps it, in pieces."""

        def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
            if state.global_step % TRIM_EVERY == 0:
                trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
                if trim:
                    trim(0)
            if on_step:
                on_step(state.global_step, state.max_steps)

    return Steps()


def _precision() -> dict[str, bool]:
    return {"use_cpu": device_kind() == "cpu", "bf16": precision() == "bf16"}


def _trainer(groups: Sequence[str]) -> Any:
    """The class of a trainer whose batches are :func:`shuffled` rows."""
    from sentence_transformers import SentenceTransformerTrainer
    from sentence_transformers.base.sampler import DefaultBatchSampler

    class Batches(DefaultBatchSampler):  # type: ignore[misc]
        """The trainer says which epoch it is."""

        def __iter__(self) -> Iterator[list[int]]:
            rows = shuffled(groups, self.seed + self.epoch)
            for at in range(0, len(rows), self.batch_size):
                yield rows[at : at + self.batch_size]

    class Trainer(SentenceTransformerTrainer):  # type: ignore[misc]
        """A sampler in the arguments would be pickled with each checkpoint."""

        def get_batch_sampler(self, dataset: Any, *_: Any, **options: Any) -> Any:
            return Batches(dataset, **options)

    return Trainer


def _loss(model: Any) -> Any:
    """In-batch negatives; texts of like length run together, for padding costs what text costs."""
    import torch
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    def embed(features: dict[str, Any]) -> Any:
        lengths = features["attention_mask"].sum(dim=1)
        if not features["attention_mask"][:, 0].all():  # padded on the left
            return model(features)["sentence_embedding"]
        order = lengths.argsort()
        parts = []
        for rows in order.split(PART):
            longest = int(lengths[rows].max())
            part = {
                name: value[rows, :longest]
                for name, value in features.items()
                if getattr(value, "ndim", 0) == 2
            }
            parts.append(model(part)["sentence_embedding"])
        return torch.cat(parts)[order.argsort()]

    class Loss(MultipleNegativesRankingLoss):  # type: ignore[misc]
        def forward(self, features: Any, labels: Any) -> Any:
            return self.compute_loss_from_embeddings([embed(f) for f in features], labels)

    return Loss(model)


def _dataset(pairs: Sequence[Texts]) -> Any:
    from datasets import Dataset

    questions, answers = zip(*pairs, strict=True)
    return Dataset.from_dict({"query": list(questions), "document": list(answers)})


def _evaluator(pairs: Sequence[Texts]) -> Any:
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

    ids = [str(i) for i in range(len(pairs))]
    return InformationRetrievalEvaluator(
        queries=dict(zip(ids, (question for question, _ in pairs), strict=True)),
        corpus=dict(zip(ids, (answer for _, answer in pairs), strict=True)),
        relevant_docs={id_: {id_} for id_ in ids},
        name="held_out",
        show_progress_bar=False,
    )
