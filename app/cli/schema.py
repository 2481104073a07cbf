"""`vigil schema`: prints the contract of Vigil's topics."""

import difflib
from pathlib import Path

import click

from vigil.app.domain.registry import REGISTRY
from vigil.app.observability.terminal import console, table
from vigil.topics.catalog import BY_NAME, Topic
from vigil.topics.contracts import PUBLIC, VERSION, asyncapi, schema_of
from vigil.topics.contracts.files import files, pretty


@click.command(short_help="Print the schemas of the topics.")
@click.argument("topic", required=False)
@click.option("--asyncapi", "as_asyncapi", is_flag=True, help="Print all topics as one AsyncAPI 3 document.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write asyncapi.json, schemas/TOPIC.json and an example recording to DIR.",
)
def schema(topic: str | None, as_asyncapi: bool, out: Path | None) -> None:
    """Print the JSON Schema of the messages of TOPIC, or list all topics.

    \b
    vigil schema                    list the topics with keys and contents
    vigil schema verdict            print one JSON Schema (2020-12)
    vigil schema --asyncapi         print an AsyncAPI 3 document
    vigil schema --out contracts    write everything to files

    Outputs are delivered at least once; a repeat has the same identity and content.
    """
    if sum((topic is not None, as_asyncapi, out is not None)) > 1:
        raise click.UsageError("Give only one of TOPIC, --asyncapi and --out.")
    if out is not None:
        _write(out)
    elif as_asyncapi:
        click.echo(pretty(asyncapi(REGISTRY.readers)), nl=False)
    elif topic is not None:
        click.echo(pretty(schema_of(_public(topic))), nl=False)
    else:
        rows = table("topic", "", "key", "clean-up", "carries")
        for each in PUBLIC.values():
            clean_up = each.config.get("cleanup.policy", "any")
            if each.retention_days is not None:
                clean_up += f", {each.retention_days} d"
            rows.add_row(each.name, each.direction, each.key, clean_up, each.description)
        screen = console()
        screen.print(rows)
        screen.print(f"Contract {VERSION}. One schema: vigil schema TOPIC")


def _public(name: str) -> Topic:
    if name in PUBLIC:
        return PUBLIC[name]
    if name in BY_NAME:
        raise click.UsageError(f"{name!r} is internal: its messages may change with any version of Vigil.")
    near = difflib.get_close_matches(name, PUBLIC, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "`vigil schema` lists them."
    raise click.UsageError(f"{name!r} is not a topic of Vigil; {hint}")


def _write(folder: Path) -> None:
    try:
        for name, text in files(REGISTRY.readers).items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise click.UsageError(f"--out: cannot write to {folder}: {error.strerror}") from error
    click.echo(f"written to {folder}", err=True)
