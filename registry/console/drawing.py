"""A workflow drawn as a graph, with where an execution of it stands. Pure; the page has the same as a table."""

from collections.abc import Mapping
from dataclasses import dataclass

from registry.console.formatting import Tone, shape_of, tone_of
from registry.engine.plan import Way, find_ways
from registry.workflows.ir import END, Workflow

MOST_NODES = 200
"""A larger graph is hard to read, and slow to draw in a browser: its table is shown alone."""

_WIDTH, _HEIGHT = 168, 46
_GAP_ACROSS, _GAP_DOWN = 28, 44
_MARGIN = 12
_SWEEPS = 4
_LONGEST_NAME = 20


@dataclass(frozen=True)
class Box:
    node_id: str
    name: str
    kind: str
    state: str
    shape: str
    tone: Tone
    x: float
    y: float
    width: int = _WIDTH
    height: int = _HEIGHT


@dataclass(frozen=True)
class Line:
    """A route, as the path of a curve."""

    path: str
    leads_back: bool
    label: str


@dataclass(frozen=True)
class Drawing:
    width: int
    height: int
    boxes: list[Box]
    lines: list[Line]


def draw_workflow(workflow: Workflow, states: Mapping[str, str]) -> Drawing | None:
    """Return the graph in layers, each node below all that lead to it; None for one with too many nodes."""
    if len(workflow.nodes) > MOST_NODES:
        return None
    ways = [way for way in find_ways(workflow) if way.route.target != END]
    layers = _order(_layers(workflow, ways), ways)
    widest = max(len(layer) for layer in layers)
    width = widest * _WIDTH + (widest - 1) * _GAP_ACROSS
    boxes: dict[str, Box] = {}
    for depth, layer in enumerate(layers):
        row = len(layer) * _WIDTH + (len(layer) - 1) * _GAP_ACROSS
        for place, node_id in enumerate(layer):
            x = _MARGIN + (width - row) / 2 + place * (_WIDTH + _GAP_ACROSS)
            y = _MARGIN + depth * (_HEIGHT + _GAP_DOWN)
            state = states.get(node_id, "not reached")
            kind = workflow.nodes[node_id].kind.type.replace("_", " ")
            boxes[node_id] = Box(node_id, _shortened(node_id), kind, state, shape_of(state), tone_of(state), x, y)
    lines = [_line(way, boxes[way.route.source], boxes[way.route.target]) for way in ways]
    height = len(layers) * _HEIGHT + (len(layers) - 1) * _GAP_DOWN
    # Room at the right for ways that lead back.
    room = 40 if any(line.leads_back for line in lines) else 0
    return Drawing(width + 2 * _MARGIN + room, height + 2 * _MARGIN, list(boxes.values()), lines)


def _layers(workflow: Workflow, ways: list[Way]) -> list[list[str]]:
    """Each node on the layer after the last of those that lead to it (longest path)."""
    onward: dict[str, list[str]] = {name: [] for name in workflow.nodes}
    open_ways = dict.fromkeys(workflow.nodes, 0)
    for way in ways:
        if not way.leads_back:
            onward[way.route.source].append(way.route.target)
            open_ways[way.route.target] += 1
    depth = dict.fromkeys(workflow.nodes, 0)
    ready = [name for name, count in open_ways.items() if not count]
    while ready:
        name = ready.pop()
        for target in onward[name]:
            depth[target] = max(depth[target], depth[name] + 1)
            open_ways[target] -= 1
            if not open_ways[target]:
                ready.append(target)
    layers: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for name, layer in depth.items():
        layers[layer].append(name)
    return layers


def _order(layers: list[list[str]], ways: list[Way]) -> list[list[str]]:
    """Nodes go where those are that they are joined to, so that fewer lines cross."""
    joined: dict[str, list[str]] = {}
    for way in ways:
        joined.setdefault(way.route.source, []).append(way.route.target)
        joined.setdefault(way.route.target, []).append(way.route.source)
    place = {name: (index + 0.5) / len(layer) for layer in layers for index, name in enumerate(layer)}
    for _ in range(_SWEEPS):
        for number, layer in enumerate(layers):
            middle = {
                name: sum(place[other] for other in joined.get(name, [name])) / len(joined.get(name, [name]))
                for name in layer
            }
            layers[number] = sorted(layer, key=middle.__getitem__)
            place |= {name: (index + 0.5) / len(layer) for index, name in enumerate(layers[number])}
    return layers


def _line(way: Way, source: Box, target: Box) -> Line:
    label = way.route.condition or ("" if way.route.when in ("completed", "branch") else way.route.when)
    if way.leads_back or target.y <= source.y:
        x1, y1 = source.x + source.width, source.y + source.height / 2
        x2, y2 = target.x + target.width, target.y + target.height / 2
        bow = max(x1, x2) + 32
        path = f"M{x1:.0f} {y1:.0f}C{bow:.0f} {y1:.0f} {bow:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"
        return Line(path, True, label)
    x1, y1 = source.x + source.width / 2, source.y + source.height
    x2, y2 = target.x + target.width / 2, target.y
    half = (y1 + y2) / 2
    return Line(f"M{x1:.0f} {y1:.0f}C{x1:.0f} {half:.0f} {x2:.0f} {half:.0f} {x2:.0f} {y2:.0f}", False, label)


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
