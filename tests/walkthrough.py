"""Run docs/walkthrough.ipynb from the first cell to the last and save its output.

    python -m tests.walkthrough

If a cell fails, print its error, exit with 1 and leave the notebook unchanged.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

NOTEBOOK = Path(__file__).resolve().parent.parent / "docs" / "walkthrough.ipynb"


def main() -> int:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOK.parent)}},
        coalesce_streams=True,
        record_timing=False,  # the times would differ in every run
        on_cell_start=lambda cell, cell_index: print(
            f"cell {cell_index}: {cell['id']}", flush=True
        ),
    )
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        print(error, file=sys.stderr)
        return 1
    notebook.metadata["language_info"] = {"name": "python"}  # without the version
    nbformat.write(notebook, NOTEBOOK)
    return 0


if __name__ == "__main__":
    sys.exit(main())
