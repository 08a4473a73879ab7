"""Inputs of ONNX graphs for columns of categories."""

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

__all__ = ["check_categories", "name_inputs"]

ML_OPSET = 3
"""Version of the operators of the domain "ai.onnx.ml"."""


def check_categories(name: Any, values: Sequence[Any] | None) -> None:
    """Refuse categories that a graph cannot encode.

    Parameters
    ----------
    name : object
        Name of the column.
    values : sequence or None
        Its categories; None for a numeric column.

    Raises
    ------
    ValueError
        If they are neither strings nor numbers, or numbers that single precision does
        not distinguish.
    """
    if values is None or all(isinstance(value, str) for value in values):
        return
    if not all(isinstance(value, Real) for value in values):
        kinds = sorted({type(value).__name__ for value in values})
        raise ValueError(
            f"The categories of column {name!r} are of the types {kinds}, but a graph "
            "takes strings or numbers. Convert the column to strings before fit."
        )
    if len(set(np.float32(values).tolist())) < len(values):
        raise ValueError(
            f"The categories of column {name!r} are numbers that single precision, "
            "which a graph uses for them, does not distinguish. Convert the column to "
            "strings before fit."
        )


def name_inputs(
    model: Any, names: Sequence[str], categories: Sequence[Sequence[Any] | None]
) -> None:
    """Replace the input "X" of a graph by one input for each column.

    Parameters
    ----------
    model : onnx.ModelProto
        It is changed. In its input "X", categories are represented by their codes.
    names : sequence of str
        Names of the columns, and of the new inputs.
    categories : sequence of (sequence or None)
        Categories of each column, in the order of their codes; None for numbers.
    """
    from onnx import TensorProto, helper

    graph = model.graph
    (rows,) = graph.input
    dtype = rows.type.tensor_type.elem_type
    used = {name for node in graph.node for name in (*node.input, *node.output)}
    nodes, inputs, columns = [], [], []
    for j, (name, values) in enumerate(zip(names, categories, strict=True)):
        if name in used or names.count(name) > 1:
            name = f"{name}_{j}"
        is_text = values is not None and all(isinstance(v, str) for v in values)
        kind = TensorProto.STRING if is_text else dtype
        inputs.append(helper.make_tensor_value_info(name, kind, ["n_rows", 1]))
        columns.append(name if values is None else f"code_of_column_{j}")
        if values is None:
            continue
        encoded = {
            "values_floats": [float(code) for code in range(len(values))],
            "default_float": float("nan"),
        }
        source = name
        if is_text:
            encoded["keys_strings"] = list(values)
        else:
            source = f"number_of_column_{j}"
            encoded["keys_floats"] = [float(value) for value in values]
            nodes.append(
                helper.make_node("Cast", [name], [source], to=TensorProto.FLOAT)
            )
        code = f"single_code_of_column_{j}"
        nodes += [
            helper.make_node(
                "LabelEncoder", [source], [code], domain="ai.onnx.ml", **encoded
            ),
            helper.make_node("Cast", [code], [columns[-1]], to=dtype),
        ]
    nodes.append(helper.make_node("Concat", columns, [rows.name], axis=1))
    graph.input.clear()
    graph.input.extend(inputs)
    old = list(graph.node)
    graph.node.clear()
    graph.node.extend([*nodes, *old])
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", ML_OPSET))
