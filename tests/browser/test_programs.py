"""What programs get: the named endpoint, right answers for many at once, words for any file, and no other file."""

import http.client
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

import hostile_files
from compresslab.engines.contract import open_engine
from compresslab.report.languages import language
from conftest import PROJECT, Served, start
from made_up_run import COLOUR, ENGINES, GREY, NUMPY_LAB, ONNX_LAB, shapes

CLIENTS = 20


@pytest.fixture(scope="module")
def client(served: Served) -> Client:
    return Client(served.url, verbose=False)


def ask(client: Client, file: Path, **names: str) -> dict[str, Any]:
    return dict(client.predict(file=handle_file(str(file)), **names, api_name="/classify"))


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return powers / powers.sum()


def probabilities(side: dict[str, Any]) -> dict[str, float]:
    return {entry["class"]: entry["probability"] for entry in side["top"]}


def picture(folder: Path, dataset: str, seed: int) -> tuple[Path, np.ndarray]:
    image = shapes(dataset, 1, seed).images[seed % 3]
    path = folder / f"{dataset}-{seed}.png"
    Image.fromarray(image if image.shape[2] == 3 else image[:, :, 0]).save(path)
    return path, image


def test_every_answer_among_many_at_once_is_the_engines_own(served: Served, tmp_path: Path) -> None:
    jobs = []
    for seed in range(CLIENTS):
        dataset, lab = ((GREY, NUMPY_LAB), (COLOUR, ONNX_LAB))[seed % 2]
        path, image = picture(tmp_path, dataset, seed)
        second = ["numpy-int8-lut", "numpy-int8-dequant"][seed // 2 % 2] if lab == NUMPY_LAB else "onnx-int8"
        jobs.append((path, image, lab, second))
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(
            pool.map(
                lambda job: ask(Client(served.url, verbose=False), job[0], lab=job[2], second=job[3]),
                jobs,
            )
        )
    for (_, image, lab, second), answer in zip(jobs, answers, strict=True):
        assert answer["lab"] == lab
        assert [side["variant"] for side in answer["sides"]] == [f"{second.partition('-')[0]}-fp32", second]
        for side in answer["sides"]:
            folder = served.folder / f"results/smoke/models/{lab}/filter/{side['variant']}/seed-0"
            engine = ENGINES.get(side["variant"], "onnxruntime")
            logits = open_engine(engine, next(folder.glob("model.*")), 1).predict(image[np.newaxis])[0]
            classes = probabilities(side)
            expected = sorted(softmax(logits), reverse=True)
            assert list(classes.values()) == pytest.approx(expected, abs=1e-6)
            assert side["engine"] == engine
            assert side["p50_ms"] > 0
            assert side["file_bytes"] == next(folder.glob("model.*")).stat().st_size
            assert side["accuracy_percent"] == 87.5


def test_agreement_and_difference_are_those_of_the_two_sides(client: Client, tmp_path: Path) -> None:
    path, _ = picture(tmp_path, GREY, 4)
    answer = ask(client, path, lab=NUMPY_LAB, first="numpy-fp32", second="numpy-int8-dequant")
    first, second = map(probabilities, answer["sides"])
    best = max(first, key=lambda name: first[name])
    assert answer["agree"] == (best == max(second, key=lambda name: second[name]))
    assert answer["confidence_difference_points"] == pytest.approx(100 * (second[best] - first[best]))
    assert best in answer["verdict"]


def test_an_answer_comes_in_the_language_that_is_asked_for(client: Client, tmp_path: Path) -> None:
    path, _ = picture(tmp_path, COLOUR, 1)
    assert ask(client, path, language="zh-TW")["verdict"].startswith("兩者")
    assert ask(client, path, language="nonsense")["verdict"].startswith("Both")


def test_names_that_nobody_has_stand_for_what_is_shown_first(client: Client, tmp_path: Path) -> None:
    path, _ = picture(tmp_path, COLOUR, 1)
    answer = ask(client, path, lab="../../etc", model="passwd", first="x", second="<b>")
    assert (answer["lab"], [side["variant"] for side in answer["sides"]]) == (ONNX_LAB, ["onnx-fp32", "onnx-int8"])


def test_every_hostile_file_is_answered_in_one_sentence(client: Client, served: Served, tmp_path: Path) -> None:
    told = len(served.log.read_text())
    words = language("zh-TW", PROJECT / "report")
    for path, answer in hostile_files.write(tmp_path).items():
        said = ask(client, path, language="zh-TW")
        assert said == {"error": words(f"demo.{answer}", megabytes=10, megapixels=25)}, path.name
    path, _ = picture(tmp_path, COLOUR, 1)
    assert "verdict" in ask(client, path)
    assert served.log.read_text()[told:] == ""


def test_fifty_megabytes_are_refused_with_a_reason(client: Client, tmp_path: Path) -> None:
    (tmp_path / "long.png").write_bytes(bytes(50_000_000))
    with pytest.raises(Exception, match=r"413|[Ff]ile size"):
        ask(client, tmp_path / "long.png")
    path, _ = picture(tmp_path, COLOUR, 1)
    assert "verdict" in ask(client, path)


def test_no_file_at_all_is_answered_too(client: Client) -> None:
    said = client.predict(file=None, api_name="/classify")
    assert said == {"error": language("en", PROJECT / "report")("demo.refused_nothing")}


@pytest.mark.parametrize("path", ["/etc/passwd", "README.md", "../../etc/passwd", "config.yaml"])
def test_files_of_the_machine_are_not_served(path: str, served: Served) -> None:
    for asked in (path, str(PROJECT / path)):
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(f"{served.url}gradio_api/file={asked}")
        assert refusal.value.code in (403, 404)


def test_files_of_the_run_are_not_served(served: Served) -> None:
    for file in served.folder.rglob("*.*"):
        if file.is_file():
            with pytest.raises(urllib.error.HTTPError) as refusal:
                urllib.request.urlopen(f"{served.url}gradio_api/file={file}")
            assert refusal.value.code == 403


def test_a_file_of_the_machine_cannot_be_classified(served: Served) -> None:
    """A path that was never uploaded, as a program may send it past any client."""
    body = {"data": [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, "", "", "", "", "en"]}
    request = urllib.request.Request(
        f"{served.url}gradio_api/call/classify", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    event = json.load(urllib.request.urlopen(request))["event_id"]
    said = urllib.request.urlopen(f"{served.url}gradio_api/call/classify/{event}").read().decode()
    assert "event: error" in said
    assert "root:" not in said


def test_only_this_machine_can_connect_unless_told_otherwise(served: Served) -> None:
    assert urlsplit(served.url).hostname == "127.0.0.1"
    port = urlsplit(served.url).port
    with pytest.raises(OSError, match="refused"):
        http.client.HTTPConnection("127.0.0.2", port, timeout=5).request("GET", "/")


def test_a_taken_port_is_told_in_one_line(made: Path, served: Served) -> None:
    port = str(urlsplit(served.url).port)
    failed = serve("--port", port, folder=made)
    assert failed.returncode == 1
    assert failed.stderr == (
        f"error: port {port} is taken on 127.0.0.1, or the address is not this machine's; "
        "name another one with --port\n"
    )


def test_another_address_and_a_named_run_are_taken(made: Path) -> None:
    other = start(made, "--host", "127.0.0.2", "--run", "smoke")
    try:
        assert urlsplit(other.url).hostname == "127.0.0.2"
        assert urllib.request.urlopen(other.url).status == 200
    finally:
        other.process.send_signal(signal.SIGTERM)
    assert other.process.wait(20) == 0


@pytest.mark.parametrize("options", [[], ["--run", "quick"]])
def test_without_results_one_line_says_what_to_run(options: list[str], tmp_path: Path) -> None:
    failed = serve(*options, folder=tmp_path)
    (line,) = failed.stderr.splitlines()
    assert failed.returncode == 1
    assert line.startswith("error: results")
    assert "snakemake --cores 2 --config scale=" in line


def serve(*options: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A page that cannot come up."""
    command = [sys.executable, "-m", "compresslab.stages.serve", "--sources", str(PROJECT / "report"), *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
