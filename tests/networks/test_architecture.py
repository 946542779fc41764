import dataclasses

import pytest

from hebbax import networks
from hebbax.networks import Architecture, Conv, Dense, Local, Pool, Residual, Shape


def test_the_default_network_of_images_is_a_table():
    table = str(networks.cnn().bind(784, 10, (28, 28, 1))).splitlines()
    assert [line.split()[-3:] for line in table[2:5]] == [
        ["14x14x16", "144", "28,224"],
        ["7x7x32", "4,608", "225,792"],
        ["10", "15,680", "15,680"],
    ]
    assert table[-1].split() == ["total", "20,432", "269,696"]


def test_an_architecture_is_a_value():
    one, other = Architecture(Conv(4), 3), Architecture(Conv(4), Dense(3))
    assert one == other
    assert hash(one) == hash(other)
    assert one != Architecture(Conv(4), 4)
    assert str(one) == "convolution 4, 3x3, same; dense 3"
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.image = (1, 1, 1)
    assert networks.mlp(6, 5).units == (6, 5)
    assert one.units is None


def test_only_chains_of_dense_layers_are_chains():
    assert networks.mlp(6, 5).bind(4, 3, (2, 2, 1)).chain == (4, 6, 5, 3)
    assert networks.mlp().bind(4, 3).chain == (4, 3)
    assert Architecture(Conv(2), image=(2, 2, 1)).bind(4, 3).chain is None
    assert Architecture(4, Residual((4,))).bind(4, 3).chain is None


def test_a_residual_network_hears_from_two_layers():
    wiring = networks.resnet(4, 8).bind(128, 10, (8, 8, 2))
    assert wiring.shapes[1:] == (*[Shape(8, 8, 4)] * 3, *[Shape(4, 4, 8)] * 2, Shape(1, 1, 10))
    sources = [[c.source for c in layer.connections] for layer in wiring.layers]
    assert sources == [[0], [1], [2, 1], [3], [4, 3], [5]]
    assert [layer.senders for layer in wiring.layers] == [18, 36, 36, 36, 72 + 4, 8]
    assert [layer.places for layer in wiring.layers] == [64, 64, 64, 16, 16, 1]
    assert wiring.above(3) == [(3, 0), (4, 1)]
    assert wiring.layers[2].connections[1].block is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(0), "units of a Dense must be a whole number of at least 1; got 0"),
        (lambda: Conv(3, kernel=0), "kernel of a Conv must be a whole number of at least 1"),
        (lambda: Local(3, stride=(1, 2, 3)), r"stride of a Local .* got \(1, 2, 3\)"),
        (lambda: Conv(3, padding="full"), "padding of a Conv must be"),
        (lambda: Pool(stride=2), "stride must be None where size is"),
        (lambda: Residual((Conv(3), Pool(2))), "last block must be a layer"),
        (lambda: Residual((Conv(3),), (Conv(3), Pool())), "one layer at most, at its end"),
        (lambda: Architecture("dense"), "a network is built of Dense, Conv"),
        (lambda: Architecture(3, image=(2, 2)), "image must be a height, a width"),
        (lambda: networks.resnet(4, blocks=0), "blocks must be at least 1; got 0"),
        (lambda: networks.cnn().bind(784, 10), "needs to know which image the 784 numbers"),
        (lambda: networks.cnn(image=(9, 9, 1)).bind(80, 2), "has 81 numbers, but a row .* 80"),
        (lambda: Architecture(Conv(2), Conv(3, groups=3)).bind(4, 2, (2, 2, 1)), "multiples of"),
        (lambda: Architecture(Pool(3)).bind(4, 2, (2, 2, 1)), "does not fit into"),
        (
            lambda: Architecture(Conv(2, 3, 1, "valid")).bind(4, 2, (2, 2, 1)),
            "does not fit onto a layer of shape 2x2x1",
        ),
        (
            lambda: Architecture(Residual((Conv(2),))).bind(4, 2, (2, 2, 1)),
            "shape 2x2x1 cannot be added to .* of shape 2x2x2",
        ),
        (
            lambda: Architecture(Residual((Local(2),), (Conv(2, 1),))).bind(4, 2, (2, 2, 1)),
            "units of a channel share synapses",
        ),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
