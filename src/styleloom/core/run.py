"""A training run: where it writes, under which license, on which hardware, and whether it resumes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import StyleLoomError, check_choice
from .precision import precision_on
from .settings import Range

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class Hardware:
    """Hardware of a run.

    Args:
        device: cpu, cuda, cuda:1 (of one process), mps, or auto for the best there is.
        processes: processes, or GPUs, on each machine.
        nodes: machines; start the same command on each with the MASTER_ADDR, MASTER_PORT and NODE_RANK of Lightning.
        precision: fp32, or bf16 for mixed precision.
    """

    device: str = "auto"
    processes: int = 1
    nodes: int = 1
    precision: str = "fp32"

    def launch(self) -> Fabric:
        """Start the processes; everything after this line runs in each of them.

        Raises:
            StyleLoomError: an unknown precision, one GPU by number for several processes, or bf16 on a processor without
                instructions for it.
        """
        from lightning_fabric import Fabric  # seconds to import, and only training needs it

        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces every process
        precisions: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed"}
        check_choice("precision", self.precision, precisions)
        Range(1).check("processes", self.processes, whole=True)
        Range(1).check("nodes", self.nodes, whole=True)
        several = self.processes * self.nodes > 1
        kind, _, number = self.device.partition(":")
        if number and several:
            raise StyleLoomError(f"several processes cannot share {self.device}; use device {kind}, of which each takes one")
        fabric = Fabric(
            accelerator=kind,
            devices=[int(number)] if number else self.processes,
            num_nodes=self.nodes,
            strategy="ddp" if several else "auto",
            precision=precisions[self.precision],
        )
        precision_on(fabric.device, self.precision)
        fabric.launch()
        return fabric


ONE_PROCESS = Hardware()


@dataclass(frozen=True)
class Run:
    """A training run; every ``train`` takes one.

    Args:
        out: folder of the run.
        license: license to store in the model.
        hardware: hardware to compute on.
        resume: continue from the state in ``out``.
    """

    out: str | Path
    license: str = "unknown"
    hardware: Hardware = ONE_PROCESS
    resume: bool = False

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return Path(self.out)
