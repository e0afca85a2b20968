"""What Prometheus scrapes: metrics of the ledger as it was at its last commit, at a bounded cost."""

from starlette.requests import Request
from starlette.responses import Response

from netusage import __version__
from netusage.errors import NetusageError
from netusage.exporters.prometheus import OPENMETRICS_TYPE, TEXT_TYPE, exposition
from netusage.periods import zone
from netusage.reports.metrics import metrics
from netusage.settings.schema import Settings
from netusage.web.answers import refusal_of
from netusage.web.ledger import Asked, Ledger


class MetricsPage:
    """Answers scrapes; however many there are, the ledger is asked once for each of its states.

    Args:
        settings: the configuration.
        ledger: what is asked.
    """

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._zone = zone(settings.report.tz or None)

    async def answer(self, request: Request) -> Response:
        """Metrics in the format that was asked for; a ledger that cannot be read is an error of the scrape."""
        openmetrics = "application/openmetrics-text" in request.headers.get("accept", "")

        def find(asked: Asked) -> bytes:
            settings = self._settings
            found = metrics(
                asked.ledger,
                now_s=asked.now_s,
                zone=self._zone,
                overrides=settings.interfaces,
                billing_day=settings.report.billing_day,
                most_applications=settings.metrics.applications,
            )
            return exposition(found, version=__version__, openmetrics=openmetrics).encode()

        try:
            body = await self._ledger.answer(("metrics", openmetrics), find)
        except NetusageError as error:
            return refusal_of(error)
        return Response(body, media_type=OPENMETRICS_TYPE if openmetrics else TEXT_TYPE)
