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


def test_times_keep_their_digits(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("".join(f"{1_700_000_000 + i},{i % 2}\n" for i in range(9)))
    x, _, _ = read_stream_file(file)
    assert len(np.unique(x)) == 9


def test_no_row_is_lost_to_a_mark_of_the_encoding(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("1,a\n2,b\n", encoding="utf-8-sig")
    assert len(read_stream_file(file)[0]) == 2


def test_bytes_that_are_no_text(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_bytes(b"1,\xff\n")
    with pytest.raises(ValueError, match="is no table of comma-separated values: 'utf-8'"):
        read_stream_file(file)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.eye(3) + 1j, [0, 1, 0], "neither numbers nor words"),
        (np.eye(3).astype(str), [0, 1, 0], "must hold real numbers; got <U32"),
        (np.eye(3) * 1e60, [0, 1, 0], "must be finite as float32"),
        (np.eye(3), [0, 1, np.nan], "a class y for each row; got NaN or infinity"),
        (np.eye(3), [0, 1], r"got \[2\] for 3 rows"),
        (np.ones(3), np.ones(3), r"must have two axes \[n, in\]; got the shape \(3,\)"),
    ],
)
def test_refused_npz(tmp_path, x, y, message):
    file = tmp_path / "rows.npz"
    np.savez(file, x=x, y=y)
    with pytest.raises(ValueError, match=message):
        read_stream_file(file)


def test_npz(tmp_path):
    file = tmp_path / "rows.npz"
    np.savez(file, x=np.eye(3), y=[5, 7, 5])
    x, y, names = read_stream_file(file)
    assert x.dtype == np.float64
    assert (y.tolist(), names) == ([0, 1, 0], ("5", "7"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,a\n1,b\n", "2 numbers and a class in each row; row 1"),
        ("1,2,a\n1,x,b\n", "row 1, counted from 0, does not"),
        ("1,2,a\n1,nan,b\n", "must be finite as float32; got nan in row 1, column 1"),
        ("1,2,a\n1,3,a\n", "at least two classes; got 1"),
        ("1,2,a\n1,1e60,b\n", "must be finite as float32; got inf in row 1, column 1"),
        ("1,2,a\n1,3,\n", "must hold a class in each row; row 1, counted from 0, has ''"),
        ("1,2,1\n1,3,nan\n", "must hold a class in each row; row 1, counted from 0, has 'nan'"),
        ('1,2,"a\n', "is no table of comma-separated values: unexpected end of data"),
        ("1,\0,a\n", "row 0, counted from 0, does not"),
        ("1," + 200_000 * "2" + ",a\n", "is no table of comma-separated values: field larger"),
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
