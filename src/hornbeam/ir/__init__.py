"""The intermediate representation: types, graph, primitives, tracing, verification, printing, evaluation."""
