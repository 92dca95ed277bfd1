from dataclasses import replace

from bitfront.costs.memory import memory_traffic
from bitfront.graph.model import Graph, Operation, Parameter, Site, Value
from bitfront.space import FLOAT, Assignment

LINEAR = "seq_blocks.2"
NORM_TRAFFIC = 512 + 4 * 64 + 512
RELU_TRAFFIC = 512 + 512
LAST_RELU_TRAFFIC = 160 + 160


def _linear(reads: float, stored: float) -> float:
    return NORM_TRAFFIC + RELU_TRAFFIC + (reads + stored + 160) + LAST_RELU_TRAFFIC


def test_float_model_moves_every_tensor_once(jsc_tiny):
    assert memory_traffic()(jsc_tiny, FLOAT) == _linear(512, 340)


def test_inputs_move_elements_and_parameters_their_scales_too(jsc_tiny):
    assignment = Assignment.of({f"{LINEAR}:{role}": "int8" for role in ("input", "weight", "bias")})
    assert memory_traffic()(jsc_tiny, assignment) == _linear(128, 84 + 9)


def test_odd_bits_are_padded_to_bytes(jsc_tiny):
    last = Assignment.of({"seq_blocks.3:input": "q0.2", f"{LINEAR}:bias": "q0.2"})
    assert memory_traffic()(jsc_tiny, last) == _linear(512, 320 + 2) - 160 + 15


def _append(graph, *operations: Operation, sites: tuple[Site, ...] = ()):
    return replace(graph, operations=(*graph.operations, *operations), sites=(*graph.sites, *sites))


def _view(status) -> Operation:
    return Operation("view", "view", status, (Value("relu_1", (8, 5)),), (Value("view", (40,)),))


def test_views_move_nothing_and_unknown_operations_do(jsc_tiny):
    moved = memory_traffic()(jsc_tiny, FLOAT)
    assert memory_traffic()(_append(jsc_tiny, _view("fixed")), FLOAT) == moved
    assert memory_traffic()(_append(jsc_tiny, _view("unknown")), FLOAT) == moved + 320


def test_lookup_moves_its_table_without_arithmetic(jsc_tiny):
    table = Parameter("table", "weight", (10, 4))
    index, found = Value("index", (8,), bits=64), Value("found", (8, 4))
    lookup = Operation("table", "embedding", "fixed", (index,), (found,), (table,))
    assert memory_traffic()(_append(jsc_tiny, lookup), FLOAT) == _linear(512, 340) + 64 + 160 + 128


def test_tensor_given_twice_is_read_once_for_each_site(jsc_tiny):
    value, out = Value("relu_1", (8, 5)), Value("square", (8, 5))
    sites = (Site("mul", "input", "relu_1", (8, 5)), Site("mul", "other", "relu_1", (8, 5)))
    names = {site.role: site.name for site in sites}
    plain = Operation("mul", "mul", "fixed", (value, value), (out,), flops=40)
    before = memory_traffic()(jsc_tiny, FLOAT)
    assert memory_traffic()(_append(jsc_tiny, plain), FLOAT) == before + 320
    searchable = replace(plain, status="searchable", sites=names)
    graph = _append(jsc_tiny, searchable, sites=sites)
    assert memory_traffic()(graph, Assignment.of({"mul:other": "int8"})) == before + 160 + 40 + 160


def test_tied_weight_moves_for_each_of_its_readers(jsc_tiny):
    linear = jsc_tiny.operations[2]
    tied = replace(
        linear, name="tied", parameters=linear.parameters[:1], sites={"weight": f"{LINEAR}:weight"}
    )
    assignment = Assignment.of({f"{LINEAR}:weight": "int4"})
    once = memory_traffic()(jsc_tiny, assignment)
    assert memory_traffic()(_append(jsc_tiny, tied), assignment) == once + 512 + 44 + 160


def test_half_precision_model_moves_half(jsc_tiny):
    def halved(tensors):
        return tuple(replace(tensor, bits=16) for tensor in tensors)

    operations = tuple(
        replace(o, inputs=halved(o.inputs), outputs=halved(o.outputs), parameters=halved(o.parameters))
        for o in jsc_tiny.operations
    )
    graph = replace(jsc_tiny, operations=operations)
    assert memory_traffic()(graph, FLOAT) == _linear(512, 340) / 2


def test_an_embedding_moves_the_rows_that_it_looks_up():
    table = Parameter("table.weight", "weight", (1000, 4))
    site = Site("table", "weight", "table.weight", table.shape, 0, (1,))
    words, rows = Value("words", (2, 3), 64), Value("rows", (2, 3, 4))
    operation = Operation(
        "table", "embedding", "searchable", (words,), (rows,), (table,), {"weight": site.name}
    )
    graph = Graph("lookup", 2, (operation,), (site,), (table,), (words,), (rows,))
    assert memory_traffic()(graph, FLOAT) == 6 * 8 + 24 * 4 + 24 * 4
    assert memory_traffic()(graph, Assignment.of({"table:weight": "int4c"})) == 6 * 8 + 12 + 24 * 4
