"""Files that say whether they are as they were written."""

import numpy as np
import pytest
from safetensors.numpy import load, save

from hebbax._files import check_digest, write_arrays


@pytest.mark.parametrize("text", ["plain", '"digest":"' + "0" * 64 + '"', "é \n"])
def test_any_flipped_bit_is_noticed(tmp_path, text):
    """Every single bit of the file, that of the digest's own name included."""
    arrays = {"a": np.arange(3, dtype=np.float32), "b": np.zeros((), np.int32)}
    write_arrays(tmp_path / "x", arrays, {"text": text})
    content = (tmp_path / "x").read_bytes()
    assert check_digest(content)
    np.testing.assert_array_equal(load(content)["a"], arrays["a"])
    for bit in range(64, 8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match="digest differs"):
            check_digest(bytes(damaged))


def test_files_of_others_have_no_digest():
    assert not check_digest(save({"a": np.ones(2)}, metadata={"digested": "no"}))
    assert not check_digest(b"")
