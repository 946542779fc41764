"""What a compiled program asks of a device: kernels that are launched, and matrix products."""

import math
import re

_KERNELS = ("fusion", "custom-call", "dot", "convolution", "reduce", "scatter", "gather", "sort",
            "copy", "dynamic-update-slice", "dynamic-slice", "transpose")  # fmt: skip
_HEAD = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) .*\{$")
_CALLED = re.compile(r"(?:body|to_apply|calls)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}|true_computation=%?([\w.\-]+), "
                       r"false_computation=%?([\w.\-]+)")  # fmt: skip
_TRIPS = re.compile(r"known_trip_count[^\d]*(\d+)")


def launches(text):
    """Return about how many kernels a program launches, from the text of its compiled form.

    Of loops whose number of turns XLA does not know, one turn is counted, and of branches the
    longest.
    """
    bodies, entry, name = {}, None, None
    for line in text.splitlines():
        head = _HEAD.match(line)
        if head:
            name = head[1]
            bodies[name] = []
            entry = name if line.startswith("ENTRY") else entry
        elif name is not None and " = " in line:
            bodies[name].append(line)
    known = {}

    def count(name):
        if name not in known:
            known[name] = sum(map(of, bodies.get(name, ())))
        return known[name]

    def of(line):
        operation = re.search(r"[\]})] ([a-z][\w\-]*)\(", line)
        operation = operation[1] if operation else ""
        if operation == "while":
            trips = _TRIPS.search(line)
            return (int(trips[1]) if trips else 1) * count(_CALLED.search(line)[1])
        if operation == "call":
            return count(_CALLED.search(line)[1])
        if operation == "conditional":
            found = _BRANCHES.search(line)
            names = re.findall(r"[\w.\-]+", found[1]) if found[1] else found.groups()[1:]
            return max(count(each) for each in names)
        return operation in _KERNELS

    return count(entry)


def product_flops(function, *arguments):
    """Return the floating-point operations of all matrix products of a function, loops unrolled."""
    import jax

    def of_equation(equation):
        total, inside = 0, 0
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            inner = math.prod(left[axis] for axis in contracted)
            total = 2 * inner * math.prod(equation.outvars[0].aval.shape)
        for value in equation.params.values():
            for each in value if isinstance(value, tuple | list) else (value,):
                each = getattr(each, "jaxpr", each)
                inside += sum(map(of_equation, getattr(each, "eqns", ())))
        return total + inside * equation.params.get("length", 1)

    return sum(map(of_equation, jax.make_jaxpr(function)(*arguments).jaxpr.eqns))
