"""The LHC jets of the hls4ml papers, read from the user's file or fetched from OpenML on request."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile, ZipFile, is_zipfile

import numpy as np
import numpy.typing as npt

from bitfront.errors import DataError
from bitfront.zoo.splits import Features, Labels, Splits, make_splits

_UNPACKED = 200  # times its own size that an .npz may unpack to; jets have about four

JET_FEATURES = (
    "j_zlogz",
    "j_c1_b0_mmdt",
    "j_c1_b1_mmdt",
    "j_c1_b2_mmdt",
    "j_c2_b1_mmdt",
    "j_c2_b2_mmdt",
    "j_d2_b1_mmdt",
    "j_d2_b2_mmdt",
    "j_d2_a1_b1_mmdt",
    "j_d2_a1_b2_mmdt",
    "j_m2_b1_mmdt",
    "j_m2_b2_mmdt",
    "j_n2_b1_mmdt",
    "j_n2_b2_mmdt",
    "j_mass_mmdt",
    "j_multiplicity",
)
JET_CLASSES = ("j_g", "j_q", "j_w", "j_z", "j_t")


def jets(path: str | Path | None = None, download: bool = False, seed: int = 0) -> Splits:
    """Jets of simulated LHC collisions: 16 high-level features, 5 classes (gluon, quark, W, Z, top).

    Give `path` or ``download=True``; there is no default source and no fallback. `path` is one of

    - an HDF5 file with the structured dataset ``t_allpar_new`` (MASE's and LogicNets' file) or with ``jets``
      and ``jetFeatureNames`` (Zenodo 3602260); it must have the columns `JET_FEATURES` and, one-hot,
      `JET_CLASSES`;
    - a folder of such files (``.h5``, ``.hdf5``), which are joined in the order of their names;
    - an ``.npz`` with ``x`` (examples, 16) in the order of `JET_FEATURES` and integers ``y`` (examples,) that
      index `JET_CLASSES`.

    ``download=True`` fetches ``hls4ml_lhc_jets_hlf`` (830,000 jets) from OpenML into scikit-learn's cache.

    x is (examples, 16), standardised with the training split; y indexes `JET_CLASSES`. Repeated rows are
    dropped (MASE's file repeats jets), so that no jet is in two splits. 60% train, 20% each are for search
    and test, in equal shares of each class; `seed` chooses which. ``calibration`` is the start of ``train``.

    Source: Duarte et al. 2018 (arXiv:1804.06913), Pierini et al. 2020 (doi:10.5281/zenodo.3602260).
    """
    if path is not None and download:
        raise DataError(f"jets() was given a path ({path}) and download=True: choose one of them.")
    if path is not None:
        x, y = _read(Path(path).expanduser())
    elif download:
        x, y = _download()
    else:
        raise DataError(
            "jets() needs a source: path= an .h5 file or a folder of them, path= an .npz with x and y, or "
            "download=True to fetch OpenML's. For invented data of the same shape use jets_synthetic."
        )
    distinct = np.sort(np.unique(np.column_stack([x, y]), axis=0, return_index=True)[1])
    return make_splits(x[distinct], y[distinct], held_out=0.2, seed=seed, standardise=True)


def _read(path: Path) -> tuple[Features, Labels]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in {".h5", ".hdf5"})
        if not files:
            raise DataError(f"The folder {path} has no .h5 or .hdf5 file.")
        parts = [_read_hdf5(file) for file in files]
        return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])
    if not path.is_file():
        raise DataError(f"There is no file or folder {path}.")
    return _read_npz(path) if path.suffix == ".npz" else _read_hdf5(path)


def _check_unpacked(path: Path) -> None:
    """DataError where a small file would fill the memory."""
    with ZipFile(path) as archive:
        found = sum(entry.file_size for entry in archive.infolist())
    if found > _UNPACKED * path.stat().st_size:
        raise DataError(f"{path} is not read: its {path.stat().st_size:,} bytes unpack to {found:,}.")


def _read_npz(path: Path) -> tuple[Features, Labels]:
    if not is_zipfile(path):
        raise DataError(f"{path} is not an .npz file (numpy.savez writes one).")
    try:
        _check_unpacked(path)
        with np.load(path, allow_pickle=False) as arrays:
            missing = [name for name in ("x", "y") if name not in arrays]
            if missing:
                found = ", ".join(arrays) or "nothing"
                raise DataError(f"{path} lacks the array {' and '.join(missing)}; it has {found}.")
            x, y = arrays["x"], arrays["y"]
    except (OSError, ValueError, BadZipFile) as error:
        raise DataError(f"{path} can't be read as an .npz file: {error}") from error
    if not (np.issubdtype(x.dtype, np.number) and np.issubdtype(y.dtype, np.integer)):
        raise DataError(f"{path}: x must be numbers and y integers, not {x.dtype} and {y.dtype}.")
    return _checked(x, y, str(path))


def _read_hdf5(path: Path) -> tuple[Features, Labels]:
    try:
        import h5py
    except ImportError as error:
        raise DataError(
            f"Reading {path} needs h5py, which is missing: pip install 'bitfront[jets]'."
        ) from error
    try:
        with h5py.File(path, "r") as file:
            if "t_allpar_new" in file:
                table = np.asarray(file["t_allpar_new"])
                names = table.dtype.names or ()
                columns = {name: table[name] for name in names}
            elif "jets" in file and "jetFeatureNames" in file:
                table = np.asarray(file["jets"])
                names = [bytes(name).decode() for name in np.asarray(file["jetFeatureNames"])]
                if table.ndim != 2 or table.shape[1] != len(names):
                    raise DataError(f"{path}: jets has shape {table.shape}, but {len(names)} names.")
                columns = dict(zip(names, table.T, strict=True))
            else:
                raise DataError(
                    f"{path} has neither the dataset t_allpar_new nor jets and jetFeatureNames; "
                    f"it has {', '.join(file) or 'nothing'}."
                )
    except OSError as error:
        raise DataError(f"{path} can't be read as an HDF5 file: {error}") from error
    return _from_columns(columns, str(path))


def _download() -> tuple[Features, Labels]:
    from sklearn.datasets import fetch_openml

    try:
        fetched = cast(Any, fetch_openml("hls4ml_lhc_jets_hlf", version=1, as_frame=False, parser="auto"))
    except ImportError as error:
        raise DataError("Fetching from OpenML needs pandas: pip install 'bitfront[jets]'.") from error
    except (OSError, ValueError) as error:
        raise DataError(f"The jets could not be fetched from OpenML: {error}") from error
    # OpenML names features and classes without the prefix, and the class as a letter
    columns = {
        f"j_{name}": column for name, column in zip(fetched.feature_names, fetched.data.T, strict=True)
    }
    columns |= {f"j_{letter}": np.asarray(fetched.target) == letter for letter in "gqwzt"}
    return _from_columns(columns, "OpenML's hls4ml_lhc_jets_hlf")


def _from_columns(columns: Mapping[str, npt.NDArray[np.generic]], source: str) -> tuple[Features, Labels]:
    missing = [name for name in (*JET_FEATURES, *JET_CLASSES) if name not in columns]
    if missing:
        raise DataError(f"{source} lacks the columns {', '.join(missing)}.")
    one_hot = np.stack([columns[name] for name in JET_CLASSES], axis=1) != 0
    unclear = np.count_nonzero(one_hot.sum(axis=1) != 1)
    if unclear:
        raise DataError(f"{source}: {unclear} rows don't have exactly one of {', '.join(JET_CLASSES)} set.")
    return _checked(
        np.stack([columns[name] for name in JET_FEATURES], axis=1), one_hot.argmax(axis=1), source
    )


def _checked(x: npt.NDArray[np.generic], y: npt.NDArray[np.generic], source: str) -> tuple[Features, Labels]:
    features, labels = x.astype(np.float64), y.astype(np.int64)
    if features.ndim != 2 or features.shape[1] != len(JET_FEATURES) or labels.shape != features.shape[:1]:
        expected = f"(examples, {len(JET_FEATURES)}) and y (examples,)"
        raise DataError(f"{source}: x must be {expected}, not {x.shape} and {y.shape}.")
    if not np.isfinite(features).all():
        raise DataError(f"{source}: x has values that are NaN or infinite.")
    if ((labels < 0) | (labels >= len(JET_CLASSES))).any():
        found = f"{labels.min()} to {labels.max()}"
        raise DataError(f"{source}: labels must be 0 to {len(JET_CLASSES) - 1}, not {found}.")
    return features, labels
