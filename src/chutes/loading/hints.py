"""What to write when a name or a module is missing: the import line, or the install command."""

import builtins
import collections.abc
import sys
import typing
from collections.abc import Mapping

__all__ = ["import_line", "install_hint"]

_HOMES: Mapping[str, frozenset[str]] = {
    "chutes": frozenset({"Batch", "Chute", "Image", "NodeSelector"}),
    "chutes.templates": frozenset(
        {"build_diffusion_chute", "build_embedding_chute", "build_sglang_chute", "build_vllm_chute"}
    ),
    "fastapi": frozenset(
        {
            "APIRouter", "BackgroundTasks", "Body", "Cookie", "Depends", "FastAPI", "File", "Form", "Header",
            "HTTPException", "Path", "Query", "Request", "Response", "Security", "UploadFile", "WebSocket",
            "WebSocketDisconnect",
        }
    ),
    "fastapi.responses": frozenset(
        {
            "FileResponse", "HTMLResponse", "JSONResponse", "PlainTextResponse", "RedirectResponse",
            "StreamingResponse",
        }
    ),
    "fastapi.middleware.cors": frozenset({"CORSMiddleware"}),
    "pydantic": frozenset(
        {
            "BaseModel", "ConfigDict", "Field", "TypeAdapter", "ValidationError", "field_validator",
            "model_validator",
        }
    ),
    "collections": frozenset({"Counter", "OrderedDict", "defaultdict", "deque", "namedtuple"}),
    "contextlib": frozenset({"asynccontextmanager", "contextmanager", "suppress"}),
    "dataclasses": frozenset({"asdict", "dataclass", "replace"}),
    "datetime": frozenset({"UTC", "date", "datetime", "timedelta", "timezone"}),
    "enum": frozenset({"Enum", "IntEnum", "StrEnum"}),
    "functools": frozenset({"cache", "lru_cache", "partial", "wraps"}),
    "io": frozenset({"BytesIO", "StringIO"}),
    "uuid": frozenset({"uuid4"}),
    "collections.abc": frozenset(collections.abc.__all__),
    "typing": frozenset(typing.__all__),
}  # fmt: skip
"""Modules, in the order in which they are asked, and the names that chute files take from them."""

_ALIASES: Mapping[str, str] = {
    "F": "import torch.nn.functional as F",
    "nn": "from torch import nn",
    "np": "import numpy as np",
    "pd": "import pandas as pd",
    "plt": "import matplotlib.pyplot as plt",
    "tf": "import tensorflow as tf",
}

_LIBRARIES = frozenset(
    {"aiohttp", "diffusers", "httpx", "numpy", "pandas", "requests", "torch", "transformers", "vllm"}
)

_DISTRIBUTIONS: Mapping[str, str] = {
    "PIL": "pillow",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "pymupdf",
    "jwt": "pyjwt",
    "llama_cpp": "llama-cpp-python",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


def import_line(name: str) -> str | None:
    """The line that makes a well-known `name` known, None for any other name."""
    if name in _ALIASES:
        return _ALIASES[name]
    for module, names in _HOMES.items():
        if name in names and not hasattr(builtins, name):
            return f"from {module} import {name}"
    return f"import {name}" if name in sys.stdlib_module_names or name in _LIBRARIES else None


def install_hint(module: str) -> str:
    """The command that installs the library of `module`."""
    root = module.partition(".")[0]
    return f"pip install {_DISTRIBUTIONS.get(root, root.replace('_', '-'))}"
