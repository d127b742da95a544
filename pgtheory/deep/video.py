"""One episode as a film: an animated GIF, or MP4 where FFmpeg is installed."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.error import DependencyNotInstalled

from pgtheory.deep.checkpoint import replacing
from pgtheory.deep.evaluation import Act, Episode, open_environment
from pgtheory.mdp import validate

if TYPE_CHECKING:
    import gymnasium

LONGEST_SIDE = 400  # pixels: a GIF of 10 s stays in the low megabytes


class DrawingError(RuntimeError):
    """The environment cannot be drawn here; the message says what to install or set."""


def record(
    act: Act,
    environment: str | Callable[[], gymnasium.Env],
    path: str | Path,
    seed: int = 0,
    max_steps: int = 1000,
    fps: int = 30,
) -> Path:
    """Film one episode of a policy and return the file's path.

    The film runs at the environment's own speed (``metadata["render_fps"]``): of an environment that is faster
    than ``fps`` only every second, third, … state is drawn, and always the first and the last. Pictures are
    scaled down to 400 pixels on the longer side. A GIF counts time in hundredths of a second, which limits it to
    50 pictures a second, and holds pictures that do not differ once, for longer. The file is complete or not there.

    Parameters
    ----------
    act
        ``act(observations [1, d] float32) → actions [1] or [1, size]``, as for evaluation.
    environment
        A Gymnasium id, or a function that makes an environment with ``render_mode="rgb_array"``.
    path
        Ends in ``.gif``, or in ``.mp4``, which needs ``imageio-ffmpeg``.
    seed
        Starts the episode with which ``evaluate(..., seed=seed)`` begins.
    max_steps
        Where a long episode is cut.
    fps
        Most pictures a second.

    Raises
    ------
    DrawingError
        When the rendering library or a display is missing, or the environment draws no ``rgb_array``.
    ImportError
        For MP4 without ``imageio-ffmpeg``.
    ValueError, TypeError
        For arguments that do not fit.
    """
    path = Path(path)
    seed = validate.positive_integer("seed", seed, 0)
    max_steps, fps = validate.positive_integer("max_steps", max_steps), validate.positive_integer("fps", fps)
    if path.suffix not in _WRITERS:
        raise ValueError(f"path must end in {' or '.join(_WRITERS)}, got '{path}'")
    write = _WRITERS[path.suffix]()
    env = _open(environment)
    try:
        if env.render_mode != "rgb_array":
            raise DrawingError(
                f"the environment has render_mode={env.render_mode!r}: make it with render_mode='rgb_array'"
            )
        speed = float(env.metadata.get("render_fps") or fps)
        every = max(1, round(speed / fps))
        frames = _frames(Episode(act, env, seed), env, max_steps, every)
        with replacing(path) as temporary:
            write(temporary, frames, speed / every)
    finally:
        env.close()
    return path


def _frames(episode: Episode, env: gymnasium.Env, max_steps: int, every: int) -> Iterator[Any]:
    """Pictures (Pillow images) of the first state, every ``every``-th after it, and the last."""
    yield _draw(env)
    for t in range(1, max_steps + 1):
        episode.step()
        last = episode.over or t == max_steps
        if last or t % every == 0:
            yield _draw(env)
        if last:
            return


def _draw(env: gymnasium.Env) -> Any:
    from PIL import Image

    try:
        picture = np.asarray(env.render())
    except Exception as error:  # graphics libraries fail in their own ways: AttributeError, FatalError, ...
        name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
        raise DrawingError(_advice(name, error)) from error
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise DrawingError(
            f"render() must return uint8 [height, width, 3], got {picture.dtype} {list(picture.shape)}"
        )
    image = Image.fromarray(picture)
    scale = min(1.0, LONGEST_SIDE / max(image.size))
    width, height = (
        2 * max(1, round(scale * side / 2)) for side in image.size
    )  # even, as video codecs want it
    return image if image.size == (width, height) else image.resize((width, height), Image.Resampling.LANCZOS)


def _open(environment: str | Callable[[], gymnasium.Env]) -> gymnasium.Env:
    try:
        return open_environment(environment, render_mode="rgb_array")
    except Exception as error:
        if not _in_mujoco(error):
            raise
        raise DrawingError(_advice(str(environment), error)) from error  # it loads OpenGL when it is imported


def _in_mujoco(error: Exception) -> bool:
    return any("mujoco" in Path(frame.filename).parts for frame in traceback.extract_tb(error.__traceback__))


def _advice(name: str, error: Exception) -> str:
    if "pygame" in str(error):
        fix = "install the library that draws it: python -m pip install pygame"
    elif _in_mujoco(error) and not isinstance(error, DependencyNotInstalled):
        fix = (
            "MuJoCo draws without a display when MUJOCO_GL=egl (a GPU, or Mesa's libEGL) or MUJOCO_GL=osmesa "
            "(Mesa's libOSMesa, on the processor) is in the environment before Python starts"
        )
    else:
        fix = "install what the environment needs for render_mode='rgb_array'"
    return f"{name} cannot be drawn here ({type(error).__name__}: {error}); {fix}"


# -- file formats ---------------------------------------------------------------------------------------------

_Write = Callable[[Path, Iterator[Any], float], None]


def _gif() -> _Write:
    def write(path: Path, frames: Iterator[Any], fps: float) -> None:
        duration = 10 * max(2, round(100 / fps))  # ms; viewers slow down anything shorter than 20
        colours = (_in_256_colours(frame) for frame in frames)
        next(colours).save(path, save_all=True, append_images=colours, duration=duration, loop=0)

    return write


def _in_256_colours(frame: Any) -> Any:
    """Without dithering, whose noise takes seven times the bytes on a MuJoCo floor."""
    from PIL import Image

    return frame.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


def _mp4() -> _Write:
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise ImportError(
            "MP4 needs FFmpeg: python -m pip install imageio-ffmpeg, or end path in .gif"
        ) from error

    def write(path: Path, frames: Iterator[Any], fps: float) -> None:
        first = next(frames)
        film = imageio_ffmpeg.write_frames(str(path), first.size, fps=fps, macro_block_size=2)
        film.send(None)
        try:
            film.send(first.tobytes())
            for frame in frames:
                film.send(frame.tobytes())
        finally:
            film.close()

    return write


_WRITERS: dict[str, Callable[[], _Write]] = {".gif": _gif, ".mp4": _mp4}
