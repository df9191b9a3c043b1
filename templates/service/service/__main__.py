"""`python -m service`: run the API the way production should."""

from __future__ import annotations

import argparse
import sys

import uvicorn

from service.settings import SettingsError, load


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m service", description="Run the API over HTTPS.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8443)
    parser.add_argument("--cert", default="certs/fullchain.pem", help="PEM file of the certificate chain")
    parser.add_argument("--key", default="certs/key.pem", help="PEM file of its private key")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    try:
        load()
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the logs are not set up yet
        return 2
    uvicorn.run(
        "service.main:app",
        host=arguments.host,
        port=arguments.port,
        workers=arguments.workers,
        ssl_certfile=arguments.cert,
        ssl_keyfile=arguments.key,
        proxy_headers=False,  # TRUSTED_PROXIES decides whose X-Forwarded-For counts; uvicorn would believe 127.0.0.1
        server_header=False,
        access_log=False,  # the service writes its own, without secrets
        log_config=None,
        timeout_graceful_shutdown=5,  # idle TLS connections don't end sooner; nothing that is asked lasts longer
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
