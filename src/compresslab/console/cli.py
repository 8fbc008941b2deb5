"""The command `compresslab`: questions about an experiment. Running it is Snakemake's work."""

import argparse
import sys
from pathlib import Path
from typing import Any

from compresslab.config.load import load
from compresslab.config.problems import ConfigurationError


def main(arguments: list[str] | None = None) -> None:
    """Answer one question; a mistake in the configuration ends in its list, with status 1."""
    options = _parser().parse_args(arguments)
    try:
        options.answer(options)
    except ConfigurationError as error:
        sys.exit(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="compresslab",
        description="Questions about an experiment. To run it: snakemake --cores 8",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = _command(commands, "check", "check the configuration and list the variants", _check)
    _add_configuration(check)
    why = _command(commands, "why", "say why a file would be made again", _why)
    why.add_argument("target", metavar="TARGET", help="a file of results/, or a rule such as all")
    _add_configuration(why)
    reference = _command(commands, "reference", "write the configuration reference and its JSON Schema", _reference)
    reference.add_argument("--page", type=Path, default=Path("docs/configuration.md"), help="default: %(default)s")
    reference.add_argument(
        "--schema", type=Path, default=Path("workflow/schemas/config.schema.json"), help="default: %(default)s"
    )
    return parser


def _command(commands: Any, name: str, help_text: str, answer: Any) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=help_text, description=help_text.capitalize() + "."
    )
    command.set_defaults(answer=answer)
    return command


def _add_configuration(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--configfile", type=Path, nargs="+", default=[], help="more configuration files, as in snakemake"
    )
    command.add_argument(
        "--config", nargs="+", default=[], metavar="KEY=VALUE", help="settings, as in snakemake: scale=smoke"
    )


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    from snakemake.cli import parse_config

    try:
        settings: dict[str, Any] = parse_config(options.config)
    except ValueError as error:
        sys.exit(f"--config {' '.join(options.config)}: {error}")
    return settings


def _check(options: argparse.Namespace) -> None:
    from compresslab.config.plan import Plan

    files = [Path("config.yaml"), *options.configfile]
    plan = Plan(load(files, Path("workflow/scales"), _settings(options)))
    for variant in plan.variants.values():
        parent = f" of {variant.method.parent}" if variant.method.parent else ""
        print(f"{variant.id}: {variant.method.method}{parent}, on {', '.join(plan.engines(variant))}")
    print(f"{len(plan.variants)} variants, seeds {', '.join(map(str, plan.seeds))}: the configuration is in order")


def _why(options: argparse.Namespace) -> None:
    from snakemake.exceptions import RuleException, WorkflowError

    from compresslab.console.why import explain

    try:
        lines = explain(options.target, Path("workflow/Snakefile"), options.configfile, _settings(options))
    except (RuleException, WorkflowError) as error:
        sys.exit(" ".join(str(error).split()))
    print("\n".join(lines))


def _reference(options: argparse.Namespace) -> None:
    from compresslab.console.reference import write_reference

    write_reference(options.page, options.schema)
    print(f"wrote {options.page} and {options.schema}")


if __name__ == "__main__":
    main()
