"""The register of data sets: files, official addresses, checksums, licences.

The checksums of MNIST, Fashion-MNIST, KMNIST, EMNIST, CIFAR-10 and Omniglot are those that
TensorFlow Datasets publishes (`url_checksums/`); those of USPS are torchvision's.
"""

import string
from dataclasses import dataclass

from hebbax._errors import check_choice


@dataclass(frozen=True)
class File:
    """One file: its name and, where there is an official copy, its address, checksum and bytes."""

    name: str
    url: str | None = None
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class FileLayout:
    """One form a data set comes in: the files it needs, and the name of their reader."""

    reader: str
    files: tuple[File, ...]


@dataclass(frozen=True)
class Source:
    """All that is known of a data set before its files are opened."""

    name: str
    title: str
    description: str
    class_names: tuple[str, ...]
    shape: tuple[int, ...]
    homepage: str
    licence: str
    citation: str
    rows: tuple[int, int] = (0, 0)
    """The most examples of the training and of the test part; all in the first if not split."""
    layouts: tuple[FileLayout, ...] = ()
    """In order of preference; empty for the sets that scikit-learn bundles."""
    folders: tuple[str, ...] = ()
    """Names of the folders that may hold the files, the first being where downloads go."""
    download: FileLayout | None = None
    """The layout that can be downloaded, if any."""


_IDX_NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_DIGITS = tuple(string.digits)
_UPPER = tuple(string.ascii_uppercase)


def _idx(base: str, sums: tuple[tuple[str, int], ...]) -> FileLayout:
    files = (
        File(name, base + name, sha256, size)
        for name, (sha256, size) in zip(_IDX_NAMES, sums, strict=True)
    )
    return FileLayout("idx", tuple(files))


_MNIST = _idx(
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    (
        ("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", 9_912_422),
        ("3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28_881),
        ("8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", 1_648_877),
        ("f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4_542),
    ),
)
_FASHION = _idx(
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    (
        ("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26_421_880),
        ("a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29_515),
        ("346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4_422_102),
        ("67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5_148),
    ),
)
_KMNIST = _idx(
    "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    (
        ("51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4", 18_165_135),
        ("e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17", 29_497),
        ("edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5", 3_041_136),
        ("20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c", 5_120),
    ),
)
_EMNIST_ZIP = FileLayout(
    "emnist_zip",
    (
        File(
            "gzip.zip",
            "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/gzip.zip",
            "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
            561_753_746,
        ),
    ),
)
_USPS_BASE = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"
_USPS = FileLayout(
    "usps",
    (
        File(
            "usps.bz2",
            _USPS_BASE + "usps.bz2",
            "3771e9dd6ba685185f89867b6e249233dd74652389f263963b3b741e994b034f",
        ),
        File(
            "usps.t.bz2",
            _USPS_BASE + "usps.t.bz2",
            "a9c0164e797d60142a50604917f0baa604f326e9a689698763793fa5d12ffc4e",
        ),
    ),
)
_CIFAR = FileLayout(
    "cifar_binary",
    (
        File(
            "cifar-10-binary.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            170_052_171,
        ),
    ),
)
_OMNIGLOT_BASE = "https://github.com/brendenlake/omniglot/raw/master/python/"
_OMNIGLOT = FileLayout(
    "omniglot_zip",
    (
        File(
            "images_background.zip",
            _OMNIGLOT_BASE + "images_background.zip",
            "ad41ab679c8b5d90b271ef46be6987cc81211774a695c29dcc5367b2b26ee640",
            9_464_212,
        ),
        File(
            "images_evaluation.zip",
            _OMNIGLOT_BASE + "images_evaluation.zip",
            "1f61a8f3366785b057fc117d9228e78a16e3d976c8953b2a10fcc74cf0609cee",
            6_462_886,
        ),
    ),
)


def _emnist_files(split: str) -> FileLayout:
    names = (
        f"emnist-{split}-{part}-{kind}-ubyte.gz"
        for part in ("train", "test")
        for kind in ("images-idx3", "labels-idx1")
    )
    return FileLayout("emnist", tuple(File(name) for name in names))


def _emnist(
    name: str,
    split: str,
    title: str,
    description: str,
    classes: tuple[str, ...],
    rows: tuple[int, int],
) -> Source:
    folders = ("emnist", name) if name == f"emnist_{split}" else ("emnist", f"emnist_{split}", name)
    return Source(
        name=name,
        title=title,
        description=description,
        class_names=classes,
        shape=(28, 28),
        homepage="https://www.nist.gov/itl/products-and-services/emnist-dataset",
        licence="public domain (work of the United States government)",
        citation="Cohen, Afshar, Tapson, van Schaik: EMNIST (2017), arXiv:1702.05373",
        rows=rows,
        layouts=(_emnist_files(split), _EMNIST_ZIP),
        folders=folders,
        download=_EMNIST_ZIP,
    )


def _bundled(name: str, title: str, description: str, classes: tuple[str, ...], shape):
    return Source(
        name=name,
        title=title,
        description=description,
        class_names=classes,
        shape=shape,
        homepage="https://scikit-learn.org/stable/datasets/toy_dataset.html",
        licence="CC BY 4.0 (UCI Machine Learning Repository)",
        citation=f"UCI Machine Learning Repository, {title}; the copy in scikit-learn",
    )


def _stream(
    name: str, title: str, description: str, classes: tuple[str, ...], inputs: int, by: str
):
    """A stream whose rows drift, in the order of time, among those that Losing et al. collected."""
    return Source(
        name=name,
        title=title,
        description=f"{description}; rows in the order of time",
        class_names=classes,
        shape=(inputs,),
        homepage="https://github.com/vlosing/driftDatasets",
        licence="none stated",
        citation=f"{by}; collected by Losing, Hammer, Wersing (ICDM 2016)",
        layouts=(FileLayout("stream", (File(f"{name}.npz"),)),),
        folders=("streams", name),
    )


def _table(name: str, title: str, description: str, classes: tuple[str, ...], columns: int):
    """A table of the UCI repository with no official split."""
    return Source(
        name=name,
        title=title,
        description=description,
        class_names=classes,
        shape=(columns,),
        homepage="https://archive.ics.uci.edu",
        licence="CC BY 4.0 (UCI Machine Learning Repository)",
        citation=f"UCI Machine Learning Repository, {title}",
        layouts=(FileLayout("table", (File(f"{name}.npz"),)),),
        folders=("tabular", name),
    )


_ALL = (
    Source(
        name="mnist",
        title="MNIST",
        description="handwritten digits, 60,000 + 10,000",
        class_names=_DIGITS,
        shape=(28, 28),
        homepage="http://yann.lecun.com/exdb/mnist/",
        licence="none stated; commonly given as CC BY-SA 3.0",
        citation="LeCun, Bottou, Bengio, Haffner: Gradient-based learning (1998)",
        rows=(60_000, 10_000),
        layouts=(_MNIST,),
        folders=("mnist",),
        download=_MNIST,
    ),
    Source(
        name="fashion_mnist",
        title="Fashion-MNIST",
        description="pictures of clothing, 60,000 + 10,000",
        class_names=(
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        shape=(28, 28),
        homepage="https://github.com/zalandoresearch/fashion-mnist",
        licence="MIT",
        citation="Xiao, Rasul, Vollgraf: Fashion-MNIST (2017), arXiv:1708.07747",
        rows=(60_000, 10_000),
        layouts=(_FASHION,),
        folders=("fashion_mnist",),
        download=_FASHION,
    ),
    Source(
        name="kmnist",
        title="Kuzushiji-MNIST",
        description="handwritten Japanese characters, 60,000 + 10,000",
        class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        shape=(28, 28),
        homepage="http://codh.rois.ac.jp/kmnist/",
        licence="CC BY-SA 4.0",
        citation="Clanuwat et al.: Deep Learning for Classical Japanese Literature (2018)",
        rows=(60_000, 10_000),
        layouts=(_KMNIST,),
        folders=("kmnist",),
        download=_KMNIST,
    ),
    _emnist(
        "emnist_letters",
        "letters",
        "EMNIST Letters",
        "handwritten letters, both cases merged, 124,800 + 20,800",
        _UPPER,
        (124_800, 20_800),
    ),
    _emnist(
        "emnist_letters10",
        "letters",
        "EMNIST Letters A-J",
        "the first ten letters of EMNIST Letters, 48,000 + 8,000",
        _UPPER[:10],
        (124_800, 20_800),
    ),
    _emnist(
        "emnist_byclass",
        "byclass",
        "EMNIST ByClass",
        "handwritten digits and letters of both cases, 697,932 + 116,323",
        _DIGITS + _UPPER + tuple(string.ascii_lowercase),
        (697_932, 116_323),
    ),
    Source(
        name="az_letters",
        title="A-Z letters",
        description="handwritten capitals, a fixed split of the sample, one fifth for testing",
        class_names=_UPPER,
        shape=(28, 28),
        homepage="https://www.kaggle.com/datasets/ashishguptajiit/handwritten-az",
        licence="none stated",
        citation="handwritten A-Z (Kaggle), made from NIST Special Database 19",
        rows=(5_934, 0),
        layouts=(FileLayout("az_letters", (File("az_letters_28x28.npz"),)),),
        folders=("az_letters",),
    ),
    Source(
        name="usps",
        title="USPS",
        description="digits from envelopes, 7,291 + 2,007",
        class_names=_DIGITS,
        shape=(16, 16),
        homepage="https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass.html#usps",
        licence="none stated",
        citation="Hull: A database for handwritten text recognition research (1994)",
        rows=(7_291, 2_007),
        layouts=(_USPS,),
        folders=("usps",),
        download=_USPS,
    ),
    Source(
        name="omniglot",
        title="Omniglot",
        description="964 + 659 characters of 50 alphabets, each by 20 drawers",
        class_names=(),
        shape=(105, 105),
        homepage="https://github.com/brendenlake/omniglot",
        licence="MIT",
        citation="Lake, Salakhutdinov, Tenenbaum: Human-level concept learning (2015)",
        rows=(19_280, 13_180),
        layouts=(
            FileLayout("omniglot_npz", (File("omniglot_105_bits.npz"),)),
            _OMNIGLOT,
            FileLayout(
                "omniglot_zip",
                (
                    File("images_background_repacked.zip"),
                    File("images_evaluation_repacked.zip"),
                ),
            ),
        ),
        folders=("omniglot",),
        download=_OMNIGLOT,
    ),
    Source(
        name="cifar10",
        title="CIFAR-10",
        description="small colour photographs, 50,000 + 10,000; 16x16 if that file is there",
        class_names=(
            *("airplane", "automobile", "bird", "cat", "deer"),
            *("dog", "frog", "horse", "ship", "truck"),
        ),
        shape=(32, 32, 3),
        homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
        licence="none stated; cite the technical report",
        citation="Krizhevsky: Learning multiple layers of features from tiny images (2009)",
        rows=(50_000, 10_000),
        layouts=(FileLayout("cifar_npz", (File("cifar10_16x16.npz"),)), _CIFAR),
        folders=("cifar10",),
        download=_CIFAR,
    ),
    Source(
        name="tiny_imagenet",
        title="Tiny ImageNet",
        description="photographs of 200 classes at 16x16, 100 + 50 of each",
        # The names are in the file.
        class_names=tuple(map(str, range(200))),
        shape=(16, 16, 3),
        homepage="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        licence="non-commercial research and education only (ImageNet's terms)",
        citation="Stanford CS231n: Tiny ImageNet, a part of Deng et al.: ImageNet (2009)",
        rows=(20_000, 10_000),
        layouts=(FileLayout("tiny_imagenet", (File("tiny_imagenet_16x16.npz"),)),),
        folders=("tiny_imagenet",),
    ),
    Source(
        name="imdb",
        title="IMDB movie reviews",
        description="reviews, good or bad, as bags of 1,000 words; a fixed split by movies",
        class_names=("negative", "positive"),
        shape=(1000,),
        homepage="https://ai.stanford.edu/~amaas/data/sentiment/",
        licence="none stated; cite the paper",
        citation="Maas et al.: Learning Word Vectors for Sentiment Analysis (ACL 2011)",
        rows=(25_000, 0),
        layouts=(FileLayout("reviews", (File("imdb_train.jsonl.xz"),)),),
        folders=("imdb",),
    ),
    _bundled("digits", "Optical recognition of digits", "1,797 small digits", _DIGITS, (8, 8)),
    _bundled(
        "iris",
        "Iris",
        "150 flowers, four measurements",
        ("setosa", "versicolor", "virginica"),
        (4,),
    ),
    _bundled(
        "wine",
        "Wine recognition",
        "178 wines, thirteen measurements",
        ("class_0", "class_1", "class_2"),
        (13,),
    ),
    _bundled(
        "breast_cancer",
        "Breast cancer Wisconsin (diagnostic)",
        "569 tumours, thirty measurements",
        ("malignant", "benign"),
        (30,),
    ),
    _stream(
        "elec2",
        "Electricity",
        "prices in New South Wales that fall or rise, 45,312 half-hours",
        ("down", "up"),
        8,
        "Harries (1999), normalised as in MOA",
    ),
    _stream(
        "sea",
        "SEA concepts",
        "sums above a threshold that jumps, 50,000 rows, a tenth mislabelled",
        ("above", "below"),
        3,
        "Street and Kim (2001)",
    ),
    _stream(
        "keystroke",
        "Keystrokes",
        "who of four people types, 1,600 rows",
        tuple(map(str, range(4))),
        10,
        "Souza et al. (2015)",
    ),
    _stream(
        "interchanging_rbf",
        "Interchanging RBF",
        "fifteen Gaussians that exchange places, 50,000 rows",
        tuple(map(str, range(15))),
        2,
        "Losing, Hammer, Wersing (2016)",
    ),
    _table(
        "banknote_authentication",
        "Banknote authentication",
        "1,372 banknotes, genuine or forged",
        ("0", "1"),
        4,
    ),
    _table(
        "ecoli",
        "Ecoli",
        "336 proteins by where they are, eight places",
        ("cp", "im", "imL", "imS", "imU", "om", "omL", "pp"),
        7,
    ),
    _table("ionosphere", "Ionosphere", "351 radar returns, good or bad", ("b", "g"), 34),
    _table(
        "mammography",
        "Mammography",
        "11,183 spots in mammograms, 2 per cent of them calcifications",
        ("healthy", "calcified"),
        6,
    ),
    _table("phoneme", "Phoneme", "5,404 vowels, nasal or oral", ("0", "1"), 5),
    _table("pima_diabetes", "Pima Indians diabetes", "768 women, diabetic or not", ("0", "1"), 8),
    _table("sonar", "Sonar", "208 echoes of rocks or mines", ("M", "R"), 60),
    _table("wheat_seeds", "Seeds", "210 seeds of three kinds of wheat", ("1", "2", "3"), 7),
    _table(
        "winequality_red",
        "Wine quality (red)",
        "1,599 red wines in six unequal grades",
        ("3", "4", "5", "6", "7", "8"),
        11,
    ),
)
SOURCES: dict[str, Source] = {source.name: source for source in _ALL}


def names() -> tuple[str, ...]:
    """The names of all data sets `load` knows."""
    return tuple(SOURCES)


def source(name: str) -> Source:
    """The register's entry for `name`. **Raises:** `ValueError` if there is none."""
    check_choice("data set", name, SOURCES)
    return SOURCES[name]
