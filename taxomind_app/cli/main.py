"""The command line: the groups of commands, and the one place where errors become exit codes."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from typing import Annotated

import typer

from taxomind_app.cli import classify as classify_command
from taxomind_app.cli import convert as convert_command
from taxomind_app.cli import crosslingual as crosslingual_command
from taxomind_app.cli import demo as demo_command
from taxomind_app.cli import doctor as doctor_command
from taxomind_app.cli import enrichment as enrichment_command
from taxomind_app.cli import errors, growth, learn, model_answers, model_exports, model_plugins, model_tuning, taxonomy
from taxomind_app.cli import init as init_command
from taxomind_app.cli import models as models_command
from taxomind_app.cli import query as query_command
from taxomind_app.cli import report as report_command
from taxomind_app.cli import retag as retag_command
from taxomind_app.cli import revise as revise_command
from taxomind_app.cli import serve as serve_command
from taxomind_app.cli import settings as settings_command
from taxomind_app.cli import token as token_command
from taxomind_app.cli import ui as ui_command
from taxomind_app.cli.session import Data, Session, Verbose, command

EPILOG = """Begin with

taxomind demo

taxomind taxonomy add jobs jobs.csv

taxomind classify --taxonomy jobs "veterinary nurse"
"""

app = typer.Typer(
    name="taxomind",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
learning = typer.Typer(
    cls=learn.LearnGroup, no_args_is_help=True, help="Teach: learn from corrections, take them back, look at them."
)
growing = typer.Typer(
    cls=growth.GrowthGroup, help="Let a taxonomy grow: what its texts ask for, and what a person decides about it."
)
taxonomies = typer.Typer(no_args_is_help=True, help="Add, check, look at and remove taxonomies.")
models = typer.Typer(no_args_is_help=True, help="Train models on labelled texts, judge them, put them to use.")
crosslingual = typer.Typer(no_args_is_help=True, help="Teach a student that finds English node texts for other languages.")
tokens = typer.Typer(no_args_is_help=True, help="Who may use the HTTP service: make, list and revoke tokens.")
retags = typer.Typer(no_args_is_help=True, help="Look again at stored answers that a change of the taxonomy touches.")


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"taxomind {version('taxomind')}")
        raise typer.Exit


@app.callback(epilog=EPILOG)
def _root(
    ctx: typer.Context,
    data: Data = None,
    verbose: Verbose = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)] = False,
) -> None:
    """Give texts their place in a deep taxonomy: code them, stop when unsure, say why."""
    session: Session = ctx.obj
    session.data, session.verbose = data, verbose


def _add(group: typer.Typer, name: str, function: Callable[..., None], epilog: str, *, json: bool = True) -> None:
    group.command(name, epilog=epilog)(command(function, json=json))


_add(app, "demo", demo_command.demo, demo_command.EPILOG)
_add(app, "init", init_command.init, init_command.EPILOG)
app.add_typer(taxonomies, name="taxonomy")
_add(taxonomies, "add", taxonomy.add, taxonomy.ADD_EPILOG)
_add(taxonomies, "validate", taxonomy.validate, taxonomy.VALIDATE_EPILOG)
_add(taxonomies, "convert", convert_command.convert, convert_command.EPILOG)
_add(taxonomies, "enrich", enrichment_command.enrich, enrichment_command.EPILOG)
_add(taxonomies, "list", taxonomy.list_, taxonomy.LIST_EPILOG)
_add(taxonomies, "show", taxonomy.show, taxonomy.SHOW_EPILOG)
_add(taxonomies, "history", revise_command.history, revise_command.HISTORY_EPILOG)
_add(taxonomies, "diff", revise_command.diff, revise_command.DIFF_EPILOG)
_add(taxonomies, "revise", revise_command.revise, revise_command.REVISE_EPILOG)
taxonomies.add_typer(retags, name="retag")
_add(retags, "plan", retag_command.plan, retag_command.PLAN_EPILOG)
_add(retags, "run", retag_command.run, retag_command.RUN_EPILOG)
_add(retags, "apply", retag_command.apply, retag_command.APPLY_EPILOG)
_add(retags, "rollback", retag_command.rollback, retag_command.ROLLBACK_EPILOG)
_add(retags, "cancel", retag_command.cancel, retag_command.CANCEL_EPILOG)
_add(retags, "list", retag_command.list_, retag_command.LIST_EPILOG)
_add(taxonomies, "remove", taxonomy.remove, taxonomy.REMOVE_EPILOG)
_add(app, "classify", classify_command.classify, classify_command.EPILOG)
app.add_typer(learning, name="learn")
_add(learning, "add", learn.add, learn.ADD_EPILOG)
_add(learning, "undo", learn.undo, learn.UNDO_EPILOG)
_add(learning, "list", learn.list_, learn.LIST_EPILOG)
app.add_typer(growing, name="growth")
_add(growing, "status", growth.status, growth.STATUS_EPILOG)
_add(growing, "review", growth.review, growth.REVIEW_EPILOG)
_add(growing, "accept", growth.accept, growth.ACCEPT_EPILOG)
_add(growing, "reject", growth.reject, growth.REJECT_EPILOG)
_add(growing, "unreject", growth.unreject, growth.UNREJECT_EPILOG)
_add(growing, "undo", growth.undo, growth.UNDO_EPILOG)
_add(growing, "history", growth.history, growth.HISTORY_EPILOG)
_add(growing, "trial", growth.trial, growth.TRIAL_EPILOG)
_add(growing, "propose", growth.propose, growth.PROPOSE_EPILOG)
_add(growing, "zero-usage", growth.zero_usage, growth.USAGE_EPILOG)
_add(app, "report", report_command.report, report_command.EPILOG)
_add(app, "query", query_command.query, query_command.EPILOG)
app.add_typer(models, name="models")
_add(models, "train", models_command.train, models_command.TRAIN_EPILOG)
_add(models, "tune", model_tuning.tune, model_tuning.TUNE_EPILOG)
_add(models, "evaluate", models_command.evaluate, models_command.EVALUATE_EPILOG)
_add(models, "export", model_exports.export, model_exports.EXPORT_EPILOG)
_add(models, "list", models_command.list_, models_command.LIST_EPILOG)
_add(models, "show", models_command.show, models_command.SHOW_EPILOG)
_add(models, "promote", models_command.promote, models_command.PROMOTE_EPILOG)
_add(models, "rollback", models_command.rollback, models_command.ROLLBACK_EPILOG)
_add(models, "predict", model_answers.predict, model_answers.PREDICT_EPILOG)
_add(models, "plugins", model_plugins.plugins, model_plugins.PLUGINS_EPILOG)
app.add_typer(crosslingual, name="crosslingual")
_add(crosslingual, "train", crosslingual_command.train, crosslingual_command.EPILOG)
_add(app, "ui", ui_command.ui, ui_command.EPILOG, json=False)
_add(app, "serve", serve_command.serve, serve_command.EPILOG, json=False)
app.add_typer(tokens, name="token")
_add(tokens, "create", token_command.create, token_command.CREATE_EPILOG)
_add(tokens, "list", token_command.list_, token_command.LIST_EPILOG)
_add(tokens, "revoke", token_command.revoke, token_command.REVOKE_EPILOG)
_add(app, "doctor", doctor_command.doctor, doctor_command.EPILOG)
_add(app, "settings", settings_command.settings, settings_command.EPILOG)


def main(arguments: Sequence[str]) -> int:
    """Run one call of the command line.

    Args:
        arguments: without the program's name.

    Returns:
        0 = done, 1 = the work failed, 2 = wrong use, 130 = interrupted.
    """
    session = Session()
    own = list(arguments)
    as_json = "--json" in (own[: own.index("--")] if "--" in own else own)
    try:
        result = typer.main.get_command(app).main(own, prog_name="taxomind", obj=session, standalone_mode=False)
        sys.stdout.flush()
    except SystemExit as stopped:
        # typer leaves this way when the reader of its output is gone.
        return stopped.code if isinstance(stopped.code, int) else errors.WORK_FAILED
    except BaseException as error:
        return errors.end(error, session, as_json=as_json)
    return result if isinstance(result, int) else 0


def run() -> None:
    """Entry point of the program `taxomind`."""
    # What a start makes stays: looking for garbage among it again and again would cost a tenth of a short call.
    gc.set_threshold(100_000)
    for stream in (sys.stdout, sys.stderr):
        # A terminal without UTF-8 shows what it lacks as escapes.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))
