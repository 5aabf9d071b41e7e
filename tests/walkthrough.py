"""Run docs/walkthrough.ipynb from its first cell to its last, and keep what they said in it.

    python -m tests.walkthrough

A cell that fails ends it with that cell's error, and leaves the notebook as it was.
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
        record_timing=False,  # or each run would differ in every cell
        on_cell_start=lambda cell, cell_index: print(
            f"cell {cell_index}: {cell['id']}", flush=True
        ),
    )
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        print(error, file=sys.stderr)
        return 1
    notebook.metadata["language_info"] = {"name": "python"}  # of which version, each run would tell
    nbformat.write(notebook, NOTEBOOK)
    return 0


if __name__ == "__main__":
    sys.exit(main())
