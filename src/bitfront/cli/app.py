"""The commands; each imports what it needs when it runs, so that --help answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="bitfront",
    help="Decides how many bits every tensor of a neural network gets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

RecipeFile = Annotated[Path, typer.Argument(help="A recipe (TOML), native or MASE's.", show_default=False)]
Changes = Annotated[
    list[str], typer.Option("--set", help="Override a setting: search.trials=50.", metavar="KEY=VALUE")
]
_NO_NUMBERS: list[int] = []
_NONE: list[str] = []  # typer hands over a list of its own
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes.")]
Workers = Annotated[int | None, typer.Option("--workers", help="How many processes evaluate.", min=1)]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray", help="Evaluate on the Ray cluster at this address: HOST:PORT, or auto.", metavar="ADDRESS"
    ),
]


def _with_workers(changes: list[str], workers: int | None) -> tuple[str, ...]:
    return (*changes, *([f"search.workers={workers}"] if workers else []))


@app.callback()
def _main() -> None:
    """Decides how many bits every tensor of a neural network gets."""


@app.command()
def init(
    target: Annotated[
        str, typer.Argument(help="The model: package.module:callable or path/file.py:callable.")
    ],
    data: Annotated[str, typer.Option(help="The data, likewise.")] = "",
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")] = Path("recipe.toml"),
    json: Json = False,
) -> None:
    """Write a commented recipe for a model."""
    from bitfront.cli.preparing import write_recipe

    write_recipe(target, data, out, json)


@app.command()
def inspect(recipe: RecipeFile, set_: Changes = _NONE, json: Json = False, quiet: Quiet = False) -> None:
    """Layers, sites, counts and the size of the space; nothing is searched."""
    from bitfront.cli.preparing import inspect_recipe

    inspect_recipe(recipe, tuple(set_), json, quiet)


@app.command()
def train(recipe: RecipeFile, set_: Changes = _NONE, json: Json = False, quiet: Quiet = False) -> None:
    """Fit the float model and save its weights where the recipe expects them."""
    from bitfront.cli.training import train_recipe

    train_recipe(recipe, tuple(set_), json, quiet)


@app.command()
def search(
    recipe: RecipeFile,
    set_: Changes = _NONE,
    run: Annotated[Path | None, typer.Option(help="Where the run lies; runs/NAME if not given.")] = None,
    workers: Workers = None,
    ray: Ray = None,
    warm_start: Annotated[
        Path | None, typer.Option(help="An earlier run whose trials are taken as observations.")
    ] = None,
    profile: Annotated[bool, typer.Option("--profile", help="Print where the time went.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search, with progress; run again on the same directory, it goes on where it was."""
    from bitfront.cli.searching import search_recipe

    search_recipe(recipe, _with_workers(set_, workers), run, warm_start, json, quiet, profile, ray)


@app.command()
def compare(
    recipe: RecipeFile,
    strategies: Annotated[
        str, typer.Option(help="Names with commas between them.", metavar="NAMES")
    ] = "brute-force,random,tpe",
    repeats: Annotated[int, typer.Option(help="Runs of each, with other seeds.", min=1)] = 10,
    trials: Annotated[
        int | None, typer.Option(help="Evaluations of each run; the recipe's if not given.", min=1)
    ] = None,
    exact: Annotated[
        bool | None,
        typer.Option(
            "--exact/--no-exact",
            help="Evaluate the whole space first; if not given, where brute-force is compared and there are "
            "at most 20,000 points.",
            show_default=False,
        ),
    ] = None,
    set_: Changes = _NONE,
    run: Annotated[Path | None, typer.Option(help="Where it lies; runs/NAME-compare if not given.")] = None,
    workers: Workers = None,
    ray: Ray = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Which strategy needs how many evaluations: over seeds, with intervals and rank tests."""
    from bitfront.cli.comparing import compare_recipe

    changes = _with_workers(set_, workers)
    compare_recipe(recipe, changes, strategies, repeats, trials, exact, run, json, quiet, ray)


@app.command()
def finetune(
    run: Annotated[Path, typer.Argument(help="The directory of a run.", show_default=False)],
    trial: Annotated[
        list[int], typer.Option("--trial", help="The number of a trial; may be given again.", min=0)
    ] = _NO_NUMBERS,
    front: Annotated[bool, typer.Option("--front", help="Every trial of the front.")] = False,
    knee: Annotated[bool, typer.Option("--knee", help="The trial at the knee of the front.")] = False,
    set_: Changes = _NONE,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train trials of a run with their quantizers in place, measure them again, and draw the front anew."""
    from bitfront.cli.finetuning import finetune_run

    finetune_run(run, tuple(trial), front, knee, tuple(set_), json, quiet)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="The directory of a run.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="What to write; it must not exist yet.", show_default=False)],
    to: Annotated[
        str, typer.Option("--to", help="onnx, qonnx, hls4ml, safetensors, toml or mase.", show_default=False)
    ],
    trial: Annotated[
        str | None, typer.Option(help="The number of the trial, or f0, f1, … of a fine-tuned one.")
    ] = None,
    knee: Annotated[bool, typer.Option("--knee", help="The trial at the knee of the front.")] = False,
    limit: Annotated[
        float | None,
        typer.Option(help="The mean difference allowed, as a share of the outputs' mean magnitude."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a trial as a file that deploys, and compare it with the simulator in a fresh process."""
    from bitfront.cli.exporting import export_run

    export_run(run, trial, knee, to, out, limit, json, quiet)


@app.command()
def suggest(
    run: Annotated[Path, typer.Argument(help="The directory of a run.", show_default=False)],
    max_: Annotated[
        list[str], typer.Option("--max", help="At most: 'size=32 KiB'.", metavar="METRIC=LIMIT")
    ] = _NONE,
    min_: Annotated[
        list[str], typer.Option("--min", help="At least: 'accuracy=baseline - 1%'.", metavar="METRIC=LIMIT")
    ] = _NONE,
    measure: Annotated[bool, typer.Option("--measure", help="Evaluate what is predicted.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """New limits answered from what a run learnt, without evaluating anything."""
    from bitfront.cli.suggesting import suggest_limits

    suggest_limits(run, tuple(min_), tuple(max_), measure, json, quiet)


@app.command()
def verify(
    run: Annotated[Path, typer.Argument(help="The directory of a run.", show_default=False)],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a run's baseline and front again in a fresh process, and say what is the same."""
    from bitfront.cli.verifying import verify_run

    verify_run(run, json, quiet)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="The directory of a run.", show_default=False)],
    figures: Annotated[
        Path | None, typer.Option(help="Also write each picture into this directory.", metavar="DIR")
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", help="Of the pictures: svg, or png at 300 dots per inch.", metavar="KIND"),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the run's report.html again: one page that works offline."""
    from bitfront.cli.reporting import report_run

    report_run(run, figures, format_, json, quiet)


@app.command()
def dashboard(
    run: Annotated[Path, typer.Argument(help="The directory of a run.", show_default=False)],
    port: Annotated[
        int,
        typer.Option(help="Where it listens, on this machine alone; 0 takes a free one.", min=0, max=65535),
    ] = 8080,
    export: Annotated[
        Path | None, typer.Option(help="Only write the SQLite file, here; nothing is served.", metavar="FILE")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The run in optuna-dashboard, also while it goes on; or as a file for Optuna's tools."""
    from bitfront.cli.dashboarding import dashboard_run

    dashboard_run(run, port, export, browser, json, quiet)


@app.command()
def formats(
    name: Annotated[str, typer.Argument(help="One format.")] = "",
    plot: Annotated[bool, typer.Option("--plot", help="Draw its codes on a line.")] = False,
    json: Json = False,
) -> None:
    """What number formats exist."""
    from bitfront.cli.listing import list_formats

    list_formats(name, json, plot)


@app.command()
def convert(recipe: Annotated[Path, typer.Argument(help="A MASE recipe.")], json: Json = False) -> None:
    """Print a MASE recipe as a native one."""
    from bitfront.cli.listing import convert_recipe

    convert_recipe(recipe, json)
