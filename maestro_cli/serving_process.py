"""The server process: uvicorn with TLS 1.2 as its floor, on a socket that is already ours.

Imported only when something is served; workers import it again by name, so nothing here may depend on the parent.
"""

from __future__ import annotations

import signal
import socket
import ssl
from types import FrameType

import uvicorn
from uvicorn.supervisors import ChangeReload, Multiprocess

from maestro_cli.serving import ServePlan


class ModernTls(uvicorn.Config):
    """A configuration that never speaks TLS 1.0 or 1.1, whatever the system's OpenSSL allows."""

    def load(self) -> None:
        """Load, and raise the floor."""
        super().load()
        if self.ssl is not None:
            self.ssl.minimum_version = ssl.TLSVersion.TLSv1_2


def serve(plan: ServePlan, listener: socket.socket) -> bool:
    """Serve until a signal comes, then let the requests under way end.

    Args:
        plan: What and how.
        listener: The socket to accept from.

    Returns:
        Whether the application ever started.
    """
    config = ModernTls(
        plan.app,
        host=plan.host,
        port=listener.getsockname()[1],
        workers=plan.workers,
        reload=plan.reload,
        ssl_certfile=None if plan.cert is None else str(plan.cert),
        ssl_keyfile=None if plan.key is None else str(plan.key),
        timeout_graceful_shutdown=plan.drain_s,
        server_header=False,
        # Believing a header about who the client is lets every client be somebody else (rate limits, audit logs).
        proxy_headers=plan.trusted_proxies is not None,
        forwarded_allow_ips=plan.trusted_proxies,
    )
    if plan.reload:
        ChangeReload(config, target=uvicorn.Server(config).run, sockets=[listener]).run()
        return True
    if plan.workers > 1:
        supervisor = Multiprocess(config, sockets=[listener])
        supervisor.run()
        return all(process.exitcode != 3 for process in supervisor.processes)
    server = uvicorn.Server(config)
    # uvicorn raises the signal once more when it has drained; by then it has been obeyed.
    signal.signal(signal.SIGTERM, _obeyed)
    try:
        server.run(sockets=[listener])
    except SystemExit:  # uvicorn's way to say that the application did not start
        return False
    return server.started


def _obeyed(_number: int, _frame: FrameType | None) -> None:
    """Take a signal that uvicorn has already carried out."""
