"""Training over two nodes of a real Slurm, with CPU processes: the weights are those of one process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from childgait.engine.source_files import ROOT
from cluster.slurm import SlurmCluster, missing_programs
from support import toy_training
from support.cloned_study import Study

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.timeout(200),
    pytest.mark.skipif(
        bool(missing_programs()), reason=f"Slurm is not installed here: no {', '.join(missing_programs())}"
    ),
]


def test_two_nodes_give_the_weights_of_one_process(tmp_path: Path) -> None:
    """Start as a rule does: a step of the job on its first node calls workflow/launch, which starts the other."""
    out = tmp_path / "two"
    started = f"workflow/launch 2 2 {sys.executable} {ROOT}/tests/support/toy_training.py --epochs 3 {out}"
    with SlurmCluster(tmp_path / "slurm") as cluster:
        environment = cluster.environment_over(Study(ROOT).environment()) | {"OMP_NUM_THREADS": "1"}
        cluster.environment |= environment | {"PYTHONPATH": f"{ROOT}/src:{ROOT}/tests"}
        done = cluster.run(
            "sbatch",
            "--wait",
            "--nodes=2",
            "--ntasks=2",
            "--time=2",
            "--mem=3000",
            f"--chdir={ROOT}",
            f"--output={tmp_path}/said",
            "--wrap",
            f"srun -n1 --nodes=1 --cpu-bind=q {started}",
        )
        [job] = cluster.jobs()
    assert done.returncode == 0, (tmp_path / "said").read_text()
    assert job["NodeList"] == "n[1-2]"
    one = toy_training.run(tmp_path / "one", toy_training.settings(epochs=3)).weights
    two = toy_training.read_weights(out)
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-6, atol=1e-7)
