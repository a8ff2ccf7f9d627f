"""Steps of training as CUDA graphs: hundreds of kernels by one launch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pyg_mmrec.errors import MMRecError


class Replay:
    """Takes the steps of an epoch, all of the same size but the last as one graph.

    Small kernels take less time than to launch them: the host is what a GPU waits for.
    So the first step is taken as it is, which builds what an epoch keeps; the second
    is captured as a CUDA graph; and the others replay it. A graph holds addresses and
    Python's numbers as they were, the learning rate and the epoch's view of the data
    among them, so that each epoch captures its own, which costs about a step.

    Random numbers are those of steps that are not captured. What waits for the device
    or draws from PyTorch's generator of the host is refused; what else a step of one's
    own does in Python, counting steps or drawing from NumPy, happens once an epoch, not
    in each step, and nothing notices: compare a few epochs with and without.

    Args:
        step: Takes the step of some interactions, ``[B]``, without waiting for the
            device.
        device: The GPU.
        method: Whose steps they are, for what is raised.
        generator: What the step draws from, beside PyTorch's own generator.
    """

    def __init__(
        self,
        step: Callable[[Tensor], None],
        device: torch.device,
        method: str,
        generator: torch.Generator,
    ) -> None:
        self.step = step
        self.method = method
        self.generator = generator
        # A capture has to be of a stream of its own, and so what comes before it.
        self.stream = torch.cuda.Stream(device)
        self.index: Tensor | None = None
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, index: Tensor) -> None:
        """Take a step."""
        self.stream.wait_stream(torch.cuda.current_stream(self.stream.device))
        with torch.cuda.stream(self.stream):
            if self.index is None:
                self.step(index)
                self.index = index.clone()
            elif index.numel() != self.index.numel():  # the last one
                self.step(index)
            else:
                self.index.copy_(index)
                if self.graph is None:
                    self.graph = self._captured(self.index)
                self.graph.replay()
        torch.cuda.current_stream(self.stream.device).wait_stream(self.stream)

    def _captured(self, index: Tensor) -> torch.cuda.CUDAGraph:
        """The step as a graph; nothing is computed yet."""
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        drawn = torch.get_rng_state()
        try:
            with torch.cuda.graph(graph, stream=self.stream):
                self.step(index)
        except RuntimeError as error:
            for generator in (
                self.generator,
                torch.cuda.default_generators[index.get_device()],
            ):
                # One whose capture broke off would draw nothing outside of one again.
                generator.graphsafe_set_state(generator.clone_state())
            raise MMRecError(
                f"a step of {self.method!r} cannot be a CUDA graph "
                f"({str(error).splitlines()[0]}): leave 'cuda_graphs' out"
            ) from error
        if not torch.equal(drawn, torch.get_rng_state()):
            raise MMRecError(
                f"a step of {self.method!r} draws numbers on the host, which would be "
                f"the same in every step of a CUDA graph: leave 'cuda_graphs' out"
            )
        return graph


def check_replayed(
    device: torch.device, num_neighbors: Sequence[int], num_processes: int
) -> None:
    """Refuse CUDA graphs of what has no fixed size, or no GPU.

    Args:
        device: Where the training runs.
        num_neighbors: See :class:`~pyg_mmrec.training.config.TrainConfig`.
        num_processes: How many train together.

    Raises:
        MMRecError: With the reason.
    """
    why = ""
    if device.type != "cuda":
        why = f"the training runs on {str(device)!r}, and only a GPU has them"
    elif num_neighbors:
        why = "sampled subgraphs ('num_neighbors') have another size in every step"
    elif num_processes > 1:
        why = f"{num_processes} processes exchange what they have within a step"
    if why:
        raise MMRecError(f"'cuda_graphs' cannot be: {why}; leave the option out")
