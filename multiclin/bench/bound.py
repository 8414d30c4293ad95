"""What the hardware can do: the best rate of matrix products, measured while the others race.

Two bounds. That of the machine is the best rate seen, of large square products as a rule. That of
the model's shapes is what its linear layers could do with nothing between them: narrow matrices
keep a matrix unit waiting. In training each layer is three products (outputs, gradients of its
inputs, gradients of its weights).
"""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor, nn

from multiclin.bench.contestants import Run
from multiclin.bench.measures import Clock, device
from multiclin.bench.prediction import batches_of, recognizer_of, tokenized
from multiclin.bench.race import Figures, Task

Shape = tuple[int, int, int]
"""A product of (rows, inner) and (inner, columns)."""

SQUARES = {"cpu": (1024, 2048), "cuda": (4096, 8192)}
"""Rows of the square matrices."""

SPENT = 0.1
"""Seconds for which a shape is tried, three times at least; the best try counts."""


def matrix_peaks(task: Task) -> Run:
    """The bounds of a precision, in operations per second."""
    recognizer = recognizer_of(task)
    model = recognizer.model
    layers = linear_layers(model.tagger.encoder)
    documents = tokenized(model, task.documents())
    batches = batches_of(model, documents, recognizer.size)
    tokens = sum(int(one.mask.sum()) for one in batches)
    row = round(tokens / len(batches))
    step = round(task.batch * tokens / sum(map(len, batches)))
    squares = [Counter([(size, size, size)]) for size in SQUARES[device().type]]
    dtype = torch.bfloat16 if task.bf16 else torch.float32

    def run() -> Figures:
        shapes = {
            "prediction": rate(forward_products(layers, row), dtype),
            "training": rate(training_products(layers, step), dtype),
        }
        best = max(*shapes.values(), *(rate(one, dtype) for one in squares))
        return {"machine": best, **shapes}

    return run


def linear_layers(network: nn.Module) -> Counter[tuple[int, int]]:
    """Inputs and outputs of the linear layers, with their number."""
    layers = (one for one in network.modules() if isinstance(one, nn.Linear))
    return Counter((one.in_features, one.out_features) for one in layers)


def forward_products(layers: Counter[tuple[int, int]], tokens: int) -> Counter[Shape]:
    """The products of a forward pass over so many tokens, with their number."""
    return Counter({(tokens, ins, outs): number for (ins, outs), number in layers.items()})


def training_products(layers: Counter[tuple[int, int]], tokens: int) -> Counter[Shape]:
    """Those of a forward and a backward pass.

    Example:
        One layer from 2 to 3 at 5 tokens: outputs (5, 2, 3), gradients of the inputs (5, 3, 2), of
        the weights (3, 5, 2).
    """
    products = forward_products(layers, tokens)
    for (ins, outs), number in layers.items():
        products[tokens, outs, ins] += number
        products[outs, tokens, ins] += number
    return products


def rate(products: Counter[Shape], dtype: torch.dtype) -> float:
    """Operations per second of products that follow each other, each at its best."""
    operations = sum(
        2 * rows * inner * columns * n for (rows, inner, columns), n in products.items()
    )
    return operations / sum(best_seconds(shape, dtype) * n for shape, n in products.items())


def best_seconds(shape: Shape, dtype: torch.dtype) -> float:
    """Seconds of the fastest of several products of one shape."""
    rows, inner, columns = shape
    left, right = (
        torch.randn(size, device=device()).to(dtype) for size in ((rows, inner), (columns, inner))
    )
    everything, tries = Clock(), list[float]()
    with torch.no_grad():
        while len(tries) < 3 or everything.read()["seconds"] < SPENT:
            tries.append(seconds(left, right))
    return min(tries)


def seconds(left: Tensor, right: Tensor) -> float:
    """Seconds of one product, as a linear layer does it."""
    clock = Clock()
    nn.functional.linear(left, right)
    return clock.read()["seconds"]
