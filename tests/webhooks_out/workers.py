"""Worker processes that deliver webhooks."""

from __future__ import annotations

from multiprocessing.context import ForkServerProcess
from pathlib import Path

from creditapp import jobs
from creditapp.config import Settings
from creditapp.jobs.engine import JobStore
from creditapp.runtime import server
from creditapp.services import get
from tests.app_factory import close_app, new_app
from tests.processes import start_command


class Workers:
    """An app that runs no job, and worker processes as ``./run worker`` starts them."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        self.app = new_app(url, folder, {"CREDITAPP_WEBHOOKS_TO_LOOPBACK": "1"})
        with self.app.app_context():
            server.prepare(self.app)
            settings = get(Settings)
            jobs.init_app(self.app, settings.database_url, settings.data_dir)
        self.environ = dict(settings.environ)
        self.started: list[ForkServerProcess] = []

    def start(self) -> ForkServerProcess:
        worker = start_command("worker", environ=self.environ, folder=self.folder)
        self.started.append(worker)
        return worker

    def close(self) -> None:
        for worker in self.started:
            worker.kill()
            worker.join()
        with self.app.app_context():
            get(JobStore).records.engine.dispose()
        close_app(self.app)
