"""Offline data as Minari data sets: one folder, HDF5 inside, readable by anything that reads Minari."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec

from pgtheory.hybrid.lock import ENVIRONMENT, ContinuousLock, Episodes
from pgtheory.hybrid.lock_env import lock_spaces
from pgtheory.hybrid.offline import OfflineData, Transitions
from pgtheory.mdp import validate

IDENTITY = "pgtheory_environment"
"""The entry of a data set's metadata that holds ``OfflineData.environment``."""


def write_minari(
    data: OfflineData,
    path: str | Path,
    lock: ContinuousLock,
    *,
    dataset_id: str = "pgtheory/continuous-lock-v0",
) -> Path:
    """Write a lock's data as a Minari data set.

    With the encoders that have names, the lock can be made again by the data set's ``recover_environment``.

    Parameters
    ----------
    data : OfflineData
        Of whole episodes: as many transitions at every step, each leading to the next.
    path : path
        A new folder; it is complete or not there at all. ``minari.load_dataset`` finds it by its id if it is
        ``<root of Minari's data sets>/<dataset_id>/data``.

    Raises
    ------
    ImportError
        Without Minari and h5py: ``pip install 'pgtheory[offline]'``.
    FileExistsError
        If the folder exists.
    ValueError
        If the data are another lock's, or not whole episodes.
    """
    storage_class, buffer_class, version = _minari()
    validate.instance_of("data", data, OfflineData)
    data.check(lock)
    observations = _whole(data)
    target = Path(path)
    if target.exists():
        raise FileExistsError(f"{target} exists: choose another path, or delete it first")
    target.parent.mkdir(parents=True, exist_ok=True)
    parent = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        seen, acting = lock_spaces(lock)
        spaces = {
            "observation_space": _narrow(seen, observations),
            "action_space": _narrow(acting, data.steps[0].actions),
        }
        storage = storage_class.new(parent / "data", env_spec=_spec(lock), **spaces)
        storage.update_metadata(
            {"dataset_id": dataset_id, "minari_version": version, IDENTITY: data.environment}
        )
        storage.update_episodes(_buffers(data, observations, buffer_class))
        (parent / "data").replace(target)
    finally:
        shutil.rmtree(parent, ignore_errors=True)
    return target


def read_minari(source: Any) -> OfflineData:
    """Offline data from a Minari data set whose episodes all have the same length.

    Parameters
    ----------
    source : path or minari.MinariDataset
        The folder that holds the metadata, or what ``minari.load_dataset`` returned.

    Returns
    -------
    OfflineData
        ``environment`` is what ``write_minari`` noted, else the id of the data set's environment.

    Raises
    ------
    ImportError
        Without Minari and h5py.
    ValueError
        If there are no episodes, one is shorter than another, spaces are not boxes of vectors, or a number is not
        finite.
    """
    _minari()
    from minari import MinariDataset

    dataset = MinariDataset(source) if isinstance(source, str | Path) else source
    if not isinstance(dataset, MinariDataset):
        raise TypeError(f"source must be a path or a MinariDataset, got {type(source).__name__}")
    metadata = dataset.storage.metadata
    for name in ("observation_space", "action_space"):
        if not isinstance(metadata[name], gymnasium.spaces.Box) or len(metadata[name].shape) != 1:
            raise ValueError(f"source's {name} must be a Box of vectors, got {metadata[name]}")
    found = list(dataset.iterate_episodes())
    lengths = {len(episode.rewards) for episode in found}
    if len(lengths) != 1:
        problem = f"episodes of {min(lengths)} to {max(lengths)} steps" if lengths else "no episodes"
        raise ValueError(f"source must hold episodes of one length, the horizon, got {problem}")
    columns = {
        name: _by_step([getattr(episode, name) for episode in found])
        for name in ("observations", "actions", "rewards")
    }
    latents = {
        name: _by_step([episode.infos[name] for episode in found])
        for name in ("state", "code")
        if all(episode.infos and name in episode.infos for episode in found)
    }
    environment = metadata.get(IDENTITY) or (dataset.spec.env_spec.id if dataset.spec.env_spec else "unknown")
    if len(latents) == 2:
        episodes = Episodes(**columns, states=latents["state"], codes=latents["code"][1:])
        return OfflineData.from_episodes(episodes, environment)
    x = columns["observations"]
    rows = zip(x, columns["actions"], columns["rewards"], x[1:])
    return OfflineData(tuple(Transitions(*row) for row in rows), environment)


def _minari() -> tuple[Any, Any, str]:
    try:
        import h5py  # noqa: F401
        import minari
        from minari.data_collector import EpisodeBuffer
        from minari.dataset.minari_storage import MinariStorage
    except ImportError as error:
        raise ImportError(
            f"Minari data sets need minari and h5py ({error}): pip install 'pgtheory[offline]'"
        ) from None
    return MinariStorage, EpisodeBuffer, minari.__version__


def _whole(data: OfflineData) -> np.ndarray:
    """Observations [H + 1, n, size] of whole episodes."""
    for h, (step, after) in enumerate(zip(data.steps, data.steps[1:])):
        if step.next_observations.shape != after.observations.shape or not np.array_equal(
            step.next_observations, after.observations
        ):
            raise ValueError(
                f"data must be whole episodes to be written, but step {h} does not lead to the transitions of {h + 1}"
            )
    return np.stack([*(step.observations for step in data.steps), data.steps[-1].next_observations])


def _buffers(data: OfflineData, observations: np.ndarray, buffer_class: Any) -> Iterator[Any]:
    H = data.horizon
    actions, rewards = (
        np.stack([getattr(step, name) for step in data.steps]) for name in ("actions", "rewards")
    )
    latents = None
    known = [
        (step.states, step.codes) for step in data.steps if step.states is not None and step.codes is not None
    ]
    if len(known) == H:
        states, codes = (np.stack(column).astype(np.int64) for column in zip(*known))
        unknown = np.full_like(codes[:1], -1)  # no action before the first step, no state kept after the last
        latents = np.concatenate([states, unknown]), np.concatenate([unknown, codes])
    ends = np.arange(1, H + 1) == H
    for i in range(observations.shape[1]):
        infos = None if latents is None else {"state": latents[0][:, i], "code": latents[1][:, i]}
        yield buffer_class(
            id=i, observations=observations[:, i], actions=actions[:, i], rewards=rewards[:, i], terminations=ends,
            truncations=np.zeros(H, bool), infos=infos,
        )  # fmt: skip


def _by_step(episodes: list[np.ndarray]) -> np.ndarray:
    """Rows of each episode, [steps, n, ...]."""
    return np.ascontiguousarray(np.stack(episodes, axis=1))


def _narrow(space: gymnasium.spaces.Box, like: np.ndarray) -> gymnasium.spaces.Box:
    """The space in the precision of the data."""
    return gymnasium.spaces.Box(-np.inf, np.inf, space.shape, like.dtype)


def _spec(lock: ContinuousLock) -> EnvSpec | None:
    """What makes the lock again, if its encoder has a name."""
    if not isinstance(lock.observation, str):
        return None
    kwargs = {
        "secret": lock.secret.tolist(),
        "temperature": lock.temperature,
        "anti_shaped": lock.anti_shaped,
        "observation": lock.observation,
    }
    spec = gymnasium.spec(ENVIRONMENT)
    return EnvSpec(ENVIRONMENT, spec.entry_point, kwargs=kwargs, vector_entry_point=spec.vector_entry_point)
