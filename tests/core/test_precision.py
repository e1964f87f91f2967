"""Precisions, and the refusal of those that a processor is not made for."""

import pytest
import torch

from styleloom.core import precision
from styleloom.core.errors import StyleLoomError


def test_bf16_is_refused_where_it_would_crawl(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    assert precision.precision_on(cpu, "fp32") == torch.float32
    monkeypatch.setattr(precision, "bf16_is_fast", lambda: True)
    assert precision.precision_on(cpu, "bf16") == torch.bfloat16
    monkeypatch.setattr(precision, "bf16_is_fast", lambda: False)
    with pytest.raises(StyleLoomError, match="has no bf16 instructions"):
        precision.precision_on(cpu, "bf16")
    assert precision.precision_on(torch.device("cuda"), "bf16") == torch.bfloat16
