import numpy as np
import pytest

from hebbax.data import read_stream_file


def test_csv(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("a,b,class\n1,2.5,up\n-3,4e1,down\n5,6,up\n")
    x, y, names = read_stream_file(file)
    np.testing.assert_array_equal(x, np.asarray([[1, 2.5], [-3, 40], [5, 6]], np.float32))
    assert (y.tolist(), names) == ([1, 0, 1], ("down", "up"))
    # Numbers are in the order of numbers, and there need be no header.
    file.write_text("1,10\n2,9\n")
    assert read_stream_file(str(file))[1].tolist() == [1, 0]


def test_npz(tmp_path):
    file = tmp_path / "rows.npz"
    np.savez(file, x=np.eye(3), y=[5, 7, 5])
    x, y, names = read_stream_file(file)
    assert x.dtype == np.float32
    assert (y.tolist(), names) == ([0, 1, 0], ("5", "7"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,a\n1,b\n", "2 numbers and a class in each row; row 1"),
        ("1,2,a\n1,x,b\n", "row 1, counted from 0, does not"),
        ("1,2,a\n1,nan,b\n", "not a finite number in row 1"),
        ("1,2,a\n1,3,a\n", "at least two classes; got 1"),
        ("a,b\n", "at least one feature and a class"),
    ],
)
def test_refused(tmp_path, text, message):
    file = tmp_path / "rows.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_stream_file(file)


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_stream_file(tmp_path / "rows.csv")
    with pytest.raises(ValueError, match=r"must end with \.npz or \.csv"):
        read_stream_file(tmp_path / "rows.txt")
    np.savez(tmp_path / "rows.npz", x=np.ones(3), y=np.ones(3))
    with pytest.raises(ValueError, match=r"got \[3\] and \[3\]"):
        read_stream_file(tmp_path / "rows.npz")
