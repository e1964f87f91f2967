"""Names in docstrings lead somewhere."""

import importlib
import re
from pathlib import Path
from typing import Any

import styleloom

ROOT = Path(styleloom.__file__).parent
REFERENCE = re.compile(r":(?:func|class|meth|mod|data|attr):`~?(styleloom[\w.]+)`")


def leads_somewhere(name: str) -> bool:
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            item: Any = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            if not hasattr(item, part) and part not in getattr(item, "__dataclass_fields__", {}):
                return False
            item = getattr(item, part, None)
        return True
    return False


def test_references_of_docstrings_exist() -> None:
    names = {(path.name, name) for path in ROOT.rglob("*.py") for name in REFERENCE.findall(path.read_text())}
    assert len(names) > 50
    assert not {(file, name) for file, name in names if not leads_somewhere(name)}
