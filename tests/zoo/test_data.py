"""The zoo's data: splits, the files that `jets` reads, and the errors it gives."""

import sys
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import sklearn.datasets
import torch
from sklearn.utils import Bunch

from bitfront import zoo
from bitfront.errors import DataError
from bitfront.zoo.splits import make_splits

# 30 jets, 6 of each class in turn. Feature number f of jet j is (f + 1) * j modulo 31 (a prime): all jets
# differ, and every feature puts them in an order of its own, so that a mixed-up column shows.
JETS = 30
JET_X = np.arange(JETS)[:, None] * np.arange(1, 17)[None] % 31 * 1.0
JET_Y = np.arange(JETS) % 5


def rows(splits: zoo.Splits, *names: str) -> list[tuple[float, ...]]:
    return [tuple(row) for name in names for row in splits[name][0].flatten(1).tolist()]


def same(one: zoo.Splits, other: zoo.Splits) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(one[name][0], other[name][0]) and torch.equal(one[name][1], other[name][1])
        for name in one
    )


@pytest.mark.parametrize("factory", [zoo.digits, zoo.jets_synthetic])
def test_splits_are_disjoint_and_follow_the_seed(factory: Callable[..., zoo.Splits]) -> None:
    splits = factory()
    assert list(splits) == ["train", "calibration", "search", "test"]
    everything = rows(splits, "train", "search", "test")
    assert len(set(everything)) == len(everything)
    assert rows(splits, "calibration") == rows(splits, "train")[:1024]
    for x, y in splits.values():
        assert (x.dtype, y.dtype, len(x)) == (torch.float32, torch.int64, len(y))
        assert x.device.type == y.device.type == "cpu"
    assert same(splits, factory(seed=0))
    assert not same(splits, factory(seed=1))


def test_digits() -> None:
    splits = zoo.digits()
    sizes = {name: len(y) for name, (_, y) in splits.items()}
    assert sizes["train"] + sizes["search"] + sizes["test"] == 1797
    _, labels = sklearn.datasets.load_digits(return_X_y=True)
    counts = np.bincount(labels)
    for name, share in (("train", 0.5), ("search", 0.25), ("test", 0.25)):
        x, y = splits[name]
        assert x.shape[1:] == (1, 8, 8)
        assert (x.min(), x.max()) == (0.0, 1.0)
        assert np.abs(np.bincount(y.numpy()) - share * counts).max() <= 1

    # the first image of scikit-learn's file is a zero whose top row is 0 0 5 13 9 1 0 0
    pixels = [0, 0, 5, 13, 9, 1, 0, 0]
    wanted = torch.tensor(pixels) / 16
    found = [y[(x[:, 0, 0] == wanted).all(dim=1)] for x, y in splits.values()]
    assert 0 in torch.cat(found)


def test_synthetic_jets_overlap_and_need_more_than_a_line() -> None:
    splits = zoo.jets_synthetic()
    assert {name: tuple(x.shape) for name, (x, _) in splits.items()} == {
        "train": (7200, 16),
        "calibration": (1024, 16),
        "search": (2400, 16),
        "test": (2400, 16),
    }
    assert torch.bincount(splits["test"][1]).tolist() == [480] * 5
    (train, labels), (test, truth) = splits["train"], splits["test"]
    torch.testing.assert_close(train.mean(dim=0), torch.zeros(16), atol=1e-5, rtol=0)
    torch.testing.assert_close(train.std(dim=0, correction=0), torch.ones(16), atol=1e-4, rtol=0)

    def least_squares(expand: Callable[[torch.Tensor], torch.Tensor]) -> float:
        solution = torch.linalg.lstsq(expand(train), torch.eye(5)[labels]).solution
        return ((expand(test) @ solution).argmax(dim=1) == truth).float().mean().item()

    projection = torch.randn(17, 400, generator=torch.Generator().manual_seed(0))

    def linear(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, torch.ones(len(x), 1)], dim=1)

    def rectified(x: torch.Tensor) -> torch.Tensor:
        return torch.relu(linear(x) @ projection)

    assert 0.4 < least_squares(linear) < 0.66
    assert 0.72 < least_squares(rectified) < 0.82


def test_synthetic_jets_are_drawn_anew_by_the_seed() -> None:
    def first_feature(seed: int) -> torch.Tensor:
        splits = zoo.jets_synthetic(50, seed)
        pooled = torch.cat([splits[name][0][:, 0] for name in ("train", "search", "test")]).sort().values
        return (pooled - pooled.mean()) / pooled.std()  # so that it no longer depends on the split

    torch.testing.assert_close(first_feature(0), first_feature(0))
    assert (first_feature(0) - first_feature(1)).abs().max() > 0.01


def test_synthetic_jets_have_a_smallest_size() -> None:
    assert {len(y) for _, y in zoo.jets_synthetic(25).values()} == {15, 5}
    with pytest.raises(DataError, match="at least 25 examples, not 24"):
        zoo.jets_synthetic(24)


def test_jets_keep_the_order_of_mase() -> None:
    assert " ".join(zoo.JET_FEATURES).replace("_mmdt", "") == (
        "j_zlogz j_c1_b0 j_c1_b1 j_c1_b2 j_c2_b1 j_c2_b2 j_d2_b1 j_d2_b2 j_d2_a1_b1 j_d2_a1_b2 "
        "j_m2_b1 j_m2_b2 j_n2_b1 j_n2_b2 j_mass j_multiplicity"
    )
    assert zoo.JET_CLASSES == ("j_g", "j_q", "j_w", "j_z", "j_t")


def columns() -> dict[str, np.ndarray]:
    """All the columns of the real files that `jets` needs, and two that it doesn't, in another order."""
    named = {"j_undef": np.zeros(JETS)}
    named |= {name: np.eye(5)[JET_Y, label] for label, name in enumerate(zoo.JET_CLASSES)}
    named |= {"j_pt": np.full(JETS, 1000.0)}
    return named | {name: JET_X[:, place] for place, name in reversed(list(enumerate(zoo.JET_FEATURES)))}


def write_table(path: Path, named: dict[str, np.ndarray]) -> Path:
    """MASE's layout: one structured dataset."""
    h5py = pytest.importorskip("h5py")
    table = np.zeros(len(next(iter(named.values()))), dtype=[(name, "f4") for name in named])
    for name, values in named.items():
        table[name] = values
    with h5py.File(path, "w") as file:
        file["t_allpar_new"] = table
    return path


def write_matrix(path: Path, named: dict[str, np.ndarray]) -> Path:
    """Zenodo's layout: a matrix and the names of its columns."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file["jets"] = np.stack(list(named.values()), axis=1)
        file["jetFeatureNames"] = np.array([name.encode() for name in named])
    return path


def write_npz(path: Path, x: np.ndarray = JET_X, y: np.ndarray = JET_Y) -> Path:
    np.savez(path, x=x, y=y)
    return path


def test_npz_is_standardised_by_its_training_split(tmp_path: Path) -> None:
    splits = zoo.jets(write_npz(tmp_path / "jets.npz"))
    # of the 6 jets of each class, those at (i + 0.5) / 6 < 0.2 are for test, those < 0.4 for search
    assert {name: len(y) for name, (_, y) in splits.items()} == {
        "train": 20,
        "calibration": 20,
        "search": 5,
        "test": 5,
    }
    train = splits["train"][0].double()
    torch.testing.assert_close(train.mean(dim=0), torch.zeros(16).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(train.std(dim=0, correction=0), torch.ones(16).double(), atol=1e-6, rtol=0)

    x = torch.cat([splits[name][0] for name in ("train", "search", "test")]).numpy()
    y = torch.cat([splits[name][1] for name in ("train", "search", "test")]).numpy()
    jet = np.argsort(np.argsort(x[:, 0]))  # feature 0 is the number of the jet
    assert (y == jet % 5).all()
    for place in range(16):  # a straight line takes every feature back to what was written
        slope, shift = np.polyfit(x[:, place], JET_X[jet, place], 1)
        np.testing.assert_allclose(slope * x[:, place] + shift, JET_X[jet, place], atol=1e-4)


def test_every_layout_gives_the_same_jets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = zoo.jets(str(write_npz(tmp_path / "jets.npz")), seed=3)
    named = columns()
    assert same(zoo.jets(write_table(tmp_path / "jets.h5", named), seed=3), expected)
    assert same(zoo.jets(write_table(tmp_path / "truth.z", named), seed=3), expected)
    assert same(zoo.jets(write_matrix(tmp_path / "zenodo.hdf5", named), seed=3), expected)

    folder = tmp_path / "folder"
    folder.mkdir()
    write_table(folder / "b.h5", {name: values[12:] for name, values in named.items()})
    write_matrix(folder / "a.hdf5", {name: values[:12] for name, values in named.items()})
    assert same(zoo.jets(folder, seed=3), expected)

    def fetch_openml(name: str, **settings: object) -> Bunch:
        assert name == "hls4ml_lhc_jets_hlf"
        features = [feature.removeprefix("j_") for feature in zoo.JET_FEATURES]
        return Bunch(data=JET_X, target=np.array(list("gqwzt"), dtype=object)[JET_Y], feature_names=features)

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch_openml)
    assert same(zoo.jets(download=True, seed=3), expected)


def test_repeated_jets_are_dropped(tmp_path: Path) -> None:
    once = zoo.jets(write_npz(tmp_path / "once.npz"))
    twice = zoo.jets(write_npz(tmp_path / "twice.npz", np.tile(JET_X, (2, 1)), np.tile(JET_Y, 2)))
    assert same(once, twice)


def test_no_source_names_every_way() -> None:
    with pytest.raises(DataError, match=r"(?s)\.h5.*\.npz.*download=True.*jets_synthetic"):
        zoo.jets()


def test_two_sources_are_one_too_many() -> None:
    with pytest.raises(DataError, match=r"some\.npz.*choose one"):
        zoo.jets("some.npz", download=True)


def test_a_failed_download_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch_openml(*_: object, **__: object) -> Bunch:
        raise URLError("no route to host")

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch_openml)
    with pytest.raises(DataError, match=r"OpenML: .*no route to host"):
        zoo.jets(download=True)


def test_missing_path_and_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file or folder .*gone\.h5"):
        zoo.jets(tmp_path / "gone.h5")
    with pytest.raises(DataError, match=r"has no \.h5 or \.hdf5 file"):
        zoo.jets(tmp_path)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    named = columns()
    del named["j_mass_mmdt"], named["j_t"]
    for write in (write_table, write_matrix):
        with pytest.raises(DataError, match=r"jets\.h5 lacks the columns j_mass_mmdt, j_t\.$"):
            zoo.jets(write(tmp_path / "jets.h5", named))


def test_rows_without_one_class(tmp_path: Path) -> None:
    named = columns()
    named["j_g"][1], named["j_z"][3] = 1.0, 0.0  # a quark that is a gluon too, a Z that is nothing
    with pytest.raises(DataError, match="2 rows don't have exactly one of j_g, j_q, j_w, j_z, j_t set"):
        zoo.jets(write_table(tmp_path / "jets.h5", named))


def test_hdf5_of_another_layout(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(DataError, match=r"neither the dataset t_allpar_new nor jets .*it has images"):
        zoo.jets(path)
    with h5py.File(path, "w") as file:
        file["jets"], file["jetFeatureNames"] = np.zeros((3, 2)), [b"j_g"]
    with pytest.raises(DataError, match=r"jets has shape \(3, 2\), but 1 names"):
        zoo.jets(path)
    path.write_text("not a table")
    with pytest.raises(DataError, match="can't be read as an HDF5 file"):
        zoo.jets(path)


def test_hdf5_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "jets.h5"
    path.touch()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match=r"needs h5py.*bitfront\[jets\]"):
        zoo.jets(path)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (JET_X[:, :15], JET_Y, r"x must be \(examples, 16\) .*not \(30, 15\) and \(30,\)"),
        (JET_X, JET_Y[:29], r"not \(30, 16\) and \(29,\)"),
        (JET_X, np.eye(5, dtype=int)[JET_Y], r"not \(30, 16\) and \(30, 5\)"),
        (JET_X, JET_Y + 1, "labels must be 0 to 4, not 1 to 5"),
        (JET_X, JET_Y * 1.0, "y integers, not float64 and float64"),
        (np.where(JET_X == 7, np.nan, JET_X), JET_Y, "NaN or infinite"),
        (JET_X.astype(object), JET_Y, r"can't be read as an \.npz file"),
        (JET_X[:10], JET_Y[:10], "10 examples are too few"),
        (JET_X[:0], JET_Y[:0], "0 examples are too few"),
    ],
)
def test_arrays_that_are_not_jets(tmp_path: Path, x: np.ndarray, y: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        zoo.jets(write_npz(tmp_path / "jets.npz", x, y))


def test_npz_that_is_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", x=JET_X, labels=JET_Y)
    with pytest.raises(DataError, match="lacks the array y; it has x, labels"):
        zoo.jets(tmp_path / "other.npz")
    (tmp_path / "text.npz").write_text("x, y")
    with pytest.raises(DataError, match=r"text\.npz is not an \.npz file"):
        zoo.jets(tmp_path / "text.npz")


def test_a_constant_feature_is_only_shifted() -> None:
    x = np.full((30, 2), 0.1)
    x[:, 1] = np.arange(30)
    splits = make_splits(x, JET_Y.astype(np.int64), held_out=0.2, seed=0, standardise=True)
    assert splits["test"][0][:, 0].abs().max() < 1e-6
