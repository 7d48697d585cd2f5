"""The operators that a model may be made of: plain arithmetic, which every onnxruntime since 1.13 has.

None of them reads a file, runs code or loops.
"""

# By domain; "" is ONNX itself.
OPERATORS: dict[str, frozenset[str]] = {
    "": frozenset(
        {
            *("Add", "ArgMax", "Atan", "BatchNormalization", "Cast", "Concat", "Cos", "CumSum", "Elu", "Equal"),
            *("Flatten", "Gather", "Gemm", "IsNaN", "LeakyRelu", "LessOrEqual", "MatMul", "Max", "Mean", "Min", "Mul"),
            *("ReduceMin", "ReduceSum", "Relu", "Selu", "Sigmoid", "Sin", "Slice", "Softmax", "Sub", "Tanh", "TopK"),
            *("Unsqueeze", "Where"),
        }
    ),
    "ai.onnx.ml": frozenset({"LabelEncoder"}),
}

# What models of earlier versions of Evenkeel hold besides, which are served on.
EARLIER: dict[str, frozenset[str]] = {
    "": frozenset({"Div", "Sqrt"}),
    "ai.onnx.ml": frozenset({"OneHotEncoder"}),
}

# The versions of these operators, and of the file format, that mean the same to every such onnxruntime.
OPSETS: dict[str, range] = {"": range(13, 18), "ai.onnx.ml": range(2, 4)}
IR_VERSIONS = range(7, 9)
