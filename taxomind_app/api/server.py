"""The process that answers HTTP: `python -m taxomind_app.api.server DATA HOST PORT [open]`."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Final

OPEN: Final = "open"


def main(data: Path, host: str, port: int, *, is_open: bool) -> None:
    """Serve until a signal comes.

    Args:
        data: data root.
        host: address to listen on.
        port: its port.
        is_open: ask for no token.

    Raises:
        Fault: as `create_app`.
    """
    import uvicorn

    from taxomind_app.api.app import create_app
    from taxomind_app.api.children import end_with_parent
    from taxomind_app.api.config import service_settings
    from taxomind_app.api.logs import configure_logs
    from taxomind_app.api.tracing import start_tracing
    from taxomind_resources.settings import DATA_VARIABLE, load_settings

    os.environ[DATA_VARIABLE] = str(data)
    configure_logs()
    start_tracing("taxomind-api")
    settings = load_settings(data)
    service = service_settings(settings)
    if is_open:
        service = service.model_copy(update={"auth_enabled": False})
    app = create_app(settings, service)
    end_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    logging.getLogger("taxomind.api").info("listening on %s port %d", host, port)
    # Client and scheme come from a proxy only when it is one of ours.
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        forwarded_allow_ips=list(service.trusted_proxies),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), is_open=sys.argv[4:] == [OPEN])
