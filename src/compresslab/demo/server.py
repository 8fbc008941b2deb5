"""Starts the page on this machine and keeps it until somebody ends it."""

import logging
import os
import signal
import socket
import tempfile
from pathlib import Path
from threading import Event

from compresslab.demo.results import Run

log = logging.getLogger("compresslab")

FIRST_PORT, PORTS = 7860, 100
MOST_UPLOADED_BYTES = 20_000_000
"""What is sent is cut off here. A file above the page's own limit but below this one is refused in words."""


class PortError(OSError):
    """A port that cannot be listened at."""


def serve(run: Run, sources: Path, host: str, port: int | None, share: bool) -> None:
    """Serve the page over a run until SIGINT or SIGTERM; ``sources`` holds the catalogues.

    ``port`` None: the first free one from 7860 on. Raises PortError when a port is taken.
    """
    port = _free_port(host, range(FIRST_PORT, FIRST_PORT + PORTS) if port is None else range(port, port + 1))
    ended = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with tempfile.TemporaryDirectory(prefix="compresslab-demo-") as uploads:
        _go_offline(Path(uploads))
        # Gradio reads these variables when it is imported.
        from compresslab.demo.page import Page

        page = Page(run, sources)
        _, address, shared = page.blocks.launch(
            server_name=host,
            server_port=port,
            share=share,
            prevent_thread_lock=True,
            quiet=True,
            ssr_mode=False,
            footer_links=[],
            allowed_paths=[],
            max_file_size=MOST_UPLOADED_BYTES,
            theme=page.theme,
            css=page.css,
            head=page.script,
        )
        log.info("run %s is shown at %s (Ctrl-C ends it)", run.name, shared or address)
        try:
            ended.wait()
        finally:
            page.blocks.close(verbose=False)


def _go_offline(uploads: Path) -> None:
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)


def _free_port(host: str, ports: range) -> int:
    """The first port that is free on ``host``, and on this machine's own address, where Gradio looks as well."""
    for port in ports:
        if _is_free(host, port) and _is_free("127.0.0.1", port):
            return port
    taken = f"port {ports[0]} is" if len(ports) == 1 else f"ports {ports[0]} to {ports[-1]} are"
    raise PortError(f"{taken} taken on {host}, or the address is not this machine's; name another one with --port")


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
