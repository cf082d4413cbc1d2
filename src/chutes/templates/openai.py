"""The bodies of the OpenAI API as models: what the API page shows, and what code may build and read them with.

Engines know more fields than these, so each model takes further ones.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "BaseRequest",
    "ChatCompletionChoice",
    "ChatCompletionRequest",
    "ChatCompletionResponse",
    "ChatCompletionStreamResponse",
    "ChatMessage",
    "CompletionChoice",
    "CompletionRequest",
    "CompletionResponse",
    "CompletionStreamResponse",
    "DetokenizeRequest",
    "DetokenizeResponse",
    "Embedding",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "ErrorDetail",
    "ErrorResponse",
    "ModelCard",
    "ModelList",
    "ResponseFormat",
    "TokenizeRequest",
    "TokenizeResponse",
    "UsageInfo",
]


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow", protected_namespaces=())


class ChatMessage(_Open):
    """One message of a conversation."""

    role: str = Field(examples=["user"], description="system, user, assistant or tool")
    content: str | list[dict[str, Any]] | None = Field(
        default=None, examples=["What is the capital of France?"]
    )
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None


class ResponseFormat(_Open):
    """The form that an answer has to have."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: dict[str, Any] | None = None


class BaseRequest(_Open):
    """What chats and completions have in common."""

    model: str | None = Field(default=None, description="Default: the model of this chute.")
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = Field(default=None, description="Send the answer as events while it is made.")
    stream_options: dict[str, Any] | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    length_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | int | None = None
    top_logprobs: int | None = None
    prompt_logprobs: int | None = None
    response_format: ResponseFormat | None = None
    best_of: int | None = None
    use_beam_search: bool | None = None
    min_tokens: int | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool | None = None
    include_stop_str_in_output: bool | None = None
    skip_special_tokens: bool | None = None
    spaces_between_special_tokens: bool | None = None
    user: str | None = None


class ChatCompletionRequest(BaseRequest):
    """A conversation to be answered."""

    messages: list[ChatMessage]
    max_completion_tokens: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    chat_template: str | None = None
    add_generation_prompt: bool | None = None


class CompletionRequest(BaseRequest):
    """A text to be continued."""

    prompt: str | list[str] | list[int] | list[list[int]] = Field(examples=["The capital of France is"])
    echo: bool | None = None
    suffix: str | None = None


class UsageInfo(_Open):
    """How many tokens a call took."""

    prompt_tokens: int = 0
    completion_tokens: int | None = 0
    total_tokens: int = 0


class ChatCompletionChoice(_Open):
    """One answer to a conversation."""

    index: int = 0
    message: ChatMessage
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class _Completed(_Open):
    id: str
    created: int
    model: str
    usage: UsageInfo | None = None


class ChatCompletionResponse(_Completed):
    """The answers to a conversation."""

    object: Literal["chat.completion"] = "chat.completion"
    choices: list[ChatCompletionChoice]


class ChatCompletionStreamResponse(_Completed):
    """One event of a streamed answer to a conversation."""

    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    choices: list[dict[str, Any]]


class CompletionChoice(_Open):
    """One continuation of a text."""

    index: int = 0
    text: str
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class CompletionResponse(_Completed):
    """The continuations of a text."""

    object: Literal["text_completion"] = "text_completion"
    choices: list[CompletionChoice]


class CompletionStreamResponse(CompletionResponse):
    """One event of a streamed continuation."""


class EmbeddingRequest(_Open):
    """Texts to be turned into vectors."""

    input: str | list[str] | list[int] | list[list[int]] = Field(examples=["The cat sits on the mat."])
    model: str | None = Field(default=None, description="Default: the model of this chute.")
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None
    user: str | None = None


class Embedding(_Open):
    """The vector of one text."""

    index: int
    object: Literal["embedding"] = "embedding"
    embedding: list[float] | str


class EmbeddingResponse(_Open):
    """The vectors of texts, in their order."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: UsageInfo | None = None


class TokenizeRequest(_Open):
    """A text, or a conversation, to be cut into tokens."""

    prompt: str | None = Field(default=None, examples=["The capital of France is"])
    messages: list[ChatMessage] | None = None
    model: str | None = Field(default=None, description="Default: the model of this chute.")
    add_special_tokens: bool | None = None


class TokenizeResponse(_Open):
    """The tokens of a text."""

    tokens: list[int]
    count: int | None = None
    max_model_len: int | None = None


class DetokenizeRequest(_Open):
    """Tokens to be put together."""

    tokens: list[int]
    model: str | None = Field(default=None, description="Default: the model of this chute.")


class DetokenizeResponse(_Open):
    """The text of tokens."""

    prompt: str


class ModelCard(_Open):
    """One model that the chute serves."""

    id: str
    object: Literal["model"] = "model"
    created: int | None = None
    owned_by: str | None = None


class ModelList(_Open):
    """The models that the chute serves."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class ErrorDetail(_Open):
    """What went wrong."""

    message: str
    type: str
    param: str | None = None
    code: str | int | None = None


class ErrorResponse(_Open):
    """An error in the form of the OpenAI API."""

    error: ErrorDetail
