from pathlib import Path

from training.sagemaker_environment import (
    model_folder,
    run_folder,
    set_distributed_variables,
)


def test_folders_of_a_job() -> None:
    job = {"SM_MODEL_DIR": "/opt/ml/model"}
    assert model_folder(job) == Path("/opt/ml/model")
    assert run_folder(job) == Path("/opt/ml/checkpoints")
    assert run_folder({}) == Path("runs/default")


def test_hosts_without_torchrun_get_their_ranks() -> None:
    job = {"SM_HOSTS": '["algo-2", "algo-1"]', "SM_CURRENT_HOST": "algo-2"}
    set_distributed_variables(job)
    assert (job["RANK"], job["WORLD_SIZE"], job["MASTER_ADDR"]) == ("1", "2", "algo-1")
    torchrun = {**job, "RANK": "0"}
    set_distributed_variables(torchrun)
    assert torchrun["RANK"] == "0"
