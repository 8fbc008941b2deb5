# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% tags=["parameters"]
# The lab's slice of the configuration, the language, and where everything lies.
subject = {}
language = "en"
narrative = ""
tables = ""
cards = []
figures = ""
hosts = {}
networks = {}
sources = "report"

# %%
from pathlib import Path

from IPython.display import Markdown, display

from compresslab.report.evidence import Subject, read_evidence
from compresslab.report.languages import language as load_language
from compresslab.report.narrative import write

evidence = read_evidence(
    Subject.from_json(subject),
    Path(tables),
    [Path(card) for card in cards],
    {name: Path(path) for name, path in hosts.items()},
    {name: Path(path) for name, path in networks.items()},
)
sections = write(Path(narrative), evidence, Path(figures), load_language(language, Path(sources)))

# %%
for section in sections:
    display(Markdown(section))
