"""Commands about users and their API keys, reported images, stored keys, and a demo."""

from __future__ import annotations

import click

from creditapp import accounts, api_keys, credentials, units, webhooks_out
from creditapp.accounts import AccountRules, EmailTaken
from creditapp.api_keys import KeySettings
from creditapp.cli.context import app_context, find_user, say
from creditapp.clock import now
from creditapp.db import snapshot, transaction
from creditapp.generation import feedback
from creditapp.services import get


@click.group()
def user() -> None:
    """Create users."""


@user.command("create")
@click.argument("email")
@click.option("--password", help="Asked for when it is left out.")
@click.option("--admin", is_flag=True, help="An operator, who may open /admin.")
@click.option("--json", "as_json", is_flag=True)
def create_user(email: str, password: str | None, admin: bool, as_json: bool) -> None:
    """Create an account; its welcome credits are granted as at sign-up."""
    taken = click.ClickException(f"{email} has an account already.")
    with app_context():
        with snapshot() as session:
            if accounts.find_by_email(session, email) is not None:
                raise taken
        if password is None:
            password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        new_account = accounts.prepare_account(email, password)
        try:
            with transaction() as session:
                person = accounts.sign_up(session, new_account, get(AccountRules), now=now()).user
                person.is_admin = admin
        except EmailTaken:
            raise taken from None
        say({"id": person.id, "email": person.email}, f"{person.email} is {person.id}.", as_json)


@click.group("api-key")
def api_key() -> None:
    """Create API keys."""


@api_key.command("create")
@click.argument("email")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(list(api_keys.SCOPES)),
    multiple=True,
    help="Once for each; without any: read and generate.",
)
@click.option("--name", default="Command line", show_default=True)
@click.option("--budget", help="The credits that it may spend at most.")
@click.option("--period", type=click.Choice(api_keys.PERIODS), default="all", show_default=True)
@click.option("--json", "as_json", is_flag=True)
def create_api_key(
    email: str, scopes: tuple[str, ...], name: str, budget: str | None, period: str, as_json: bool
) -> None:
    """Create an API key of a user and print it, this once."""
    settings = KeySettings(
        name=name,
        scopes=scopes or ("read", "generate"),
        budget_micro=units.micro_from_text(budget) if budget is not None else None,
        budget_period=period,
    )
    with app_context():
        person = find_user(email)
        with transaction() as session:
            row, key = api_keys.create_key(session, person.id, settings, now=now())
        say({"id": row.id, "key": key, "scopes": row.scopes}, key, as_json)


@click.command()
@click.option("--json", "as_json", is_flag=True)
def reports(as_json: bool) -> None:
    """List the images that their owners reported, the latest first."""
    with app_context():
        with snapshot() as session:
            rows = [
                {
                    "generation": generation.id,
                    "model": generation.model,
                    "reportedAt": generation.reported_at,
                    "text": generation.report_text,
                }
                for generation in feedback.reported(session)
            ]
        lines = [f"{row['reportedAt']:%Y-%m-%d %H:%M}  {row['generation']}  {row['text']}"
                 for row in rows]  # fmt: skip
        say({"reports": rows}, "\n".join(lines) or "No images were reported.", as_json)


@click.command("reencrypt-keys")
@click.option("--json", "as_json", is_flag=True)
def reencrypt_keys(as_json: bool) -> None:
    """Encrypt provider keys and webhook secrets under the current SECRET_KEY, after it changed."""
    with app_context():
        with transaction() as session:
            done = credentials.reencrypt_keys(session), webhooks_out.reencrypt_secrets(session)
        renewed, lost = (sum(counts) for counts in zip(*done, strict=True))
        keys = "key is" if renewed == 1 else "keys are"
        text = f"{renewed} {keys} encrypted under the current SECRET_KEY."
        if lost:
            text += (
                f" {lost} cannot be read: name the earlier key in CREDITAPP_PREVIOUS_SECRET_KEYS,"
                " or let their owners enter them again."
            )
        say({"renewed": renewed, "lost": lost}, text, as_json)


@click.command()
def seed() -> None:
    """Fill the database with demo data: guests, users, purchases, history."""
    from creditapp.runtime import demo_data

    with app_context():
        for line in demo_data.seed():
            click.echo(line)


COMMANDS = (user, api_key, reports, reencrypt_keys, seed)
